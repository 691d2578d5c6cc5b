# Full is a normal answer.

use warnings;
use strict;

use FindBin qw($Bin);
use lib "$Bin/lib";

use Push::Dispatcher;
use Test::More;

*wait_until = \&Push::Dispatcher::wait_until;

my $t = Push::Dispatcher->new(start => 0,
    conf => { queue_bytes => '16m', node_queue_bytes => '4m' });
my $a = $t->edge('edge-1');
my $b = $t->edge('edge-2');

$t->start;
$t->wait_ready;
$t->bind('u1', $a);
$t->bind('u2', $b);

# one node's queue

my $data = '"' . 'x' x (200 * 1024) . '"';
my $fat = $t->user('u1', 1, $data) x 5;

sub waiting {
    my ($n) = @_;
    wait_until(sub { $t->metric('push_dispatcher_waiting_items') == $n });
}

$a->say('hang');
my @first = ($t->dispatch_later($fat));
ok(wait_until(sub { $a->bodies == 1 }), 'a batch is in flight');

for (2, 3) {
    push @first, $t->dispatch_later($fat);
    waiting(5 * $_);
}

my $over = $t->dispatch_later($fat . $t->user('u2', 1));
ok(wait_until(sub { $t->metric('push_dispatcher_full_total') > 0 }),
    'the queue of a node gets full');
is_deeply($t->dispatch($t->user('u2', 2)), [ 200, "ok 1\n" ],
    'the others go on');

# all memory

$b->say('hang');
my $fat2 = $t->user('u2', 1, $data) x 5;
my @more = map { $t->dispatch_later($fat2) } 1 .. 3;
ok(wait_until(sub {
    $t->metric('push_dispatcher_queue_bytes') > 7 * 1024 * 1024 }, 1),
    'nearly half of all memory is in use');
my $busy = $t->dispatch($fat2);
is($busy->[0], 503, 'no more requests: 503');
like($busy->[1], qr/"status":503/, 'as problem+json');

$b->say('ok 1');
$a->say('ok 1');
is_deeply([ map { $_->() } @first ], [ map { [ 200, "ok 1\n" x 5 ] } 1 .. 3 ],
    'what was taken is answered');
like($over->()->[1], qr/^(?:ok 1\n)*(?:unknown\n)+ok 1\n$/,
    'what was not is unknown');

my %status;
$status{ ref($_) ? $_->[0] : 'none' }++ for map { $_->() } @more;
is(($status{200} // 0) + ($status{503} // 0), 3,
    'every request has an answer');
is_deeply($t->dispatch($t->user('u2', 3)), [ 200, "ok 1\n" ], 'room again');
ok(wait_until(sub { $t->metric('push_dispatcher_queue_bytes') == 0 }),
    'and no memory is held');

# who waits too long

$a->forget;
$a->say('hang');
my @slow = ($t->dispatch_later($t->user('u1', 10)));
wait_until(sub { $a->bodies == 1 });
push @slow, $t->dispatch_later($t->user('u1', 11));
is_deeply($slow[0]->(), [ 200, "unknown\n" ], 'the first one after 2 s');
is_deeply($slow[1]->(), [ 200, "unknown\n" ], 'the next one after 2 more');
is(scalar(grep { $_ ne '' } $a->bodies), 2, 'both were sent');

# more bindings than a user may have

my $now = $t->now_ms + 90_000;
$t->redis('ZADD', 'push:{u3}', map { ($now, sprintf('%s/%s/%016x/-/1',
    'gone', 'ffffffffffffffff', $_)) } 1 .. 1000);
$a->say('ok 1');
is_deeply($t->dispatch($t->user('u3', 1)), [ 200, "ok 2\n" ],
    'a thousand bindings or more: all nodes');

$t->done_ok;
done_testing();
