#!/usr/bin/perl

# Reload after reload under load: every message arrives once and in order, no
# worker stays behind, and neither descriptors nor memory grow.
# `./run check-reload` runs it with PUSH_LOAD_CLIENTS=5000 and more.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Push::Load;
use Push::Stack;
use Time::HiRes qw(sleep time);

my $clients = $ENV{PUSH_LOAD_CLIENTS} // 300;
my $rate = $ENV{PUSH_LOAD_RATE} // 300;
my $reloads = $ENV{PUSH_LOAD_RELOADS} // 3;
my $drain = $ENV{PUSH_LOAD_DRAIN} // '1s';
my $reference = $reloads > 3 ? 3 : 1;      # what the last is compared with
my $workers = 2;

plan(skip_all => 'bench/pushload is not built: make bench')
    unless -x "$Push::Stack::root/build/bench/pushload";

my $stack = Push::Stack->new(workers => $workers);
my $master = $stack->pid('nginx-1');

sub reload {
    my ($wait) = @_;
    my %old = map { $_ => 1 } $stack->workers;

    kill('HUP', $master);

    # new ones are there, and, if it is waited for, the old ones have gone
    return Push::Stack::wait_until(sub {
        my @now = $stack->workers;
        my $left = grep { $old{$_} } @now;
        @now - $left == $workers && (!$wait || !$left);
    }, 120);
}

sub fds { my ($pid) = @_; my @fds = glob("/proc/$pid/fd/*"); scalar @fds }

sub pss {
    my ($pid) = @_;
    open(my $fh, '<', "/proc/$pid/smaps_rollup") or die "smaps_rollup: $!";
    my ($kb) = join('', <$fh>) =~ /^Pss:\s+(\d+)/m;
    return $kb;
}

# Messages flow from here to the next measure().
my ($flowing, $stored_before, $published_s, $stored) = (0, 0, 0, 0);

sub flow {
    my ($load) = @_;
    $stored_before = $load->report->{acked};
    $flowing = time();
    $load->say("rate $rate 1000");
}

# Descriptors and memory at rest, with all clients connected.
sub measure {
    my ($load) = @_;

    $published_s += time() - $flowing;
    $stored += $load->report->{acked} - $stored_before;

    my %m = (ok => $load->settle(60), master_fds => fds($master),
             master_kb => pss($master), fds => 0, kb => 0);

    for my $pid ($stack->workers) {
        $m{fds} += fds($pid);
        $m{kb} += pss($pid);
    }

    return \%m;
}

# Five thousand clients in one process may be late with a hello, and would be
# another device then.
$stack->configure(http => "push_drain_time $drain;");
$stack->configure(http => 'push_hello_timeout 20s;');
ok(reload(1), 'the drain time is read');

my $load = Push::Load->new($stack, clients => $clients);
ok($load->ready(120), "$clients clients are connected");
flow($load);

my ($first, $begin);

for my $n (1 .. $reloads) {
    $begin = time();
    ok(reload(1), "reload $n: the old workers leave");
    ok($load->ready(60), '... and all clients are back');
    note(sprintf('reload %d: %.1f s', $n, time() - $begin));

    if ($n == $reference) {
        $first = measure($load);
        flow($load);
    }
}

my $last = measure($load);
my $waited = $load->report;

# --- again, before the last one has ended -----------------------------------

my %before = map { $_ => 1 } $stack->workers;

flow($load);
ok(reload(0), 'a reload, not waited for') for 1 .. 3;
ok(Push::Stack::wait_until(sub { $stack->workers == $workers }, 120),
    '... and the old workers of each leave');
is(scalar(grep { $before{$_} } $stack->workers), 0, '... the first ones too');
ok($load->ready(60), '... and all clients are back');
ok(measure($load)->{ok}, '... and have what was stored');

# --- what was seen ----------------------------------------------------------

my $r = $load->report;
my $status = $stack->status;

note(join(' ', map { "$_=$r->{$_}" } sort keys %$r));

note(sprintf("rate: %d messages/s were to be published, %.0f were stored",
    $rate, $stored / $published_s));
cmp_ok($stored / $published_s, '>', $rate / 2, 'messages were stored at more '
    . 'than half the rate that was asked for');
cmp_ok($r->{acked_all}, '>', 0, '... to `all` too');
is($r->{received}, $r->{expected}, 'all of them arrived');
is($r->{$_}, 0, "none is $_") for qw(missing doubled reordered gaps foreign
                                     voids);
cmp_ok($r->{restarts}, '>=', $clients * $reloads, 'each client was sent away '
    . 'by each reload');
is($r->{closed}, 0, '... with 1012 alone');
is($r->{lost}, 0, '... never by a broken socket');
is($waited->{refused}, 0, '... and never refused, as long as no handshake was '
    . 'under way');

is($status->{connections}, $clients, 'status: connections');
is($status->{users}, $clients, '... users');
is($status->{queue_bytes}, 0, '... queued bytes');
is($status->{handshakes_ok}, $r->{opened}, '... handshakes of all workers '
    . 'that ever were');
is($status->{handshakes_failed}, $r->{refused}, '... and those that came to a '
    . 'worker as it left');
is(scalar @{$status->{workers}}, $workers, '... and no worker besides');

# --- descriptors and memory -------------------------------------------------

ok($first->{ok} && $last->{ok}, 'all have what was stored after reload '
    . "$reference and the last");
note(sprintf('after reload %d: master %d fds, %d KB; workers %d fds, %d KB',
    $_->[0], @{$_->[1]}{qw(master_fds master_kb fds kb)}))
    for [$reference, $first], [$reloads, $last];

is($last->{master_fds}, $first->{master_fds}, "the master's descriptors do "
    . 'not grow');
cmp_ok($last->{fds}, '<=', $first->{fds} + 64 * $workers, "... nor do the "
    . "workers', but for idle connections to auth and collector");

SKIP: {
    skip('a sanitizer keeps what was freed', 2)
        if `cat /proc/$master/maps` =~ /asan/;

    cmp_ok($last->{master_kb}, '<=', $first->{master_kb} + 1024, "the master's "
        . 'memory does not grow');
    cmp_ok($last->{kb}, '<=', $first->{kb} * 1.05 + 2048, "... nor does the "
        . "workers'");
}

ok($load->end, 'the clients end');
ok(Push::Stack::wait_until(sub { $stack->status->{connections} == 0 }),
    'status: nobody is left');
$stack->logs_ok_now;

done_testing();
