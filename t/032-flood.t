#!/usr/bin/perl

# Who says too much: messages beyond push_message_rate 4009, pings and pongs
# beyond their fixed bound 1008.  Others do not notice.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Push::Edge;
use Push::WebSocket;
use Socket;
use Time::HiRes qw(time);

sub frame { Push::WebSocket::frame(@_) }

my $ping = frame(1, '{"type":"ping"}');
my ($second) = (Push::Edge::free_ports(8))[5];
my $edge = Push::Edge->new(redis => 0,
    http => "push_message_rate 20/s burst=30;
        server { listen 127.0.0.1:$second;
            location / { push_websocket; push_user \$arg_user; }
            location /off { push_websocket; push_user \$arg_user;
                            push_message_rate off; }
            location /own { push_websocket; push_user \$arg_user;
                            push_message_rate 5/s; } }");
my $other = $edge->ws('other', raw => 1);

sub at {
    my ($path, $user, %o) = @_;
    return Push::WebSocket->new(
        url => "ws://127.0.0.1:$second$path?user=$user", %o);
}

# How many pongs of our protocol come before the Close, and its code.
sub pongs {
    my ($ws, $bytes) = @_;
    my $n = 0;

    $ws->write_raw($bytes);

    while (my $m = $ws->next_message(5)) {
        $n++ if $m->{type} eq 'pong';
    }

    return ($n, $ws->close_code, $ws->close_text);
}

# --- messages ---------------------------------------------------------------

my @got = pongs($edge->ws('u1'), $ping x 100);
is("@got[0, 1]", '30 4009', 'the burst is answered, and then 4009');
is($got[2], 'too many messages', '... which says why');
is($edge->status->{closed_flood}, 1, '... and is counted');

@got = pongs(at('/', 'u1'), $ping x 100);
is("@got[0, 1]", '30 4009', 'the rate is inherited');
@got = pongs(at('/own', 'u1'), $ping x 100);
is("@got[0, 1]", '5 4009', 'without burst it is what may come in a second');

my $free = at('/off', 'u1');
$free->write_raw($ping x 200);
my $n = 0;
$n++ while $n < 200 && $free->wait_for('pong');
is($n, 200, 'push_message_rate off');

# a message in fragments is one, and so is one with early bytes

my $cut = frame(1, '{"type"', fin => 0) . frame(0, ':"pi', fin => 0)
    . frame(0, 'ng"}');
@got = pongs($edge->ws('u1', early => $ping x 10), $cut x 30);
is("@got[0, 1]", '30 4009', 'messages are counted, not fragments');

# acks are free

my $ws = $edge->ws('u2');
$ws->hello();
$ws->wait_for('welcome');
$ws->ack('group:none', 1) for 1 .. 500;
$ws->write_raw($ping);
ok($ws->wait_for('pong'), '500 acks do not count');

# what is no message at all is 4400 as ever

$ws->send_text('nonsense');
is($ws->wait_close, 4400, 'a bad frame stays a bad frame');

# the bucket drains

$ws = $edge->ws('u3');
my $begin = time();
$n = 0;

for my $burst (30, (5) x 6) {
    $ws->write_raw($ping x $burst);
    for (1 .. $burst) {
        $n++ if $ws->wait_for('pong');
    }

    # 5 of 20 a second have run off by then
    my $at = time() + 0.3;
    Push::Edge::wait_until(sub { time() > $at });
}

is($n, 60, 'in time more may come than the burst');
ok(!defined $ws->close_code, '... and the connection lives');

# raw mode: whatever it says

$ws = $edge->ws('u4', raw => 1);
$ws->write_raw(frame(1, 'x') x 20 . frame(2, 'x') x 10);
$ws->send_frame(9, 'alive');
is(($ws->next_frame // {})->{payload}, 'alive', 'raw mode: the burst is taken');
$ws->write_raw(frame(1, '') x 20);
is($ws->wait_close, 4009, '... then 4009');

# --- pings and pongs --------------------------------------------------------

for my $raw (0, 1) {
    $ws = at('/off', 'u5', raw => $raw);
    $ws->write_raw(frame(9, 'p') x 1000);
    $n = 0;
    while ($n < 1000) {
        my $f = $ws->next_frame or last;
        $n++ if $f->{opcode} == 10;
    }
    is($n, 1000, "raw=$raw: 1000 pings at once are answered");

    $ws->write_raw(frame(9, 'p') x 3000);
    is($ws->wait_close, 1008, '... 3000 more are 1008');
    is($ws->close_text, 'too many pings and pongs', '... which says why');
}

$ws = at('/off', 'u6');
$ws->write_raw(frame(10, '') x 5000);
is($ws->wait_close, 1008, 'pongs, too');

$ws = at('/off', 'u6');
my $both = frame(9, '') . $ping;
$ws->write_raw($both x 600);
$n = 0;
$n++ while $n < 600 && $ws->wait_for('pong');
is($n, 600, 'they are counted apart from messages');

# bytes of a flood that still come after the Close change nothing

$ws = at('/off', 'u7');
$ws->write_raw(frame(9, 'p' x 100) x 2000) for 1 .. 20;
is($ws->wait_close, 1008, 'a flood that goes on: 1008 all the same');
$ws->drop;

is($edge->status->{closed_policy}, 4, 'they are counted');

# --- others -----------------------------------------------------------------

$edge->deliver("epoch e1\n" . Push::Edge::item('user', 'other', 0, '"x"'));
is($other->next_frame->{payload}, '"x"', 'others do not notice');

undef $ws;
undef $other;
undef $free;
ok(Push::Edge::wait_until(sub {
    my $s = $edge->status;
    $s && $s->{connections} == 0 && $s->{queue_bytes} == 0
}, 10), 'nobody and nothing is left');
$edge->stop('QUIT');

# --- push_send_memory -------------------------------------------------------

# 24 clients that do not read and each have 256k of room, but 2m in all

$edge = Push::Edge->new(redis => 0, http => 'push_send_memory 2m;'
    . ' push_drain_time 0;', location => 'push_send_queue 128 256k;');

sub slow_client {
    my ($user) = @_;
    my $s = IO::Socket::INET->new(Proto => 'tcp');
    socket($s, PF_INET, SOCK_STREAM, 0);
    setsockopt($s, SOL_SOCKET, SO_RCVBUF, 4096);
    connect($s, sockaddr_in($edge->{port}, inet_aton('127.0.0.1'))) or die $!;
    return $edge->ws($user, raw => 1, socket => $s);
}

my @slow = map { slow_client("s$_") } 1 .. 24;

my $text = '"' . 'x' x 40000 . '"';
my $most = 0;

# first until the sockets are full
for my $round (1 .. 150) {
    $edge->deliver("epoch e1\n" . join '', map {
        Push::Edge::item('user', "s$_", 0, $text) } 1 .. 24);
    my $now = $edge->status->{queue_bytes};
    $most = $now if $now > $most;
}

cmp_ok($most, '>', 1500000, 'push_send_memory is used');
cmp_ok($most, '<=', 2097152, '... and bounds what waits in the worker');

my $quick = $edge->ws('quick', raw => 1);
$edge->deliver("epoch e1\n" . Push::Edge::item('user', 'quick', 0, '1'));
is(($quick->next_frame // {})->{payload}, '1', 'who reads gets everything');

$_->drop for @slow, $quick;
ok(Push::Edge::wait_until(sub {
    my $s = $edge->status; $s && $s->{queue_bytes} == 0
}, 10), 'nothing is left');

$edge->stop('QUIT');

# 16 with one long frame each fill 4m: another one takes the place of one

$edge = Push::Edge->new(redis => 0, http => 'push_send_memory 4m;'
    . ' push_drain_time 0;', location => 'push_send_queue 8 1m;');
@slow = map { slow_client("s$_") } 1 .. 30;
$text = '"' . 'x' x 250000 . '"';

for my $round (1 .. 40) {
    $edge->deliver("epoch e1\n" . Push::Edge::item('user', "s$_", 0, $text))
        for 1 .. 30;
    last if $edge->status->{queue_bytes} > 3900000;
}

my $full = $edge->status;
cmp_ok($full->{queue_bytes}, '>', 3900000, 'long frames fill push_send_memory');

# who has waited for less than a second stays: until then it is answered slow
my $reader = $edge->ws('reader', raw => 1);
ok(Push::Edge::wait_until(sub {
    ($edge->deliver("epoch e1\n" . Push::Edge::item('user', 'reader', 0, $text)
        ))[1] eq 'ok 1';
}), 'room is made');
is(length(($reader->next_frame // {})->{payload} // ''), length($text),
    'who reads gets a long one');
is($edge->status->{closed_slow} - $full->{closed_slow}, 1,
    '... for which one other goes, not all of them');

$_->drop for @slow, $reader;
$edge->stop('QUIT');
$edge->logs_ok_now;

done_testing();
