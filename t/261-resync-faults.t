#!/usr/bin/perl

# The stream of requests: bad entries, late ones, Redis that forgets or goes.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Push::Collector qw(wait_until);
use Test::More;

my $t = Push::Collector->new;
my %good = (uid => 'u1', first => 1, logs => 'user:u1 - 64');

$t->publish({ user => 'u1' }, 1);

sub answered {
    my ($title, $timeout) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    # as an edge does: it asks again until there is an answer
    ok(wait_until(sub { $t->answer($t->resync(%good), 0, 1) },
        $timeout // 10), $title);
}

answered('a good one is answered');

# bad ones

my @bad = (
    [ v => 2 ], [ v => undef ], [ node => 'a b' ], [ inst => 'x' ],
    [ conn => '1' ], [ uid => undef ], [ dev => '' ], [ rid => '-1' ],
    [ first => 'yes' ], [ bytes => '1k' ], [ due_ms => 'soon' ],
    [ logs => undef ], [ logs => 'user:u2 - 64' ], [ logs => 'user:u1 -' ],
    [ logs => "user:u1 - 64\n" x 2 ], [ logs => 'x' x 100_000 ],
    [ epoch => '' ],
);

$t->resync(%good, @$_) for @bad;
$t->redis('XADD', 'push:ev:resync', '*', 'hello', 'world');

ok(wait_until(sub { $t->metric('resync_bad_total') == @bad + 1 }),
    'bad ones are counted');
like($t->log, qr/event=resync_bad entry=\d+-\d+ field=$_\b/,
    "the log names $_") for qw(v node inst rid logs);
answered('and the next good one is answered');

# a known one with fields of a later version

my $rid = $t->resync(%good, v2 => 'x', later => 'y');
ok($t->answer($rid), 'unknown fields are ignored');

# late ones

$rid = $t->resync(%good, due_ms => $t->now_ms - 10);
ok(wait_until(sub { $t->metric('resync_overdue_total') == 1 }),
    'an overdue one is skipped');
answered('the next one is not');
ok(!$t->answer($rid, 0, 0), 'and the late one never');

# nobody to answer to

$t->mock->end;
$t->publish({ user => 'u1' }, 2);
ok(wait_until(sub { $t->metric('dispatchers_up') == 0 }),
    'the dispatcher is down');
my $read = $t->metric('resync_requests_total');
$t->resync(%good, due_ms => $t->now_ms + 100) for 1 .. 300;
my $first = $t->now_ms;
ok(wait_until(sub { $t->now_ms > $first + 150 }), 'a while');
$t->mock->start;
answered('it is up: answers go on', 15);
ok(wait_until(sub { $t->metric('resync_requests_total') >= $read + 301 }),
    'all were read in the end');
cmp_ok($t->metric('resync_overdue_total'), '>', 50, 'most of them too late');

# Redis forgets everything

$t->redis('FLUSHALL');
answered('FLUSHALL: the group is made again');
$t->redis('DEL', 'push:ev:resync');
answered('the stream is gone: the same');

# Redis goes and comes back, empty

$t->end('redis');
is($t->publish({ user => 'u1' }, 3)->{http}, 201, 'no Redis: publishing works');
ok(wait_until(sub { grep { /^user u1 3 / } $t->mock->lines }),
    'handing over too');
$t->start_redis;
answered('Redis is back: requests are answered', 15);

# the collector is killed; another one goes on

$t->kill;
$rid = $t->resync(%good, due_ms => $t->now_ms + 60_000);
$t->start;
ok($t->answer($rid, 0, 10), 'what came meanwhile is answered');
answered('and what comes then');

$t->done_ok;
done_testing();
