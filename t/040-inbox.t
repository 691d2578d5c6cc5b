#!/usr/bin/perl

# A body lands on one worker and concerns all: four workers answer as one.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use POSIX ();
use Push::Edge;
use Test::More;
use Time::HiRes qw(time);

*item = \&Push::Edge::item;
*wait_until = \&Push::Edge::wait_until;

my $edge = Push::Edge->new(workers => 4, http => 'push_drain_time 10m;');
my $e = "epoch e1\n";

sub slots { return { map { $_->{slot}, $_ } @{$edge->status->{workers}} } }

wait_until(sub { @{$edge->status->{workers}} == 4 });

# Raw connections take what comes, without a request for what was before.
my @ws = map { $edge->ws("u$_", raw => 1) } 1 .. 40;
is(scalar(grep { $_->status == 101 } @ws), 40, '40 clients');

# The kernel chooses the worker: more come until each has some.
my @more;
wait_until(sub {
    push @more, $edge->ws('more', raw => 1);
    return 4 == grep { $_->{connections} } values %{slots()};
});
is(scalar(grep { $_->{connections} } values %{slots()}), 4,
    'on all four workers');

sub data_of {
    my ($ws) = @_;
    my $frame = $ws->next_frame;
    return $frame ? $frame->{payload} : undef;
}

# --- items

my ($status, @answers) = $edge->deliver($e
    . join('', map { item('user', "u$_", 1, "\"m$_\"") } 1 .. 40, 41));
is_deeply([ $status, @answers ], [ 200, ('ok 1') x 40, 'none' ],
    'each user is found wherever its worker is');
is_deeply([ map { data_of($ws[$_ - 1]) } 1 .. 40 ],
    [ map { "\"m$_\"" } 1 .. 40 ], 'each gets its own message');

my @third = map { $edge->ws('many', raw => 1) } 1 .. 9;
is_deeply([ $edge->deliver($e . item('user', 'many', 1, '1')) ],
    [ 200, 'ok 9' ], 'the numbers of all workers are added up');
data_of($_) for @third;

my $text = '"' . 'y' x 1000 . '"';
($status, @answers) = $edge->deliver($e
    . join('', map { item('user', 'u' . (1 + $_ % 40), 0, $text) } 1 .. 800));
is_deeply([ $status, @answers ], [ 200, ('ok 1') x 800 ],
    '800 messages of 1 KB need many datagrams');
is(scalar(grep { my $ws = $_; 20 == grep { data_of($ws) eq $text } 1 .. 20 }
    @ws), 40, 'all arrive');

my $big = '"' . 'z' x 250000 . '"';
($status, @answers) = $edge->deliver($e
    . item('user', 'u1', 0, '1') . item('user', 'many', 0, $big)
    . item('user', 'u1', 0, '2'));
is_deeply([ $status, @answers ], [ 200, 'ok 1', 'ok 9', 'ok 1' ],
    'an item longer than a datagram goes in pieces');
is(scalar(grep { data_of($_) eq $big } @third), 9, 'and is put together');
is(data_of($ws[0]) . data_of($ws[0]), '12', 'the order is kept around it');

# --- items with a connection's id

my (@hello, @conn, %on);
wait_until(sub {
    push @hello, $edge->ws('h' . @hello);
    $hello[-1]->hello(device => 'd');
    push @conn, $hello[-1]->wait_for('welcome')->{conn};
    $on{substr($conn[-1], 17, 2)} = 1;
    return keys %on > 1;
});
cmp_ok(scalar(keys %on), '>', 1, 'connections of several workers');

is_deeply([ $edge->deliver($e . join('',
    map { "close $_ 4002 2\nno\n" } @conn)) ], [ 200, ('ok 1') x @conn ],
    'close finds each of them');
is_deeply([ map { $_->wait_close } @hello ], [ (4002) x @conn ],
    'and closes it');
is_deeply([ $edge->deliver($e . join('',
    map { substr($_, 19, 4) = 'ffff'; "close $_ 4002 2\nno\n" } @conn)) ],
    [ 200, ('none') x @conn ], 'another generation of the slot: none');
is_deeply([ $edge->deliver($e . 'close ' . substr($conn[0], 0, 17)
    . "ff00010000000001 4002 0\n\n") ], [ 200, 'none' ],
    'a slot that does not exist: none');

# --- a worker that stands still

# One connection that is kept alive is served by one worker: stop another one.
$edge->deliver($e) for 1 .. 2;
my $before = slots();
$edge->deliver($e);
my $after = slots();
my ($mine) = grep { $after->{$_}{deliver_requests}
                    > $before->{$_}{deliver_requests} } keys %$after;
my ($other) = grep { $_ ne $mine } keys %$after;
kill('STOP', $after->{$other}{pid});

my $t = time();
($status, @answers) = $edge->deliver($e . item('user', 'u1', 0, '3'));
is("$status @answers", '200 unknown', 'a worker stands still: unknown');
cmp_ok(time() - $t, '<', 1, 'after a deadline');

$t = time();
($status, @answers) = $edge->deliver($e
    . join('', map { item('user', "u$_", 0, '3') } 1 .. 40));
is_deeply([ @answers ], [ ('unknown') x 40 ], 'the next time as well');
cmp_ok(time() - $t, '<', 0.2, 'but at once');

kill('CONT', $after->{$other}{pid});
ok(wait_until(sub {
    ($status, @answers) = $edge->deliver($e
        . join('', map { item('user', "u$_", 0, '4') } 1 .. 40));
    return !grep { $_ ne 'ok 1' } @answers;
}), 'it goes on: all are found again');
is(data_of($ws[1]), '3', 'what was sent meanwhile has arrived, once');
is(data_of($ws[1]), '4', 'and in order');
cmp_ok($edge->status->{inbox_late}, '>=', 1, 'late parts are counted');

# --- its inbox is full

kill('STOP', $after->{$other}{pid});
$t = time();
my %seen;

for (1 .. 60) {
    (undef, @answers) = $edge->deliver($e . item('user', 'nobody', 0, $big));
    $seen{$_}++ for @answers;
}

is_deeply(\%seen, { unknown => 60 }, '15 MB for a worker that stands still');
cmp_ok(time() - $t, '<', 5, 'wait for nothing');
cmp_ok($edge->status->{inbox_dropped}, '>', 0, 'what does not fit is dropped');
kill('CONT', $after->{$other}{pid});
ok(wait_until(sub {
    (undef, @answers) = $edge->deliver($e . item('user', 'u1', 0, '6'));
    return $answers[0] eq 'ok 1';
}), 'it comes back');

# --- a worker that is killed

$before = $edge->status;
my $victim = slots()->{$other};
kill('KILL', $victim->{pid});
ok(wait_until(sub {
    my $now = slots()->{$other};
    return $now && $now->{pid} != $victim->{pid};
}), 'a killed worker is replaced, in the same slot');
is(slots()->{$other}{generation}, $victim->{generation} + 1,
    'as its next generation');

ok(wait_until(sub {
    ($status, @answers) = $edge->deliver($e
        . join('', map { item('user', "u$_", 0, '5') } 1 .. 40));
    return !grep { $_ eq 'unknown' } @answers;
}), 'answers are known again');
is(scalar(grep { $_ eq 'none' } @answers),
    scalar(grep { my ($ws, $d) = $_;
                  1 while defined($d = data_of($ws)) && $d ne '5';
                  !defined $d } @ws),
    'whose connection has gone is answered none');
my $now = $edge->status;
is(scalar(grep { $now->{$_} < $before->{$_} }
    grep { /^(?:messages|items|handshakes|inbox|deliver|closed|bytes)_/ }
    keys %$before), 0, 'no counter went back');

# ten a second leave at least: these go before the last one does
my @before = map { $edge->ws('before', raw => 1) } 1 .. 400;
my $fresh = $edge->ws('fresh', raw => 1);
is_deeply([ $edge->deliver($e . item('user', 'fresh', 1, '1')) ],
    [ 200, 'ok 1' ], 'a new client is found');

# --- reload

my %old = map { $_->{pid} => 1 } @{$edge->status->{workers}};
$edge->signal('HUP');
ok(wait_until(sub {
    my @w = @{($edge->status || {})->{workers} || []};
    return 4 == grep { $_->{state} eq 'run' && !$old{$_->{pid}} } @w;
}, 10), 'reload: four new workers');
ok(wait_until(sub {
    grep { $_->{state} eq 'drain' } @{$edge->status->{workers}};
}), 'old ones leave slowly');

my $both = $edge->ws('fresh', raw => 1);
ok(wait_until(sub {
    ($status, @answers) = $edge->deliver($e . item('user', 'fresh', 2, '2'));
    return $answers[0] ne 'unknown';
}), 'all of them answer');
is("@answers", 'ok 2', 'old and new workers deliver');
undef @before;

# --- another number of slots

my $instance = $edge->status->{instance};
my $fds = () = glob('/proc/' . $edge->pid . '/fd/*');
$edge->write_conf(workers => 17, http => 'push_drain_time 100ms;');
$edge->signal('HUP');
ok(wait_until(sub {
    my $s = $edge->status || {};
    return ($s->{instance} // '') ne $instance && 17 == @{$s->{workers} || []};
}, 15), 'more slots than before: a zone of its own, another instance');
my $new = $edge->ws('fresh', raw => 1);
is_deeply([ $edge->deliver($e . item('user', 'fresh', 3, '3')) ],
    [ 200, 'ok 1' ], 'its workers deliver');
ok(wait_until(sub { 17 == $edge->workers }, 15), 'the old ones leave');
cmp_ok(scalar(() = glob('/proc/' . $edge->pid . '/fd/*')), '<=',
    $fds + 2 * (17 * 4 - 64) + 2 * 13, 'the old sockets are closed');

# --- the last answer

$edge->deliver($e);
$before = slots();
$edge->deliver($e);
$after = slots();
($mine) = grep { $after->{$_}{deliver_requests}
                 > $before->{$_}{deliver_requests} } keys %$after;
($other) = grep { $_ ne $mine } keys %$after;
my $still = $after->{$other}{pid};
kill('STOP', $still);

my $child = fork() // die "fork: $!";

if ($child == 0) {
    select(undef, undef, undef, 0.1);
    $edge->signal('QUIT');
    POSIX::_exit(0);
}

is_deeply([ $edge->deliver($e . item('user', 'nobody', 0, '1')) ],
    [ 200, 'unknown' ], 'QUIT: a body under way is answered');
waitpid($child, 0);
kill('CONT', $still);
ok(wait_until(sub { !$edge->pid || !-e '/proc/' . $edge->pid }, 15),
    'and all leave');

$edge->logs_ok_now(qr/exited on signal 9/);

# --- one process

undef $edge;
$edge = Push::Edge->new(main => "master_process off;\ndaemon on;\n",
    start => 0);
$edge->start;
my $one = $edge->ws('u1', raw => 1);
is_deeply([ $edge->deliver($e . item('user', 'u1', 1, '1') . "check u9\n") ],
    [ 200, 'ok 1', 'none' ], 'master_process off: there is nobody to ask');

# --- unused

my ($code, $out) = $edge->test;
is($code, 0, 'nginx -t passes') or diag($out);

$edge->logs_ok_now;

done_testing();
