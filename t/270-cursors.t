#!/usr/bin/perl

# Acks become cursors, in bulk, once they are committed.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Push::Collector qw(wait_until);
use Test::More;

my $t = Push::Collector->new;

$t->publish({ user => 'u1' }, $_) for 1 .. 5;
$t->publish({ all => JSON::PP::true }, $_) for 1 .. 2;

sub acked { join(',', sort @{ $t->json("/v1/messages/$_[0]")->{acked} }) }

# Read, and then confirmed: in this order, or it may be read in between.
sub read_all {
    return wait_until(sub {
        $t->redis('XINFO', 'GROUPS', 'push:ev:ack')->[0][7] eq $t->{last}
            && ($t->pending('push:ev:ack') // 1) == 0
    });
}

# an ack, cumulative

$t->{last} = $t->ack("u1 d1 user:u1 3\nu1 d2 user:u1 2\nu1 d1 all 1");
ok(read_all(), 'an entry is read and confirmed');
is(acked('user:u1@1'), 'd1,d2', 'both have the first');
is(acked('user:u1@3'), 'd1', 'one has the third');
is(acked('user:u1@4'), '', 'nobody has the fourth');
is($t->json('/v1/messages/user:u1@3')->{state}, 'acked', 'its state');
is($t->json('/v1/messages/user:u1@4')->{state}, 'stored', 'and its');
is($t->json('/v1/messages/all@1')->{acked_count}, 1, 'a shared log');

# the maximum stays

$t->{last} = $t->ack("u1 d1 user:u1 1\nu1 d2 user:u1 4\nu1 d2 user:u1 3");
ok(read_all(), 'older acks and newer ones');
is(acked('user:u1@3'), 'd1,d2', 'never back');
is(acked('user:u1@4'), 'd2', 'the highest of an entry');

# what is not of this history

$t->{last} = $t->ack("u1 d3 user:u1 5", epoch => 'e0');
ok(read_all(), 'another epoch');
is($t->metric('acks_dropped_total'), 1, 'is counted');
$t->{last} = $t->ack("u1 d3 user:u1 6\nu1 d4 user:u1 5\nnew d1 user:new 1");
ok(read_all(), 'above the tip');
is($t->metric('acks_dropped_total'), 3, 'is counted');
is(acked('user:u1@5'), 'd4', 'and never stored; its neighbour is');

# bad ones do not hold anything up

$t->redis('XADD', 'push:ev:ack', '*', 'hello', 'world');
$t->ack('u1 d5 user:u1 5', v => 2);
$t->ack("u1 d5 user:u1 x\nu1 d5\n\nu1 d5 user:u2 1\nu 1 d5 all 1");
$t->ack("\n" x 2000);
$t->{last} = $t->ack("u1 d5 user:u1 2\nu1 bad\nu1 d6 user:u1 2");
ok(read_all(), 'bad entries are done with');
is(acked('user:u1@2'), 'd1,d2,d4,d5,d6', 'good lines beside bad ones count');
is($t->metric('acks_bad_total'), 9, 'bad ones are counted');
like($t->log, qr/event=acks_bad entry=\S+ field=acks/, 'and logged');

# in bulk

my $before = $t->metric('store_commits');
my @users = map { "b$_" } 1 .. 1000;
$t->publish({ users => \@users }, 1);
$t->{last} = $t->ack(join("\n", map { "$_ d1 user:$_ 1" } splice(@users, 0,
    100))) while @users;
ok(read_all(), 'a thousand cursors');
is(acked('user:b1000@1'), 'd1', 'the last one too');
cmp_ok($t->metric('store_commits') - $before, '<', 50, 'in few commits');

# what a process read and did not commit comes again

$t->kill;
$t->{last} = $t->ack('u1 d7 user:u1 5', epoch => $t->epoch);
$t->redis('XREADGROUP', 'GROUP', 'collector', 'collector-1', 'STREAMS',
    'push:ev:ack', '>');
is($t->pending('push:ev:ack'), 1, 'read by one that died');
$t->start;
ok(read_all(), 'read again by the next');
is(acked('user:u1@5'), 'd4,d7', 'and stored');

# Redis forgets, goes, comes back

$t->redis('FLUSHALL');
ok(wait_until(sub { defined $t->pending('push:ev:ack') }),
    'FLUSHALL: the group is made again');
$t->{last} = $t->ack('u1 d8 user:u1 5');
ok(read_all(), 'and read');
is(acked('user:u1@5'), 'd4,d7,d8', 'stored');

$t->end('redis');
$t->start_redis;
ok(wait_until(sub { defined $t->pending('push:ev:ack') }),
    'a new Redis: the group is made');
$t->{last} = $t->ack('u1 d9 user:u1 5');
ok(read_all(), 'and read');
is(acked('user:u1@5'), 'd4,d7,d8,d9', 'stored');

$t->done_ok;
done_testing();
