#!/usr/bin/perl

# A dispatcher goes away: what is stored waits or goes another way, what does
# not fit is owed and paid first.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Push::Collector qw(wait_until);
use Test::More;

my $t = Push::Collector->new(conf => { hand_over_bytes => '4m' });
my $mock = $t->mock;

# down, and up again

$mock->end;
is($t->publish({ user => 'u1' }, $_)->{http}, 201, 'stored') for 1 .. 3;
ok(wait_until(sub { $t->log =~ /event=dispatcher_down url=\S+ status=0/ }),
    'the log says that it is down');
is($t->publish({ user => 'u1' }, 'e', ephemeral => JSON::PP::true)->{http},
    503, 'an ephemeral message is refused');
ok(wait_until(sub { $t->metric('dispatchers_up') == 0 }), 'a metric too');

$mock->start;
ok(wait_until(sub { $mock->lines == 3 }), 'up again: they arrive');
is_deeply([ map { (split)[2] } $mock->lines ], [ 1 .. 3 ], 'in order');
is(($mock->bodies)[0], 'epoch ' . $t->epoch . "\n", 'behind a probe');
like($t->log, qr/event=dispatcher_up /, 'the log says it');
is($t->publish({ user => 'u1' }, 'e', ephemeral => JSON::PP::true)->{http},
    202, 'ephemeral ones are taken again');
ok(wait_until(sub { $mock->lines == 4 }), 'and arrive');

# it breaks off in the middle

$mock->forget;
$mock->say('close');
$t->publish({ user => 'u2' }, 1);
$t->publish({ user => 'u2' }, 'e', ephemeral => JSON::PP::true);
ok(wait_until(sub { $mock->bodies }), 'a body without an answer');
$mock->say('ok 1');
ok(wait_until(sub { (grep { /^user u2 1 / } $mock->lines) == 2 }, 5),
    'the stored message is sent again');
cmp_ok(scalar(grep { /^user u2 0 / } $mock->lines), '<=', 1,
    'the ephemeral one is not');

# a wrong secret is not an answer

$mock->forget;
$mock->say('ok 1', status => 403, text => '');
$t->publish({ user => 'u3' }, 1);
ok(wait_until(sub { $t->log =~ /event=dispatcher_down \S+ status=403/ }),
    '403: down');
$mock->say('ok 1');
ok(wait_until(sub { (grep { /^user u3 1 / } $mock->lines) == 2 }, 5),
    'and later it arrives');

# more than the memory takes: owed, and paid before what waits

$mock->end;
my $big = 'x' x 200_000;
$t->publish({ user => "b$_" }, $big) for 1 .. 40;
ok(wait_until(sub { $t->metric('hand_over_debts') > 10 }), 'debts');
is($t->publish({ user => 'last' }, 1)->{http}, 201, 'publishing goes on');
cmp_ok($t->metric('hand_over_waiting_bytes'), '<=', 4 << 20,
    'the memory has its bound');

$mock->forget if $mock->{pid};
$mock->start;
ok(wait_until(sub {
    $t->metric('hand_over_debts') == 0
        && $t->metric('hand_over_waiting_items') == 0 }, 20), 'all is paid');

my %seen;
my @lines = $mock->lines;
for (@lines) {
    $seen{$1}++ if /^resync user:(\S+)$/ || /^user (\S+) 1 /;
}

is(scalar(grep { $seen{"b$_"} } 1 .. 40), 40, 'each log is told once');
is(scalar(grep { $seen{$_} > 1 } keys %seen), 0, 'and only once');
like($lines[0], qr/^resync user:b\d+$/, 'debts go out first');

# debts that are answered unknown are owed on

$mock->end;
$t->publish({ user => "c$_" }, $big) for 1 .. 40;
ok(wait_until(sub { $t->metric('hand_over_debts') > 10 }), 'debts again');
$mock->start;
$mock->say(['^resync ', 'unknown']);
ok(wait_until(sub { grep { /^resync / } $mock->lines }, 20), 'not paid');
cmp_ok($t->metric('hand_over_debts'), '>', 10, 'still owed');
$mock->say('none');
ok(wait_until(sub { $t->metric('hand_over_debts') == 0 }, 20), 'then paid');

$t->done_ok;
done_testing();
