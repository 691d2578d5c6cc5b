# Redis dies, hangs, comes back empty: items go to all known nodes meanwhile.

use warnings;
use strict;

use FindBin qw($Bin);
use lib "$Bin/lib";

use Push::Dispatcher;
use Test::More;
use Time::HiRes qw(time);

*wait_until = \&Push::Dispatcher::wait_until;

my $t = Push::Dispatcher->new(start => 0);
my $a = $t->edge('edge-1');
my $b = $t->edge('edge-2');

$t->start;
$t->wait_ready;
$t->bind('u1', $a);
is_deeply($t->dispatch($t->user('u1', 1)), [ 200, "ok 1\n" ], 'Redis is up');

# it stops answering

kill('STOP', $t->{children}{redis});
my $start = time();
is_deeply($t->dispatch($t->user('u1', 1)), [ 200, "ok 2\n" ],
    'a Redis that hangs is as good as down: all known nodes');
my $took = time() - $start;
ok($took > 1.5 && $took < 4.5, "after 2 s ($took)");
is($t->get('/readyz')->{status}, 503, 'not ready');
kill('CONT', $t->{children}{redis});
ok($t->wait_ready, 'it goes on: ready again');
$b->forget;
is_deeply($t->dispatch($t->user('u1', 1)), [ 200, "ok 1\n" ],
    'and believed, since it has lost nothing');

# it dies

$t->end('redis');
ok($t->wait_ready(503), 'Redis was killed: not ready');
like($t->get('/readyz')->{content}, qr/redis is down, items go to all known/,
    'and it says why');
is($t->get('/healthz')->{status}, 200, 'but alive');

$b->say('none');
is_deeply($t->dispatch($t->user('u1', 2)), [ 200, "ok 1\n" ],
    'a user is sent to every known node');
is(scalar(grep { /^user u1 2/ } $b->lines), 1, 'the other one too');
is_deeply($t->dispatch($t->all(1)), [ 200, "ok 1\n" ], 'all as ever');
is_deeply($t->dispatch('node ' . $a->name . "\nclose $a->{instance}"
    . ".0100020000000003 4002 0\n\n"), [ 200, "ok 1\n" ],
    'a known node is found without Redis');
is_deeply($t->dispatch("node x/0123456789abcdef\nclose 0123456789abcdef"
    . ".0100020000000003 4002 0\n\n"), [ 200, "unknown\n" ],
    'of another one nothing can be said');

$a->say('none');
is_deeply($t->dispatch($t->user('u1', 3)), [ 200, "offline\n" ],
    'none of all known nodes: offline');
$_->say('ok 1') for $a, $b;

# it comes back with nothing in it

$t->start_redis;
ok(wait_until(sub { ($t->metric('push_dispatcher_redis_up') // 0) == 1 }),
    'Redis is back, and empty');
is_deeply($t->dispatch($t->user('u1', 4)), [ 200, "ok 2\n" ],
    'until all bindings have been renewed, items go to all nodes');
ok($t->wait_ready, 'ready');
is($t->metric('push_dispatcher_nodes'), 2,
    'nobody is dropped before the leases are written again');

# a dispatcher that was killed and has never seen Redis

$t->end('redis');
$t->end('dispatcher');
$t->start;
like($t->get('/readyz')->{content}, qr/redis is down and no nodes are known/,
    'a new dispatcher without Redis');
is_deeply($t->dispatch($t->user('u1', 6) . $t->all(2)),
    [ 200, "unknown\nunknown\n" ], 'answers unknown');

$t->start_redis;
$t->lease($_) for $a, $b;
$t->bind('u1', $b);
ok($t->wait_ready, 'Redis is there');
$b->forget;
is_deeply($t->dispatch($t->user('u1', 7)), [ 200, "ok 1\n" ],
    'and so is everything else');
is(scalar($b->lines), 1, 'by its binding');

$t->done_ok;
done_testing();
