#!/usr/bin/perl

# The store was restored: connections of the history before hear nothing of the
# new one, in which their numbers may be other messages, and their acks are not
# told; they are sent away, and whoever comes again is reset.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Push::Edge;
use Test::More;

*wait_until = \&Push::Edge::wait_until;

my $edge = Push::Edge->new(http => 'push_drain_time 4s;');

ok(wait_until(sub { $edge->status->{redis_up} }), 'connected to Redis');

sub asked {
    my ($user, $n) = @_;
    my @all;

    wait_until(sub {
        @all = grep { $_->{uid} eq $user } $edge->stream('push:ev:resync');
        return @all >= $n;
    });

    return $all[$n - 1];
}

# The answer to a request, from `after` with nothing behind it.
sub answer {
    my ($epoch, $f, $after, $before) = @_;
    my $conn = "$f->{inst}.$f->{conn}";
    my $body = "epoch $epoch\n" . ($before // '');

    for (split /\n/, $f->{logs}) {
        my ($log) = split / /;
        my $from = $log eq 'all' ? 0 : $after;
        $body .= "begin $conn $log $f->{rid} $from\n"
            . "tip $conn $log $f->{rid} $from\n";
    }

    return $edge->deliver($body);
}

# They are sent away one by one: those before us take three seconds.
my @before = map { $edge->ws('u0') } 1 .. 30;
my $raw = $edge->ws('r1', raw => 1);
my $ws = $edge->ws('u1');
$ws->hello(device => 'd1', epoch => 'e1', cursors => { user => 5, all => 0 });
$ws->wait_for('welcome');
answer('e1', asked('u1', 1), 5);
is($ws->wait_for('synced')->{seq}, 5, 'synced at 5');

is(($edge->deliver("epoch e1\n" . Push::Edge::item('user', 'u1', 6, 6)))[1],
    'ok 1', 'six is written');
is($ws->wait_for('message')->{data}, 6, 'and read');
$edge->deliver("epoch e1\n" . Push::Edge::item('user', 'r1', 6, 6));
is($raw->next_frame->{payload}, 6, 'raw: six too');

# another history, whose tip lies below: its seventh is none of ours

is(($edge->deliver("epoch e2\n" . Push::Edge::item('user', 'u1', 7, '"new"')))
    [1], 'none', 'the new history does not go to an old connection');
is(($edge->deliver("epoch e2\n" . Push::Edge::item('user', 'u1', 0, '"now"')))
    [1], 'ok 1', 'what is not stored does');
is(($edge->deliver("epoch e2\n" . Push::Edge::item('user', 'r1', 2, '"new"')))
    [1], 'ok 1', 'raw mode knows no history: a lower number is live as well');
is($raw->next_frame->{payload}, '"new"', '... and written');
undef $raw;
$ws->send_json({ type => 'ack', log => 'user', seq => 6 });

my (@seen, $frame);
push @seen, $frame while ($frame = $ws->next_message(10))
    && $frame->{type} ne 'bye';

is_deeply([ map { $_->{type} . ' ' . $_->{data} } @seen ],
    [ 'message now' ], 'nothing else comes before bye');
is($frame && $frame->{code}, 1012, 'bye');
is($ws->wait_close, 1012, 'and Close');

# it comes again

my $again = $edge->ws('u1');
$again->hello(device => 'd1', epoch => 'e1', cursors => { user => 6, all => 0 });
$again->wait_for('welcome');
my $f = asked('u1', 2);
is($f->{epoch}, 'e1', 'its own epoch is told');

my $reset = '{"type":"reset","epoch":"e2","logs":{"user":{"floor":0,"tip":0},'
    . '"all":{"floor":0,"tip":0}}}';
answer('e2', $f, 0, "reset $f->{inst}.$f->{conn} " . length($reset)
    . "\n$reset\n");
is($again->wait_for('reset')->{epoch}, 'e2', 'reset');
is($again->wait_for('synced')->{seq}, 0, 'synced at 0');

is(($edge->deliver("epoch e2\n" . Push::Edge::item('user', 'u1', 1, '"new"')))
    [1], 'ok 1', 'the new history goes to the new connection');

is_deeply([ $edge->stream('push:ev:ack') ], [], 'the ack was not told');

undef @before;
$edge->logs_ok_now(qr/epoch changed/);

done_testing();
