#!/usr/bin/perl

# What a connection and a worker ask for again: logs without an answer stay
# together, with the client's epoch, and `all` is asked for once more when the
# dispatchers have heard of the node.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Push::Edge;
use Test::More;

*wait_until = \&Push::Edge::wait_until;

my $edge = Push::Edge->new;

ok(wait_until(sub { $edge->status->{redis_up} }), 'connected to Redis');

sub asked {
    my ($user) = @_;
    return grep { $_->{uid} eq $user } $edge->stream('push:ev:resync');
}

sub answer {
    my ($f, @logs) = @_;
    my $conn = "$f->{inst}.$f->{conn}";
    my $body = "epoch e2\n";

    $body .= "begin $conn $_ $f->{rid} 0\ntip $conn $_ $f->{rid} 0\n" for @logs;

    return $edge->deliver($body);
}

my $ws = $edge->ws('u1');
$ws->hello(device => 'd1', epoch => 'e1', cursors => { user => 5, all => 3 });
$ws->wait_for('welcome');

ok(wait_until(sub { asked('-') }), 'the worker asks for the log of all');
answer((asked('-'))[0], 'all');

# no answer: the same again

ok(wait_until(sub { asked('u1') >= 3 }, 20), 'asked three times');
my @asked = asked('u1');
is($_->{logs}, "user:u1 5 64\nall 3 64", 'for both logs') for @asked;
is($_->{epoch}, 'e1', "with the client's epoch") for @asked;

# one has its answer, the other one's was lost: it is asked for alone, and still
# for the client's epoch, so that the collector lets it begin at the floor

my $last = $asked[-1];
my $n = @asked;
my $body = "epoch e2\n" . join('', map { "$_\n" }
    "begin $last->{inst}.$last->{conn} user:u1 $last->{rid} 5",
    "tip $last->{inst}.$last->{conn} user:u1 $last->{rid} 5");
is_deeply([ $edge->deliver($body) ], [ 200, 'ok 1', 'ok 1' ], 'half an answer');

ok(wait_until(sub { asked('u1') > $n }, 40), 'asked again');
@asked = asked('u1');
is($asked[$n]{logs}, 'all 3 64', 'for the other log');
is($asked[$n]{epoch}, 'e1', "with the client's epoch");

# both are answered: from now on the epoch is the edge's

answer($asked[-1], 'all');
$edge->deliver("epoch e2\nresync u1\n");
$n = @asked;
ok(wait_until(sub { asked('u1') > $n }), 'a trigger');
@asked = asked('u1');
is($asked[-1]{logs}, 'user:u1 5 64', 'asks for the own log');
is($asked[-1]{epoch}, 'e2', "with the edge's epoch");

# A void is told to the client, and is no ack: the client may never hear it.  The
# second ack waits for push_ack_interval when the void comes.

my $u9 = $edge->ws('u9');
$u9->hello(device => 'd9', epoch => 'e2', cursors => { user => 0, all => 0 });
$u9->wait_for('welcome');
ok(wait_until(sub { asked('u9') }), 'another client asks');
answer((asked('u9'))[-1], 'user:u9', 'all');
$n = asked('u9');

sub message { Push::Edge::item('user', 'u9', $_[0], '"a"') }

$edge->deliver("epoch e2\n" . message(1) . message(2));
$u9->wait_for('message') for 1, 2;
$u9->ack('user', $_) for 1, 2;
$edge->deliver("epoch e2\n" . message(5));
ok(wait_until(sub { asked('u9') > $n }), 'what is missing is asked for');
$last = (asked('u9'))[-1];
my $conn = "$last->{inst}.$last->{conn}";
is_deeply([ $edge->deliver("epoch e2\n"
        . "begin $conn user:u9 $last->{rid} 2\n"
        . "void $conn user:u9 3 5 expired\n"
        . "tip $conn user:u9 $last->{rid} 5\n") ],
    [ 200, ('ok 1') x 3 ], 'a void behind what was acked');
is_deeply([ @{ $u9->wait_for('void') }{qw(from to)} ], [ 3, 5 ],
    'the client hears it');
$u9->send_close(1000);
ok(wait_until(sub {
    grep { $_->{event} eq 'close' } $edge->stream('push:ev:conn')
}), 'and leaves');
my @acks;
ok(wait_until(sub {
    @acks = map { $_->{acks} =~ /^u9 d9 user:u9 (\d+)$/mg }
        $edge->stream('push:ev:ack');
    grep { $_ == 2 } @acks;
}), 'what it acked is told');
is($acks[-1], 2, '... and no more');

ok(wait_until(sub { asked('-') >= 2 }, 15),
    'the log of all is asked for again when the lease is old enough');

$edge->logs_ok_now;

done_testing();
