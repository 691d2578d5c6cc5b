#!/usr/bin/perl

# A device has one connection: which one, when they come at once, when clocks
# differ, when a close is lost.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Push::Edge;
use Test::More;
use Time::HiRes qw(time);

*wait_until = \&Push::Edge::wait_until;

my $edge = Push::Edge->new(workers => 2);
my $other = 'edge-9/00000000000000aa/0100010000000001';

ok(wait_until(sub { ($edge->status->{redis_up} // 0) == 2 }),
    'connected to Redis');

sub client {
    my ($user, $device) = @_;
    my $ws = $edge->ws($user);

    $ws->hello(defined $device ? (device => $device) : ());
    $ws->{welcome} = $ws->wait_for('welcome');
    return $ws;
}

sub members { grep { length } $edge->redis('ZRANGE', "push:{$_[0]}", 0, -1) }

sub replaced {
    my ($user) = @_;
    return grep { $_->{uid} eq $user && $_->{event} eq 'replace' }
        $edge->stream('push:ev:conn');
}

# One of the same device on another node, bound so many ms from now.
sub bound {
    my ($user, $ahead_ms, $conn) = @_;
    my $now = int(time() * 1000);

    $edge->redis('ZADD', "push:{$user}", $now + 90_000,
        ($conn // $other) . '/d1/' . ($now + $ahead_ms));
}

# how long it lives; pings keep it alive
sub closed_after {
    my ($ws, $timeout) = @_;
    my $from = time();

    until (defined $ws->wait_close(1)) {
        return if time() - $from > $timeout;
        $ws->send_json({ type => 'ping' });
    }

    return time() - $from;
}

# its binding has been taken by a newer one, whose close never comes

my $lost = client('lost', 'd1');
my $kept = client('kept', 'd1');
ok(wait_until(sub { 1 == members('lost') && 1 == members('kept') }), 'bound');
$edge->redis('DEL', 'push:{lost}');
bound('lost', 1000);
$edge->redis('DEL', 'push:{kept}');

# who comes replaces who was there, whatever the clocks say

for my $ms (-60_000, 2, 60_000) {
    my $user = "u:$ms";
    bound($user, $ms);
    my $ws = client($user, 'd1');
    ok(wait_until(sub { replaced($user) }), "one of $ms ms is replaced");
    $ws->send_json({ type => 'ping' });
    ok($ws->wait_for('pong'), 'the new one stays');
    is(scalar(members($user)), 1, 'alone');
}

# ... unless its binding was long on its way: its client may have come back on
# another edge since

bound('late', 1200);
kill('STOP', $edge->{redis_pid});
my $stopped = time();
my $late = $edge->ws('late');
$late->hello(device => 'd1');
$late->wait_for('welcome');
wait_until(sub { time() > $stopped + 1.5 });
kill('CONT', $edge->{redis_pid});
is($late->wait_close(5), 4003, 'a binding that was late yields to a newer one');
ok(wait_until(sub { 1 == members('late') }), 'which stays');
like((members('late'))[0], qr/^edge-9/, '... on its edge');

# a binding that cannot be made is tried again

$edge->redis('SET', 'push:{wrong}', 'type');
my $wrong = client('wrong', 'd1');
$wrong->send_json({ type => 'ping' });
ok($wrong->wait_for('pong'), 'Redis refuses a binding');
$edge->redis('DEL', 'push:{wrong}');
ok(wait_until(sub { 1 == members('wrong') }), 'it is made later');

# at the same time

my @same = map { $edge->ws('u3') } 1 .. 20;
$_->hello(device => 'd1') for @same;
ok(wait_until(sub { $_->wait_close(0.01) for @same;
    1 == grep { !defined $_->close_code } @same }),
    'of twenty at once one stays');
is_deeply([ grep { $_ != 4003 } grep { defined } map { $_->close_code } @same ],
    [], 'the others hear 4003');
ok(wait_until(sub { 1 == members('u3') }), 'one binding');
my ($stays) = grep { !defined $_->close_code } @same;
$stays->send_json({ type => 'ping' });
ok($stays->wait_for('pong'), 'it talks');

# no device, another one

my @none = map { client('u4', undef) } 1 .. 2;
my @devices = map { client('u4', "d$_") } 1 .. 2;
ok(wait_until(sub { 4 == members('u4') }), 'other devices, and none');
$_->send_json({ type => 'ping' }) for @none, @devices;
is(scalar(grep { $_->wait_for('pong') } @none, @devices), 4, 'all stay');

# a UUID, which the edge keeps packed, and what only looks like one

my $uuid = '0f8fad5b-d9cb-469f-a165-70867728950e';
my %by_name = map { $_ => client('u5', $_) }
    $uuid, uc $uuid, "${uuid}0", substr($uuid, 0, 35);
ok(wait_until(sub { 4 == members('u5') }), 'four devices');
is_deeply([ sort map { (split m{/})[3] } members('u5') ],
    [ sort keys %by_name ], 'are bound by their own names');
my $newer = client('u5', $uuid);
is($by_name{$uuid}->wait_close, 4003, 'its next connection replaces it');
$by_name{uc $uuid}->send_json({ type => 'ping' });
ok($by_name{uc $uuid}->wait_for('pong'), 'and no other');

# a number of a connection that went is used again, its id is not

my %ids;
for my $n (1 .. 40) {
    my $ws = client('u6', "d$n");
    $ids{$ws->{welcome}{conn}}++;
    $ws->send_close(1000);
    $ws->wait_close;
    wait_until(sub { !members('u6') });
}
is(scalar(keys %ids), 40, 'forty connections, forty ids');

# a renewal finds out

my $after = closed_after($lost, 40);
is($lost->close_code, 4003, 'a lost close: the next renewal finds out');
$kept->send_json({ type => 'ping' });
ok(wait_until(sub { 1 == members('kept') }, 15), 'who was only forgotten is '
    . 'bound again');
ok($kept->wait_for('pong'), 'and stays');

$edge->logs_ok_now;
done_testing();
