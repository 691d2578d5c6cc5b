#!/usr/bin/perl

# Clients whose network went away without a word: no FIN, no reset, nobody
# answers.  The heartbeat finds who hears nothing, and 10 s without a byte taken
# finds who is sent something; the others notice nothing.
#
# In a network namespace of its own, where the vanished clients have an address
# that can be taken away.

use warnings;
use strict;

use FindBin qw($Bin);
use lib "$Bin/lib";
use IO::Socket::INET;
use Push::Edge;
use Push::WebSocket;
use Test::More;
use Time::HiRes qw(time);

my $far = '10.99.36.1';

if (!$ENV{PUSH_TEST_NAMESPACE}) {
    plan(skip_all => 'needs root') if $> != 0;
    plan(skip_all => 'needs unshare and ip')
        if system('unshare -n ip link set lo up 2> /dev/null') != 0;

    $ENV{PUSH_TEST_NAMESPACE} = 1;
    exec('unshare', '-n', $^X, $0) or die "unshare: $!\n";
}

system("ip link set lo up && ip address add $far/32 dev lo") == 0
    or die "ip: no address\n";

*wait_until = \&Push::Edge::wait_until;

my $edge = Push::Edge->new(redis => 0, http => 'push_drain_time 0;',
    location => 'push_heartbeat_timeout 15s;');

sub far {
    my ($user) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $edge->{port}, LocalAddr => $far) or die "far: $!\n";
    my $ws = $edge->ws($user, socket => $socket);

    $ws->hello(device => 'd');
    $ws->wait_for('welcome') or die "no welcome\n";
    return $ws;
}

my $near = $edge->ws('near');
$near->hello(device => 'd');
ok($near->wait_for('welcome'), 'a client that stays');

my @silent = map { far("silent-$_") } 1 .. 5;
my @sent = map { far("sent-$_") } 1 .. 5;

is($edge->status->{connections}, 11, 'all are connected');
system("ip address del $far/32 dev lo") == 0 or die "ip: $!\n";

my $gone = time();
my $data = '"' . 'x' x 60_000 . '"';
my @answers;

# more than the kernel takes for somebody who is silent
for (1 .. 200) {
    @answers = $edge->deliver(join '', "epoch e1\n", map {
        Push::Edge::item('user', "sent-$_", 0, $data) } 1 .. 5);
    last if 5 == grep { /^(?:queued|slow)/ } @answers;
}

is(scalar(grep { /^(?:queued|slow)/ } @answers), 5, 'messages wait for them')
    or diag("@answers");

my ($i, %at) = (0);

ok(wait_until(sub {
    my $s = $edge->status;

    $at{$_} //= time() - $gone
        for grep { $s->{"closed_$_"} == 5 } qw(slow heartbeat);

    # who stays says something now and then, and is served
    if (time() - $gone > 4 * $i) {
        $i++;
        $near->send_json({ type => 'ping' });
        $edge->deliver("epoch e1\n"
            . Push::Edge::item('user', 'near', 0, $i));
        $near->wait_for('message') or $i = -1e9;
    }

    return $s->{connections} == 1;
}, 60), 'those who vanished are gone');

my $s = $edge->status;

is($s->{closed_slow} + $s->{closed_heartbeat}, 10, 'with a reason each');
cmp_ok($s->{closed_slow}, '>=', 5, 'who was sent something: too slow');
cmp_ok($at{slow} // 99, '<', 16, '... after 10 s and a closing');
cmp_ok($at{heartbeat} // 99, '<', 25, 'who was not: heartbeat, after 15 s');
cmp_ok($i, '>', 3, 'who stays was served all the time');
is($s->{queue_bytes}, 0, 'nothing waits for them any more');

$edge->stop('QUIT');
$edge->logs_ok_now;
done_testing();
