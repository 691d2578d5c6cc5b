#!/usr/bin/perl

# The store takes no writes for a while: acks wait, a device that was never
# seen waits, a known one does not.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Push::Collector qw(wait_until);
use Test::More;

my $t = Push::Collector->new;

plan(skip_all => 'no sqlite3 in this Python, which holds the lock')
    if system('python3 -c "import sqlite3" 2>/dev/null') != 0;

my %known = (uid => 'u1', dev => 'd1', first => 1, logs => 'user:u1 - 64');
my %new = (%known, dev => 'd2');

$t->publish({ user => 'u1' }, $_) for 1 .. 3;
ok($t->answer($t->resync(%known)), 'a device is known');

ok($t->lock_store, 'nothing can be written');

ok($t->answer($t->resync(%known)), 'reading goes on: it is answered');

my $rid = $t->resync(%new);
$t->ack('u1 d1 user:u1 2');
ok(wait_until(sub { $t->log =~ /event=acks_failed reason=/ }, 20),
    'an ack cannot be stored, the log says why');
is($t->pending('push:ev:ack'), 1, 'it is not confirmed');
ok(wait_until(sub { $t->metric('resync_forgotten_total') }),
    'the new device has to ask again');
ok(!$t->answer($rid, 0, 0), 'it got no answer without its cursor');

$t->unlock_store;

ok(wait_until(sub { $t->pending('push:ev:ack') eq '0' }, 20),
    'it is over: the ack is confirmed');
is_deeply($t->json('/v1/messages/user:u1@2')->{acked}, ['d1'], 'and stored');
ok(wait_until(sub { $t->answer($t->resync(%new), 0, 1) }),
    'the new device is answered');

# a process that ends while acks cannot be stored: the next one has them

ok($t->lock_store, 'locked again');
my $failed = () = $t->log =~ /event=acks_failed/g;
$t->ack('u1 d1 user:u1 3');
ok(wait_until(sub { (() = $t->log =~ /event=acks_failed/g) > $failed }, 20),
    'an ack fails');
is($t->end('collector', 'TERM'), 0, 'TERM ends it all the same');
$t->unlock_store;
$t->start;
ok(wait_until(sub {
    my $m = $t->json("/v1/messages/user:u1\@3");
    "@{ $m->{acked} // [] }" eq "d1" }, 20),
    'the next process stores it');

$t->done_ok;
done_testing();
