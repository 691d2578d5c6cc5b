#!/usr/bin/perl

# kill -9 between commit and hand-over: the next process hands it over.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Push::Collector qw(wait_until);
use Test::More;

my $t = Push::Collector->new;
my $mock = $t->mock;

sub seqs {
    my ($user) = @_;
    return [ map { (split)[2] } grep { /^user $user / } $mock->lines ];
}

sub quiet { $t->metric('hand_over_waiting_items') eq '0' }

# before the hand-over

$mock->say('hang');
is($t->publish({ user => 'u1' }, $_)->{http}, 201, "message $_ is stored")
    for 1 .. 3;
$t->kill;

$mock->say('ok 1');
$mock->forget;
$t->start;
like($t->log, qr/event=store_open \S+ repair=rows/, 'the start finds rows');
ok(wait_until(sub { @{ seqs('u1') } == 3 }), 'they are handed over');
is_deeply(seqs('u1'), [ 1, 2, 3 ], 'each once, in order');
ok(wait_until(sub { $t->log =~ /event=repair_ended/ }), 'and that is all');
is($t->metric('hand_over_repaired_total'), 3, 'a counter says how many');

# after it: the mark is written within a second or so

ok(wait_until(sub { $t->mark == 3 }, 5), 'the mark follows');
$t->kill;
$mock->forget;
$t->start;
like($t->log, qr/event=store_open \S+ repair=none/, 'nothing to repair');
$t->publish({ user => 'u2' }, 1);
ok(wait_until(sub { @{ seqs('u2') } == 1 }), 'it works');
is_deeply(seqs('u1'), [], 'nothing comes twice');

# some thousands, while new ones come

wait_until(sub { $t->mark == 4 }, 5);
$mock->say('hang');

for my $n (1 .. 5) {
    $t->publish({ users => [ map { "m$_" } 1 .. 500 ] }, $n);
}

$t->kill;
$mock->say('ok 1');
$mock->forget;
$t->start;
$t->publish({ users => [ map { "m$_" } 1 .. 500 ] }, 6);

ok(wait_until(sub { $mock->lines >= 3000 && quiet() }, 20),
    '2500 old ones and 500 new ones');

my %count;
$count{join(' ', (split)[1, 2])}++ for grep { /^user m/ } $mock->lines;
is(scalar(keys %count), 3000, 'all of them');
cmp_ok(scalar(grep { $_ > 1 } values %count), '<=', 500,
    'only the new ones may have come twice');

# debts die with the process, what they stand for does not

wait_until(sub { $t->mark == 3004 }, 5);
$mock->forget;
$mock->say('ok 1', status => 400, text => "error 2 bad\n");
$t->publish({ user => 'd1' }, 1);
ok(wait_until(sub { $t->metric('hand_over_dropped_total') }), 'a debt');
$mock->say('unknown');
$t->publish({ user => 'd2' }, 1);
ok(wait_until(sub { grep { /^user d2 / } $mock->lines }), 'and later rows');
$t->publish({ user => 'd3' }, 1);
ok(wait_until(sub { (grep { /^user d3 / } $mock->lines) >= 2 }),
    'the mark had its time');
is($t->mark, 3004, 'but stays below the debt');
$t->kill;

$mock->forget;
$mock->say('ok 1');
$t->start;
ok(wait_until(sub { @{ seqs('d1') } == 1 && @{ seqs('d2') } == 1 }),
    'both are handed over again');

# a clean end while a dispatcher is down: the same

ok(wait_until(sub { $t->mark == 3007 }, 5), 'all is quiet');
$mock->end;
$t->publish({ user => 'e1' }, 1);
is($t->end('collector', 'TERM'), 0, 'TERM ends it after drain_timeout');
$mock->start;
$t->start;
ok(wait_until(sub { @{ seqs('e1') } == 1 }), 'the next one hands it over');

# a clean end with nothing left: nothing to repair

ok(wait_until(\&quiet), 'all was handed over');
is($t->end('collector', 'TERM'), 0, 'TERM ends it');
$t->start;
like($t->log, qr/event=store_open \S+ repair=none/, 'nothing to repair');

$t->done_ok;
done_testing();

