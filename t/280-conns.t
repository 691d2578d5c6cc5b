#!/usr/bin/perl

# A device that has connected elsewhere: its older connection is closed.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Push::Collector qw(wait_until);
use Test::More;
use Time::HiRes qw(time);

my $t = Push::Collector->new;
my $stream = 'push:ev:conn';
my ($inst, $next) = ($Push::Collector::instance, 1);

# An entry of push:ev:conn as an edge writes it; its conn.
sub event {
    my ($event, %o) = @_;

    my %field = (
        v => 1, node => 'edge-1', inst => $inst,
        conn => sprintf('01000100%08x', $next++), uid => 'u1', dev => 'd1',
        event => $event, code => $event eq 'replace' ? 4003 : 0,
        since_ms => $t->now_ms - 5, at_ms => $t->now_ms, %o,
    );

    $t->{last} = $t->redis('XADD', $stream, '*',
        map { ($_, $field{$_}) } grep { defined $field{$_} } sort keys %field);

    return $field{conn};
}

sub count { $t->metric("conn_events_total{event=\"$_[0]\"}") }
sub bad { $t->metric('conn_events_bad_total') }

sub read_all {
    return wait_until(sub {
        $t->redis('XINFO', 'GROUPS', $stream)->[0][7] eq $t->{last}
            && ($t->pending($stream) // 1) == 0
    });
}

sub closes { grep { /^close / } $t->mock->lines }
sub close_of { "close $inst.$_[0] 4003 30" }

# --- open, close

event('open');
event('open', dev => '-');
event('close', code => 1000);
ok(read_all(), 'what comes and goes is read and confirmed');
is(count('open') . ' ' . count('close'), '2 1', 'and counted');
is(scalar(closes()), 0, 'nobody is closed');

# --- replace

my $from = time();
my $conn = event('replace');
ok(wait_until(sub { closes() }), 'a replaced connection is closed');
cmp_ok(time() - $from, '<', 1, 'within a second');
is_deeply([ closes() ], [ close_of($conn) ], 'this one, with 4003');
my ($body) = grep { /^close /m } $t->mock->bodies;
is($body, 'epoch ' . $t->epoch . "\nnode edge-1/$inst\n" . close_of($conn)
    . "\nreplaced by a newer connection\n", 'by its node, with a reason');
ok(read_all(), 'and confirmed');
is(count('replace'), 1, 'counted');

$t->mock->forget;
my @conns = map { event('replace', uid => "m$_", dev => "d$_") } 1 .. 1500;
ok(wait_until(sub { @conns == closes() }), 'many of them');
is_deeply([ sort(closes()) ], [ sort map { close_of($_) } @conns ],
    'all, once');
ok(read_all(), 'confirmed');

# --- bad ones hold nothing up

$t->mock->forget;
$t->redis('XADD', $stream, '*', 'hello', 'world');
event('replace', conn => '0100010000000000');
event('replace', conn => "01000100\n0000001");
event('replace', node => 'edge 1');
event('replace', uid => undef);
event('replace', dev => '-');
event('replaced');
event('replace', v => 2);
$conn = event('replace', later => 'field');
ok(wait_until(sub { closes() }), 'a good one behind bad ones');
is_deeply([ closes() ], [ close_of($conn) ], 'only this one');
ok(read_all(), 'all are confirmed');
is(bad(), 8, 'bad ones are counted');
like($t->log, qr/event=conn_bad entry=\S+ field=$_/, "and logged: $_")
    for qw(v conn node uid dev event);

# --- no dispatcher

my $waits = sub { $t->redis('CLIENT', 'LIST')
    =~ /name=push-collector-conns .*flags=b/ };
ok(wait_until($waits), 'the reader waits for entries');
$t->mock->end;
$t->publish({ user => 'u1' }, 1);
ok(wait_until(sub { $t->metric('dispatchers_up') == 0 }), 'no dispatcher');
@conns = map { event('replace', uid => "w$_") } 1 .. 3;
my $open = count('open');
event('open');
ok(wait_until(sub { ($t->pending($stream) // 0) >= 1 }), 'closes wait');
$t->mock->start;
ok(wait_until(sub { 3 == closes() }), 'until it is back');
is_deeply([ sort(closes()) ], [ sort map { close_of($_) } @conns ],
    'all, once');
ok(read_all(), 'confirmed then');
is(count('open'), $open + 1, 'what was behind them is counted');

# --- what a process read and did not confirm comes again

$t->mock->forget;
$t->kill;
$conn = event('replace');
$t->redis('XREADGROUP', 'GROUP', 'collector', 'collector-1', 'STREAMS',
    $stream, '>');
is($t->pending($stream), 1, 'read by one that died');
$t->start;
ok(read_all(), 'read again by the next');
ok(wait_until(sub { closes() }), 'and handed on');
is_deeply([ closes() ], [ close_of($conn) ], 'once');

# what was read and is trimmed since has nothing to say

$t->kill;
event('open');
$t->redis('XREADGROUP', 'GROUP', 'collector', 'collector-1', 'STREAMS',
    $stream, '>');
$t->redis('XTRIM', $stream, 'MAXLEN', 0);
$t->start;
ok(read_all(), 'a trimmed one is confirmed');
is(bad(), 0, 'and not a bad one');

# --- Redis forgets

$t->redis('FLUSHALL');
ok(wait_until(sub { defined $t->pending($stream) }),
    'FLUSHALL: the group is made again');
$t->mock->forget;
$conn = event('replace');
ok(wait_until(sub { closes() }), 'and read');
ok(read_all(), 'and confirmed');

$t->done_ok;
done_testing();
