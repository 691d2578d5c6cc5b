# Edges that die, hang, say half or nonsense: the collector hears unknown, and
# nothing is sent twice.

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
$t->bind('u2', $b);

my $two = $t->user('u1', 1) . $t->user('u1', 2);

# half answers

$a->say('cut');
is_deeply($t->dispatch($two), [ 200, "ok 1\nunknown\n" ],
    'fewer answers than items: the rest is unknown');
$a->say('ok 1', text => "ok 1\nerror 3 what\n", status => 400);
is_deeply($t->dispatch($two), [ 200, "ok 1\nunknown\n" ],
    '400: the answers before the error count');
$a->say('ok 1', text => "ok 1\nok 1\nok 1\n");
is_deeply($t->dispatch($two), [ 200, "ok 1\nok 1\n" ],
    'more answers than items');
$a->say('ok 1', text => "ok 1\nmaybe\n");
is_deeply($t->dispatch($two), [ 200, "ok 1\nunknown\n" ], 'no known word');
$a->say('ok 1', text => 'x' x 1_000_000);
is_deeply($t->dispatch($two), [ 200, "unknown\nunknown\n" ],
    'an endless answer');
$a->say('ok 1', status => 500);
is_deeply($t->dispatch($two), [ 200, "unknown\nunknown\n" ], 'status 500');
$a->say('ok 1', status => 403);
is_deeply($t->dispatch($two), [ 200, "unknown\nunknown\n" ], 'status 403');

# closed without an answer: it may have been done

$a->forget;
$a->say('close');
is_deeply($t->dispatch($two . $t->user('u2', 1)),
    [ 200, "unknown\nunknown\nok 1\n" ], 'closed without an answer');
is(scalar($a->bodies), 1, 'and not sent again');

# nothing for 2 s, while others go on and the next batch fills

$a->forget;
$a->say('hang');
my $start = time();
my $first = $t->dispatch_later($t->user('u1', 10));
ok(wait_until(sub { $a->bodies == 1 }), 'a batch is in flight');
my @rest = map { $t->dispatch_later($t->user('u1', $_)) } 11 .. 15;
is_deeply($t->dispatch($t->user('u2', 2)), [ 200, "ok 1\n" ],
    'a node that hangs does not hold up the others');
ok(wait_until(sub { $t->metric('push_dispatcher_waiting_items') == 6 }),
    'the next batch fills');
is_deeply($first->(), [ 200, "unknown\n" ], 'no answer: unknown');
my $took = time() - $start;
ok($took > 1.8 && $took < 4.5, "after 2 s ($took)");
$a->say('ok 1');
is_deeply([ map { $_->() } @rest ], [ map { [ 200, "ok 1\n" ] } @rest ],
    'what waited goes on');
is_deeply([ map { (split ' ')[2] } $a->lines ], [ 10 .. 15 ], 'in order');
is(scalar($a->bodies), 2, 'in one batch');

# a node that hangs on is late: unknown at once, until it replies

$a->forget;
$a->say('hang');
is_deeply($t->dispatch($t->user('u1', 16)), [ 200, "unknown\n" ],
    'hangs again');
$start = time();
is_deeply($t->dispatch($t->user('u1', 17) . $t->user('u2', 17)),
    [ 200, "unknown\nok 1\n" ], 'what comes now');
$took = time() - $start;
ok($took < 1, "is unknown at once ($took)");
is($t->metric('push_dispatcher_late_total'), 1, 'and counted');
ok(wait_until(sub { $a->bodies >= 2 }), 'the node is asked for a sign of life');
is(($a->bodies)[1], '', 'with nothing in the body');
$a->say('ok 1');
ok(wait_until(sub {
    $t->dispatch($t->user('u1', 18))->[1] eq "ok 1\n"
}), 'it replies, and gets its items again');
like($t->log, qr/state=late.*state=replies/s, 'both in the log');

# epochs are not mixed

$a->forget;
$a->say('hang');
my @epochs = ($t->dispatch_later($t->user('u1', 20)));
wait_until(sub { $a->bodies == 1 });
push @epochs, $t->dispatch_later($t->user('u1', 21)),
    $t->dispatch_later($t->user('u1', 22), epoch => "epoch e2\n");
wait_until(sub { $t->metric('push_dispatcher_waiting_items') == 3 });
$a->say('ok 1');
$_->() for @epochs;
is_deeply([ map { /^epoch (\w+)/ } $a->bodies ], [ qw(e1 e1 e2) ],
    'a body has one epoch');

# kill -9

$a->end;
is_deeply($t->dispatch($t->user('u1', 30) . $t->user('u2', 30)),
    [ 200, "unknown\nok 1\n" ], 'an edge that was killed');
$a->start;
is_deeply($t->dispatch($t->user('u1', 31)), [ 200, "ok 1\n" ],
    'and came back');

# a kept connection that the edge closed meanwhile

for my $seq (40 .. 45) {
    $a->end;
    $a->start;
    is_deeply($t->dispatch($t->user('u1', $seq)), [ 200, "ok 1\n" ],
        'a connection that broke between two batches is no fault');
}

# the collector leaves before the answer

$a->forget;
$a->say('hang');
my $left = $t->dispatch_later($t->user('u1', 50));
wait_until(sub { $a->bodies == 1 });
close($left->('socket'));
$a->say('ok 1');
ok(wait_until(sub { $t->metric('push_dispatcher_waiting_items') == 0 }),
    'a collector that left is no fault');
is_deeply($t->dispatch($t->user('u1', 51)), [ 200, "ok 1\n" ], 'all goes on');
ok(wait_until(sub { $t->metric('push_dispatcher_queue_bytes') == 0 }),
    'and no memory is held');

$t->done_ok;
done_testing();
