# Bindings that are wrong: a none removes the exact one and looks once more; a
# none of another start of nginx says nothing.

use warnings;
use strict;

use FindBin qw($Bin);
use lib "$Bin/lib";

use Push::Dispatcher;
use Test::More;

my $t = Push::Dispatcher->new(start => 0);
my $a = $t->edge('edge-1');
my $b = $t->edge('edge-2');

$t->start;
$t->wait_ready;

# nothing else is left: offline

my $stale = $t->bind('u1', $a);
$a->say('none');
is_deeply($t->dispatch($t->user('u1', 1)), [ 200, "offline\n" ],
    'none, and no other binding: offline');
is_deeply($t->bindings('u1'), [], 'the binding is removed');
is(scalar($a->lines), 1, 'and its node was asked once');

# moved from a to b: b is bound as well, but a was found first

$t->bind('u2', $a);
my $good = $t->bind('u2', $b);
is_deeply($t->dispatch($t->user('u2', 1)), [ 200, "ok 1\n" ],
    'one of two is stale: the other one counts');
is_deeply($t->bindings('u2'), [ $good ], 'only the stale one is removed');
is(scalar(grep { /^user u2/ } $b->lines), 1,
    'who had it does not get it again by the second look-up');

# the binding appears between none and the second look-up

$a->say('none', delay => 0.5);
$t->bind('u3', $a);
my $later = $t->dispatch_later($t->user('u3', 1));
Push::Dispatcher::wait_until(sub {
    $t->metric('push_dispatcher_waiting_items') == 1 });
$t->bind('u3', $b);
is_deeply($later->(), [ 200, "ok 1\n" ],
    'a user who moved meanwhile is found by the second look-up');

# a new connection on the same node

$a->say([ 'user u4 1', 'none' ]);
my $old = $t->bind('u4', $a, device => 'd1');
my $new = $t->bind('u4', $a, device => 'd2');
is_deeply($t->dispatch($t->user('u4', 1)), [ 200, "offline\n" ],
    'none is said for all bindings of an instance');
is_deeply($t->bindings('u4'), [], 'all that were read are removed');

# another instance on the same port

$a->say('none', instance => 'ffffffffffffffff');
my $kept = $t->bind('u5', $a);
is_deeply($t->dispatch($t->user('u5', 1)), [ 200, "unknown\n" ],
    'none of another instance is unknown');
is_deeply($t->bindings('u5'), [ $kept ], 'and removes nothing');
$a->say('ok 1', instance => 'ffffffffffffffff');
is_deeply($t->dispatch($t->user('u5', 1)), [ 200, "ok 1\n" ],
    'but its ok counts');

$a->say('none', instance => 'no hex');
is_deeply($t->dispatch($t->user('u5', 1)), [ 200, "unknown\n" ],
    'a Push-Instance that is none');

# members that are no bindings

$a->say('ok 1', instance => $a->{instance});
$t->redis('ZADD', 'push:{u6}', $t->now_ms + 90_000, $_)
    for '', 'x', 'edge-1/zz/0/d/1', "a b/$a->{instance}/0100020000000003/d/1";
is_deeply($t->dispatch($t->user('u6', 1)), [ 200, "offline\n" ],
    'members of another form are passed over');
$t->bind('u6', $a);
is_deeply($t->dispatch($t->user('u6', 1)), [ 200, "ok 1\n" ],
    'the others count');
$t->redis('SET', 'push:{u7}', 'x');
is_deeply($t->dispatch($t->user('u7', 1)), [ 200, "ok 2\n" ],
    'a key of another type: as if nothing were known, all nodes');

cmp_ok($t->metric('push_dispatcher_stale_bindings_total'), '==', 5,
    'metrics: removed bindings');

$t->done_ok;
done_testing();
