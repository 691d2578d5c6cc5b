#!/usr/bin/perl

# A client that does not read: its queue is bounded, others do not notice, and
# what it gets in the end is whole and in order.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Push::Edge;
use Push::WebSocket;

my $edge = Push::Edge->new(redis => 0, http => 'push_drain_time 0;',
    location => 'push_send_queue 16 64k;');

sub slow {
    my ($user, %o) = @_;
    my $s = IO::Socket::INET->new(Proto => 'tcp');
    socket($s, PF_INET, SOCK_STREAM, 0);
    setsockopt($s, SOL_SOCKET, SO_RCVBUF, 4096);
    connect($s, sockaddr_in($edge->{port}, inet_aton('127.0.0.1'))) or die $!;
    return $edge->ws($user, socket => $s, %o);
}

# n messages of a size, numbered; how many were answered with each word
sub push_to {
    my ($user, $n, $size) = @_;
    my %answers;

    while ($n > 0) {
        my $now = $n > 20 ? 20 : $n;
        my ($status, @lines) = $edge->deliver(join '', "epoch e1\n", map {
            Push::Edge::item('user', $user, 0,
                '"' . ++$main::number . ':' . 'x' x $size . '"')
        } 1 .. $now);
        s/ \d+// for @lines;
        $answers{$_}++ for @lines;
        $n -= $now;
    }

    return \%answers;
}

# --- ephemeral messages: dropped when the queue is full ---------------------

my $slow = slow('slow', raw => 1);
my $quick = $edge->ws('quick', raw => 1);

our $number = 0;
my $answers = push_to('slow', 2000, 10000);

cmp_ok($answers->{slow} // 0, '>', 1000, 'what does not fit is answered slow');
my $taken = ($answers->{ok} // 0) + ($answers->{queued} // 0);
is($taken + $answers->{slow}, 2000, 'each has an answer');

my $status = $edge->status;
cmp_ok($status->{queue_bytes} // -1, '<=', 65536 + 10100,
    'the queue is bounded by push_send_queue');
cmp_ok($status->{queue_bytes} // -1, '>', 0, '... and counted');

$number = 0;
push_to('quick', 1, 10);
is($quick->next_frame->{payload}, '"1:' . 'x' x 10 . '"',
    'others do not notice');

# pings while it is blocked: the latest is answered when it reads again

$slow->send_frame(9, "p$_") for 1 .. 50;

my ($got, $order, $last, @pongs) = (0, 1, 0);
while (my $f = $slow->next_frame(3)) {
    if ($f->{opcode} == 10) {
        push @pongs, $f->{payload};
        last if $f->{payload} eq 'p50';
        next;
    }
    my ($n) = $f->{payload} =~ /^"(\d+):x{10000}"$/;
    $order = 0 unless $n && $n > $last;
    $last = $n;
    $got++;
}
is($got, $taken, 'what was taken comes, all of it');
ok($order, '... whole and in order');
is($pongs[-1], 'p50', 'the latest ping is answered');
cmp_ok(scalar @pongs, '<', 50, '... others need not be');

$number = 5000;
push_to('slow', 1, 10);
is($slow->next_frame->{payload}, '"5001:' . 'x' x 10 . '"',
    'it goes on when it has read');
is($edge->status->{queue_bytes}, 0, 'the queue is empty again');

# --- a message of any size fits into an empty queue -------------------------

$number = 0;
push_to('quick', 1, 200000);
is(length $quick->next_frame->{payload}, 200004, 'larger than the whole queue');

# --- it asks and asks and does not read -------------------------------------

my $greedy = slow('greedy');
$greedy->hello();
$greedy->wait_for('welcome');
my $text = Push::WebSocket::frame(1, '{"type":"ping"}');
$greedy->{socket}->blocking(0);
for (1 .. 5000) {
    last unless defined syswrite($greedy->{socket}, $text x 50) || $!{EAGAIN};
    last if $_ % 100 == 0
        && `grep -c "user=greedy.*code=4008" $edge->{dir}/logs/error.log` > 0;
}
ok(Push::Edge::wait_until(sub {
    `cat $edge->{dir}/logs/error.log` =~ /push close user=greedy .*code=4008/
}, 10), 'it is closed 4008');

# --- it goes with a full queue ----------------------------------------------

my $gone = slow('gone', raw => 1);
push_to('gone', 1000, 10000);
$gone->drop;
$_->drop for $slow, $quick, $greedy;

ok(Push::Edge::wait_until(sub {
    my $s = $edge->status;
    $s && $s->{connections} == 0 && $s->{queue_bytes} == 0
}, 10), 'nobody and nothing is left');

$edge->stop('QUIT');
$edge->logs_ok_now;

done_testing();
