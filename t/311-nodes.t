# Nodes come and go by their leases.

use warnings;
use strict;

use FindBin qw($Bin);
use lib "$Bin/lib";

use Push::Dispatcher;
use Test::More;

*wait_until = \&Push::Dispatcher::wait_until;

my $t = Push::Dispatcher->new(conf => { forget_nodes => '1s' });
ok($t->wait_ready, 'ready without any node');
is_deeply($t->dispatch($t->all(1)), [ 200, "none\n" ], 'all: nobody is there');

# a binding whose node has only just come up

my $a = $t->edge('edge-1', lease => 0);
$t->bind('u1', $a);
is_deeply($t->dispatch($t->user('u1', 1)), [ 200, "offline\n" ],
    'a binding of a node without lease counts as none');
is(scalar(@{ $t->bindings('u1') }), 1, 'but stays');

$t->lease($a);
is_deeply($t->dispatch($t->user('u1', 2)), [ 200, "ok 1\n" ],
    'a lease that is not known yet is read at once');
is($t->metric('push_dispatcher_nodes'), 1, 'and the node stays known');

# all, once it was seen

my $b = $t->edge('edge-2');
is_deeply($t->dispatch($t->all(2)), [ 200, "ok 2\n" ], 'two nodes');

# a new address

my $moved = $t->edge('edge-2', lease => 0, instance => $b->{instance});
$b->end;
$t->lease($moved);
ok(wait_until(sub { $t->dispatch($t->all(3))->[1] eq "ok 2\n" }),
    'a lease may change its address');

# the end of a lease

$t->redis('DEL', 'push:node:' . $b->name);
ok(wait_until(sub { $t->metric('push_dispatcher_nodes') == 1 }),
    'a node whose lease ran out is left out');
is_deeply($t->dispatch($t->all(4)), [ 200, "ok 1\n" ], 'of all as well');
is_deeply([ sort @{ $t->redis('SMEMBERS', 'push:nodes') } ],
    [ $a->name, $b->name ], 'but stays in the set');
ok(wait_until(sub { @{ $t->redis('SMEMBERS', 'push:nodes') } == 1 }),
    'until it had no lease for forget_nodes');
$t->lease($moved);
$t->wait_node($moved);
ok(wait_until(sub { $t->metric('push_dispatcher_nodes') == 2 }),
    'and may come back');

# nonsense in Redis

$t->redis('SADD', 'push:nodes', 'x', '', '/0123456789abcdef', 'a b/1');
my $wrong = $t->edge('edge-3', lease => 0, start => 0);
$t->lease($wrong, url => 'file:///etc/passwd');
ok(wait_until(sub { $t->log =~ m{event=nodes node=edge-3/} }),
    'an address that is none is refused, and logged');
is($t->metric('push_dispatcher_nodes'), 2, 'and the node left out');

$t->done_ok;
done_testing();
