#!/usr/bin/perl

# While messages flow: workers are killed, a drain is cut short by
# worker_shutdown_timeout, another binary takes over and gives back, and the
# only edge leaves and is started again.  Nothing is lost, doubled or out of
# order, and afterwards the counters are what there is.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Push::Load;
use Push::Stack;

my $clients = $ENV{PUSH_LOAD_CLIENTS} // 300;
my $rate = $ENV{PUSH_LOAD_RATE} // 300;
my $workers = 2;

plan(skip_all => 'bench/pushload is not built: make bench')
    unless -x "$Push::Stack::root/build/bench/pushload";

my $stack = Push::Stack->new(workers => $workers);

sub workers_of {
    my ($master) = @_;
    my $children = `cat /proc/$master/task/$master/children 2>/dev/null`;

    # the other master may be a child, too
    return grep { `cat /proc/$_/cmdline 2>/dev/null` =~ /worker process/ }
        split ' ', $children;
}

sub wait_for {
    my ($name, $test, $timeout) = @_;
    ok(Push::Stack::wait_until($test, $timeout // 30), $name);
}

# Only these workers are there, and each takes connections.
sub only_new {
    my ($master, @old) = @_;
    my %old = map { $_ => 1 } @old;
    my @now = workers_of($master);

    return @now == $workers && !grep { $old{$_} } @now;
}

# A second nginx on the same sockets; its master.
sub usr2 {
    my ($old) = @_;

    kill('USR2', $old);
    wait_for('USR2: a second nginx runs', sub {
        my $pid = $stack->pid('nginx-1');
        $pid && $pid != $old && workers_of($pid) == $workers;
    });

    return $stack->pid('nginx-1');
}

$stack->configure(main => 'env ASAN_OPTIONS;');     # for the second nginx too
$stack->configure(http => 'push_drain_time 1s;');
$stack->configure(http => 'push_hello_timeout 20s;');

my $master = $stack->pid('nginx-1');
my @old = workers_of($master);

kill('HUP', $master);
wait_for('the drain time is read', sub { only_new($master, @old) });

my $load = Push::Load->new($stack, clients => $clients);
ok($load->ready(60), "$clients clients are connected");
$load->say("rate $rate 500");

# --- kill -9 ----------------------------------------------------------------

for my $n (1 .. 3) {
    my ($victim) = workers_of($master);

    kill('KILL', $victim);
    wait_for("kill -9 of a worker, $n: another one takes its place",
        sub { only_new($master, $victim) });
    ok($load->ready(60), '... and all clients are back');
}

@old = workers_of($master);
kill('KILL', @old);
wait_for('kill -9 of all workers: others take their place',
    sub { only_new($master, @old) });
ok($load->ready(60), '... and all clients are back');
ok($load->settle(60), '... and have what was stored');

my $r = $load->report;
my $killed = $r->{lost};
cmp_ok($killed, '>=', $clients, 'connections broke');
is($r->{restarts}, 0, '... without a word');

# What was counted by those who were killed is not lost.
my $status = $stack->status;
is($status->{connections}, $clients, 'status: connections');
is($status->{users}, $clients, '... users');
is($status->{queue_bytes}, 0, '... queued bytes');

# --- worker_shutdown_timeout ------------------------------------------------

$stack->configure(main => 'worker_shutdown_timeout 3s;');
$stack->configure(http => 'push_drain_time 60s;');
$load->say("rate $rate 500");

# The first reload is still by the old time.
for my $n (1 .. 2) {
    @old = workers_of($master);
    kill('HUP', $master);
    wait_for("worker_shutdown_timeout $n: the old workers have gone, though "
        . 'push_drain_time is longer', sub { only_new($master, @old) }, 20);
    ok($load->ready(60), '... and all clients are back');
}

ok($load->settle(60), '... and have what was stored');
$r = $load->report;
cmp_ok($r->{restarts}, '>=', 2 * $clients, 'each was sent away');
is($r->{lost}, $killed, '... and none was cut off');

# --- another binary, and back -----------------------------------------------

$stack->configure(main => 'worker_shutdown_timeout 10s;');
$stack->configure(http => 'push_drain_time 1s;');
@old = workers_of($master);
kill('HUP', $master);
wait_for('short drains again', sub { only_new($master, @old) });
ok($load->ready(60), '... all clients are back');
my $sent_away = $load->report->{restarts};
$load->say("rate $rate 500");

my $second = usr2($master);
kill('WINCH', $master);
wait_for('WINCH: the workers of the first leave',
    sub { !workers_of($master) });
ok($load->ready(60), '... all clients are on the second');
kill('QUIT', $master);
wait_for('QUIT: the first has gone', sub { Push::Stack::gone($master) });

my $third = usr2($second);
kill('WINCH', $second);
wait_for('WINCH: the workers of the second leave',
    sub { !workers_of($second) });
ok($load->ready(60), '... all clients are on the third');
kill('HUP', $second);
wait_for('HUP: the second has workers again',
    sub { workers_of($second) == $workers });
kill('QUIT', $third);
wait_for('QUIT: the third has gone', sub { Push::Stack::gone($third) });
ok($load->ready(60), '... all clients are back on the second');
ok($load->settle(60), '... and have what was stored');

$r = $load->report;
cmp_ok($r->{restarts} - $sent_away, '>=', 3 * $clients, 'each was sent away '
    . 'three times');
is($r->{lost}, $killed, '... and none was cut off');

$status = $stack->status;
is($status->{connections}, $clients, 'status: connections');
is($status->{users}, $clients, '... users');
is($status->{queue_bytes}, 0, '... queued bytes');

# --- the only edge leaves, and comes back -----------------------------------

for my $signal (qw(QUIT TERM KILL)) {
    my $pid = $stack->pid('nginx-1');
    my @all = ($pid, workers_of($pid));

    $load->say("rate $rate 500");
    Push::Stack::wait_until(sub { $load->report->{acked} > $r->{acked} });
    kill($signal, $signal eq 'KILL' ? @all : $pid);
    wait_for("$signal: nginx has gone",
        sub { !grep { !Push::Stack::gone($_) } @all });
    $stack->up;
    ok($load->ready(60), '... all clients are on the next one');
    ok($load->settle(60), '... and have what was stored');
    $r = $load->report;
}

$r = $load->report;
note(join(' ', map { "$_=$r->{$_}" } sort keys %$r));
cmp_ok($r->{repeated}, '>', 0, 'batches were sent again');
is($r->{received}, $r->{expected}, 'all that was stored arrived');
is($r->{$_}, 0, "none is $_") for qw(missing doubled reordered gaps foreign
                                     voids);
is($r->{closed}, 0, 'no connection was closed but by 1012');

ok($load->end, 'the clients end');
wait_for('status: nobody is left', sub { $stack->status->{connections} == 0 });
$stack->logs_ok_now(qr/worker process \d+ exited on signal 9/);

done_testing();
