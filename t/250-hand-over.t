#!/usr/bin/perl

# What is committed reaches a dispatcher: form, order, retry, the end of it.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Push::Collector qw(wait_until);
use Test::More;
use Time::HiRes qw(time);

my $t = Push::Collector->new;
my $mock = $t->mock;

# form

my $r = $t->publish({ user => 'u42' }, { hello => 1 });
is($r->{http}, 201, 'a message is stored');

ok(wait_until(sub { $mock->bodies }), 'and handed over');

my ($heard) = @{ $mock->heard };
my $epoch = $t->epoch;
my $frame = qq({"type":"message","log":"user","seq":1,"ts":TS,)
    . qq("id":"user:u42\@1","data":{"hello":1}});
my $body = $heard->{body};
ok($body =~ s/"ts":(\d{13}),/"ts":TS,/, 'it has its time');
my $len = length($frame) + 11;
my $off = $len - 1 - length('{"hello":1}');
is($body, "epoch $epoch\nuser u42 1 0 $len $off\n$frame\n", 'byte by byte');
like($heard->{headers}, qr/^Push-Secret: \Q$Push::Collector::secret\E\r$/m,
    'with the secret');

# kinds

$mock->forget;
$t->publish({ all => JSON::PP::true }, 'x', ttl => 100);
$t->publish({ users => ['a', 'b'] }, 'y');
$t->publish({ user => 'u42' }, 'z', ephemeral => JSON::PP::true);
ok(wait_until(sub { $mock->lines == 4 }), 'all kinds');
my @lines = $mock->lines;
like($lines[0], qr/^all 1 \d{10} \d+ \d+$/, 'all, with its end');
like($lines[1], qr/^user a 1 0 /, 'users: one');
like($lines[2], qr/^user b 1 0 /, 'users: the other');
like($lines[3], qr/^user u42 0 0 /, 'ephemeral: no seq');
unlike(($mock->bodies)[-1], qr/"seq"|"id"/, 'no seq in the frame either');

# natural batching, order

$mock->forget;
$mock->say('hang');
$t->publish({ user => 'u1' }, $_) for 1 .. 50;
ok(wait_until(sub { $mock->lines }), 'one body is under way');
is(scalar($mock->bodies), 1, 'and no other');
$mock->say('ok 1');
ok(wait_until(sub { $mock->lines == 50 }), 'what waited comes next');
is(scalar($mock->bodies), 2, 'in one body');
is_deeply([ map { (split)[2] } $mock->lines ], [ 1 .. 50 ], 'in order');

# unknown: again after 0.5 s, 1 s, ...; the others are done with

$mock->forget;
$mock->say(['^user slow ', 'unknown']);
$t->publish({ users => ['slow', 'fast'] }, 1);
ok(wait_until(sub { $mock->lines == 4 }, 5), 'it is tried again');
my @at = map { $_->{at} } grep { $_->{body} =~ /^user slow /m }
    @{ $mock->heard };
cmp_ok($at[1] - $at[0], '>=', 0.45, 'after 0.5 s');
cmp_ok($at[2] - $at[1], '>=', 0.95, 'then after 1 s');
is((grep { /^user fast / } $mock->lines), 1, 'what arrived is not');
$mock->say('ok 1');
ok(wait_until(sub { $mock->lines == 5 }, 5), 'until it arrives');
ok(wait_until(sub { $t->metric('hand_over_waiting_items') eq '0' }),
    'nothing is left');

# never again: ephemeral

$mock->forget;
$mock->say('unknown');
$t->publish({ user => 'u1' }, 'e', ephemeral => JSON::PP::true);
ok(wait_until(sub { $t->metric('hand_over_lost_total') }),
    'an ephemeral one is lost');
is(scalar($mock->lines), 1, 'after one try');

# an answer that is cut short counts as unknown from there

$mock->forget;
$mock->say('cut');
$t->publish({ users => ['c1', 'c2', 'c3'] }, 1);
ok(wait_until(sub { $mock->lines }), 'an answer is cut');
$mock->say('ok 1');
ok(wait_until(sub { $mock->lines == 5 }, 5), 'the rest is sent again');
is((grep { /^user c1 / } $mock->lines), 1, 'but not what was answered');

# refused: 400 names no item for ever

$mock->forget;
$mock->say('ok 1', status => 400, text => "ok 1\nerror 3 bad\n");
$t->publish({ users => ['r1', 'r2', 'r3'] }, 1);
ok(wait_until(sub { $mock->lines }), 'a body is refused');
$mock->say('ok 1');
ok(wait_until(sub { grep { /^resync user:r2$/ } $mock->lines }, 5),
    'the item at fault is owed as a resync');
ok(wait_until(sub { (grep { /^user r3 / } $mock->lines) == 2 }, 5),
    'those behind it are sent again');
is((grep { /^user r2 / } $mock->lines), 1, 'it is not');
is((grep { /^user r1 / } $mock->lines), 1, 'nor what was answered');

$t->done_ok;
done_testing();
