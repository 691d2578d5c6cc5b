#!/usr/bin/perl

# What an edge asks for: where each log begins, what the answer holds.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Push::Collector qw(wait_until);
use Test::More;

my $t = Push::Collector->new;
my $c = "$Push::Collector::instance.$Push::Collector::conn";

# The lines of an answer, short: seq alone of messages.
sub ask {
    my (%o) = @_;
    my $rid = $t->resync(uid => 'u1', %o);
    my $lines = $t->answer($rid, 0, 5) or return ['no answer'];

    return [ map { s/^(\w+) \S+/$1/r
        =~ s/^conn (\S+) (\d+) .*/$1 $2/r =~ s/ $rid / /r } @$lines ];
}

$t->publish({ user => 'u1' }, $_) for 1 .. 5;
$t->publish({ all => JSON::PP::true }, $_) for 1 .. 3;
my $both = "user:u1 - 64\nall - 64";

# a device that nobody has seen: its own log from the floor, all from the tip

is_deeply(ask(first => 1, logs => $both), [
    'begin user:u1 0', (map { "user:u1 $_" } 1 .. 5), 'tip user:u1 5',
    'begin all 3', 'tip all 3' ], 'first seen');

my ($body) = grep { /^begin /m } $t->mock->bodies;
my $frame = '{"type":"message","log":"user","seq":1,"ts":TS,'
    . '"id":"user:u1@1","data":1}';
my $len = length($frame) + 11;
$body =~ s/"ts":\d{13},/"ts":TS,/;
like($body, qr{^\Qnode edge-1/$Push::Collector::instance
begin $c user:u1 1 0
conn $c user:u1 1 0 $len ${\ ($len - 2) }
$frame
\E}m, 'addressed to its node, byte by byte');

# that was stored: what comes while it is away is not missed

$t->publish({ all => JSON::PP::true }, 4);
is_deeply(ask(first => 1, logs => 'all - 64'),
    [ 'begin all 3', 'all 4', 'tip all 4' ], 'all goes on where it began');
is_deeply($t->json('/v1/messages/all@3')->{acked}, [],
    'but that was no ack');

# cursors of a hello

is_deeply(ask(first => 1, logs => 'user:u1 4 64'),
    [ 'begin user:u1 4', 'user:u1 5', 'tip user:u1 5' ], 'its own cursor');
is_deeply($t->json('/v1/messages/user:u1@4')->{acked}, ['d1'],
    'counts as an ack');
is_deeply($t->json('/v1/messages/user:u1@5')->{acked}, [], 'of no more');
is_deeply(ask(first => 1, dev => 'd2', logs => $both), [
    'begin user:u1 4', 'user:u1 5', 'tip user:u1 5',
    'begin all 4', 'tip all 4' ], 'another device begins at the highest ack');
is_deeply(ask(first => 1, logs => 'user:u1 1 64', epoch => $t->epoch)->[0],
    'begin user:u1 1', 'a cursor below its stored one is its own affair');
is_deeply(ask(first => 1, logs => 'user:u1 - 64')->[0], 'begin user:u1 4',
    'and changes nothing');

# later requests of a connection

is_deeply(ask(logs => 'user:u1 5 64'), [ 'begin user:u1 5', 'tip user:u1 5' ],
    'what was written');
is_deeply($t->json('/v1/messages/user:u1@5')->{acked}, [], 'is no ack');

# reset

for my $case ([ 'another epoch', epoch => 'e0', logs => $both ],
    [ 'a cursor above the tip', logs => "user:u1 6 64\nall - 64" ],
    [ 'the same, later on', first => 0, logs => "user:u1 6 64\nall - 64" ])
{
    my ($title, %o) = @$case;
    my $before = () = $t->mock->bodies;
    my $lines = ask(first => 1, %o);

    like($lines->[0], qr/^reset \d+$/, "$title: reset");
    shift @$lines;
    is_deeply($lines, [ 'begin user:u1 0', (map { "user:u1 $_" } 1 .. 5),
        'tip user:u1 5', 'begin all 0', (map { "all $_" } 1 .. 4),
        'tip all 4' ], 'and all from the floor');

    my ($text) = map { /^reset .*\n(.*)$/m ? $1 : () }
        ($t->mock->bodies)[$before .. -1 + (() = $t->mock->bodies)];
    is_deeply(decode_json($text), { type => 'reset', epoch => $t->epoch,
        logs => { user => { floor => 0, tip => 5 },
                  all => { floor => 0, tip => 4 } } }, 'with its frame');
}

# credit and bytes

is_deeply(ask(logs => "user:u1 0 2\nall 0 1"), [
    'begin user:u1 0', 'user:u1 1', 'user:u1 2', 'tip user:u1 5',
    'begin all 0', 'all 1', 'tip all 4' ], 'no more than the credit');
is_deeply(ask(logs => 'user:u1 0 0'),
    [ 'begin user:u1 0', 'tip user:u1 5' ], 'no credit: the tip');
is_deeply(ask(logs => "user:u1 0 64\nall 0 64", bytes => 300), [
    'begin user:u1 0', 'user:u1 1', 'tip user:u1 5',
    'begin all 0', 'tip all 4' ], 'no more than the bytes');
is_deeply(ask(logs => 'user:u1 0 64', bytes => 0)->[1], 'user:u1 1',
    'but one message always');

# a large log comes page by page

$t->publish({ user => 'u1' }, 'x' x 100_000) for 6 .. 15;
my $lines = ask(logs => 'user:u1 5 256', bytes => 64 << 20);
is($lines->[-1], 'tip user:u1 15', 'the tip is the real one');
cmp_ok(@$lines, '>=', 6, 'several');
cmp_ok(@$lines, '<', 12, 'but not more than fits into a body');

# a worker

my %worker = (uid => '-', dev => '-', conn => '0100000000000000');
is_deeply(ask(%worker, logs => 'all - 64'), [ 'begin all 4', 'tip all 4' ],
    'a worker begins at the tip');
is_deeply(ask(%worker, logs => 'all 2 64'),
    [ 'begin all 2', 'all 3', 'all 4', 'tip all 4' ],
    'and goes on where it was');
is_deeply(ask(%worker, logs => 'all 9 64'), [ 'begin all 4', 'tip all 4' ],
    'in another history it begins anew, without a frame');

# what has expired is said

$t->publish({ user => 'u2' }, 1);
$t->publish({ user => 'u2' }, $_, ttl => 1) for 2 .. 3;
$t->publish({ user => 'u2' }, 4);
my %u2 = (uid => 'u2', logs => 'user:u2 0 64');
ok(wait_until(sub { grep { /^void/ } @{ ask(%u2) } }, 5), 'expired');
is_deeply(ask(%u2), [ 'begin user:u2 0', 'user:u2 1',
    'void user:u2 2 3 expired', 'user:u2 4', 'tip user:u2 4' ], 'as void');

# logs that are empty

is_deeply(ask(uid => 'new', first => 1, logs => 'user:new - 64'),
    [ 'begin user:new 0', 'tip user:new 0' ], 'an empty log');

# many at once: each one is answered

$t->mock->forget;
my @rids = map { $t->resync(uid => "m$_", first => 1,
    due_ms => $t->now_ms + 20_000, logs => "user:m$_ - 64\nall - 64") }
    1 .. 1000;
my $tips = sub { my %rid;
    /^tip \S+ user:m\d+ (\d+) 0$/ and $rid{$1}++ for $t->mock->lines; \%rid };
ok(wait_until(sub { keys %{ $tips->() } == 1000 }, 20), 'a thousand');
is((grep { $_ != 1 } values %{ $tips->() }), 0, 'each once');

$t->done_ok;
done_testing();
