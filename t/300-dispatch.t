# The dispatcher's counter: bodies in, one answer an item out, in order.

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
ok($t->wait_ready, 'ready once Redis has told who is there');

$t->bind('u1', $a);
$t->bind('u2', $b);
$t->bind('both', $a, device => 'd1');
$t->bind('both', $a, device => 'd2');
$t->bind('both', $b, device => 'd3');
$t->bind('past', $a, score => $t->now_ms - 1);

is_deeply($t->dispatch($t->user('u1', 1)), [ 200, "ok 1\n" ],
    'a user on one node');
is(($a->bodies)[0], "epoch e1\n" . $t->user('u1', 1),
    'the node gets the line as it came, behind the epoch');
like($a->heard->[0]{headers}, qr/^Push-Secret: $Push::Dispatcher::secret\r$/m,
    'and the secret');

is_deeply($t->dispatch($t->user('both', 1)), [ 200, "ok 2\n" ],
    'two nodes, each once: the numbers add up');
is(scalar(grep { /^user both/ } $a->lines), 1,
    'two devices on a node are one item');

$_->forget for $a, $b;
is_deeply($t->dispatch(''), [ 200, '' ], 'a body without items');
is_deeply($t->dispatch($t->user('nobody', 1)), [ 200, "offline\n" ],
    'nobody is offline');
is_deeply($t->dispatch($t->user('past', 1)), [ 200, "offline\n" ],
    'an expired binding does not count');
is_deeply([ $a->bodies, $b->bodies ], [], 'and nobody is asked');

$a->say([ 'user u1 3', 'gap', 'user u1 4', 'queued 1', 'user u1 5', 'slow' ]);
is_deeply($t->dispatch(join('', $t->user('u2', 1), $t->user('u1', 2),
    $t->user('u1', 3), $t->user('nobody', 1), $t->user('u1', 4),
    $t->user('u1', 5))),
    [ 200, "ok 1\nok 1\ngap\noffline\nqueued 1\nslow\n" ],
    'answers stand in the order of the items, whoever gave them');
is_deeply([ map { (split ' ')[2] } grep { /^user u1/ } $a->lines ],
    [ 2 .. 5 ], 'and a node gets its items in that order');

$_->forget for $a, $b;
$a->say('ok 3');
is_deeply($t->dispatch($t->all(7)), [ 200, "ok 4\n" ], 'all: every node');
is_deeply($t->dispatch("kick u1 * 4002 3\nbye\nresync u1\njoin u1 g\n"
    . "check u1\npace 100\n"),
    [ 200, "ok 4\n" x 5 ], 'kick, resync, join, check, pace: every node');
$a->say('none');
$b->say('none');
is_deeply($t->dispatch($t->all(8)), [ 200, "none\n" ], 'nobody follows all');

# lines that name their node

$_->forget for $a, $b;
$_->say('ok 1') for $a, $b;
my $conn = $b->{instance} . '.0100020000000003';
my $answer = "begin $conn user:u9 7 0\n"
    . "conn $conn user:u9 1 0 10 8\n{\"data\":1}\ntip $conn user:u9 7 1\n";
is_deeply($t->dispatch('node ' . $b->name . "\n$answer"
    . "node -\n" . $t->user('u1', 9)), [ 200, "ok 1\n" x 4 ],
    'lines behind a node line go there, without look-up');
is(($b->bodies)[0], "epoch e1\n$answer", 'and come as they were');
is_deeply([ map { s/ 0 \d+ \d+$//r } $a->lines ], [ 'user u1 9' ],
    'node - ends it');

is_deeply($t->dispatch("node gone/00000000000000ff\n$answer"),
    [ 200, "none\n" x 3 ], 'a node that has no lease is gone');

# bad requests

is_deeply($t->dispatch($t->user('u1', 1) . "user u1\n" . $t->user('u1', 2)),
    [ 400, "ok 1\nerror 4 user: a field is missing\n" ],
    'a bad line: the answers before it, then its number');
is_deeply($t->dispatch("tip $conn user:u9 7 1\n"),
    [ 400, "error 2 tip: needs a node line before it\n" ],
    'a line for a connection says where that is');
is_deeply($t->dispatch("check u1\n", epoch => ''),
    [ 400, "error 1 no epoch line\n" ], 'no epoch');
is_deeply($t->dispatch("check u1\n" x 1001)->[0], 400, 'too many items');

for my $wrong ('', 'x', 'Test-secret-of-the-edge') {
    is($t->dispatch($t->user('u1', 1), secret => $wrong)->[0], 403,
        "wrong secret '$wrong'");
}

like($t->dispatch_later('x' x (1024 * 1024))->()->[0], qr/413/,
    'a body above 1 MB');
is($t->get('/dispatch')->{status}, 405, 'GET /dispatch');
is($t->get('/nothing')->{status}, 404, 'unknown paths');

# many at once

$_->forget for $a, $b;
my $big = join('', map { $t->user('u1', $_) . $t->user('u2', $_) } 1 .. 500);
is_deeply($t->dispatch($big), [ 200, "ok 1\n" x 1000 ], 'a thousand items');
is_deeply([ map { (split ' ')[2] } $a->lines ], [ 1 .. 500 ], 'all in order');
cmp_ok(scalar($a->bodies), '<', 50, 'in few batches');

my $fat = $t->user('u1', 1, '"' . 'x' x (250 * 1024) . '"');
my @later = map { $t->dispatch_later($fat x 4) } 1 .. 3;
is_deeply([ map { $_->() } @later ], [ map { [ 200, "ok 1\n" x 4 ] } 1 .. 3 ],
    'several bodies of a megabyte');

is($t->metric('push_dispatcher_nodes'), 2, 'metrics: nodes');
is($t->metric('push_dispatcher_waiting_items'), 0, 'metrics: nothing waits');
is($t->metric('push_dispatcher_queue_bytes'), 0, 'metrics: no memory is held');

$t->done_ok;
done_testing();
