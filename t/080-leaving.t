#!/usr/bin/perl

# A worker leaves: reload, quit, upgrade of the configuration, time-out, fast
# stop, kill -9.  Clients hear bye and 1012, spread over push_drain_time, and
# delivery goes on meanwhile.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Push::Edge;
use Time::HiRes qw(time sleep);

sub clients {
    my ($edge, $n, %o) = @_;
    my @ws = map { $edge->ws("u$_", %o) } 1 .. $n;

    if (!$o{raw}) {
        $_->hello(device => 'd') for @ws;
        $_->wait_for('welcome') for @ws;
    }

    return @ws;
}

# Reads from all of them until they have gone; what each has heard, and when.
sub leave {
    my ($ws, $timeout, $meanwhile) = @_;
    my $begin = time();
    my @left = @$ws;
    my @gone;

    while (@left && time() < $begin + $timeout) {
        $meanwhile->() if $meanwhile;

        for my $one (@left) {
            while (defined(my $m = $one->next_message(0.001))) {
                push @{$one->{seen}}, $m;
            }
            push @gone, time() - $begin if $one->close_code;
        }

        @left = grep { !$_->close_code } @left;
    }

    return @gone;
}

# --- reload -----------------------------------------------------------------

my $edge = Push::Edge->new(workers => 2, redis => 0,
    http => 'push_drain_time 2s;');
my @ws = clients($edge, 30);
my $raw = $edge->ws('raw', raw => 1);
my @old = $edge->workers;
my $n = 0;

$edge->signal('HUP');
Push::Edge::wait_until(sub { grep { my $p = $_; !grep { $_ == $p } @old }
                             $edge->workers });
is($edge->ws('new')->status, 101, 'reload: new workers take new clients');

my @gone = leave([@ws], 10, sub {
    $edge->deliver("epoch e1\n" . Push::Edge::item('user', 'u1', 0, ++$n));
});
is(scalar @gone, 30, 'reload: all clients have gone');
is_deeply([grep { $_->close_code != 1012 } @ws], [], '... with 1012');

my @bye = map { [grep { $_->{type} eq 'bye' } @{$_->seen}] } @ws;
is_deeply([grep { @$_ != 1 } @bye], [], '... after one bye');
is_deeply([grep { $_->[0]{code} != 1012 || $_->[0]{retry_ms} < 200
                  || $_->[0]{retry_ms} > 30000 } @bye], [],
    '... that says when to come back');
my %retry = map { $_->[0]{retry_ms} => 1 } @bye;
cmp_ok(scalar keys %retry, '>', 10, '... each another time');
is_deeply([grep { $_->seen->[-1]{type} ne 'bye' } @ws], [],
    '... and nothing after it');
cmp_ok($gone[-1], '>', 1, '... not all at once');
cmp_ok($gone[-1], '<', 4, '... in push_drain_time');

my @got = map { $_->{data} } grep { $_->{type} eq 'message' } @{$ws[0]->seen};
is_deeply(\@got, [1 .. @got], 'delivery goes on while it lasts');

is($raw->wait_close, 1012, 'raw mode: 1012 without bye');
undef $raw;
undef @ws;

ok(Push::Edge::wait_until(sub {
    my %now = map { $_ => 1 } $edge->workers; !grep { $now{$_} } @old
}, 10), 'the old workers leave when the last client has gone');

# --- kill -9 of a worker ----------------------------------------------------

@ws = clients($edge, 4);
my @slots = map { $_->{slot} } @{$edge->status->{workers}};
kill('KILL', $_) for $edge->workers;
is($_->wait_close, 1006, 'kill -9: the connection is lost') for @ws;
Push::Edge::wait_until(sub { my @w = $edge->workers; @w == 2 });
@ws = clients($edge, 4);
is(scalar(grep { $_->status == 101 } @ws), 4, '... and its successor works');
my ($status, @answers) = $edge->deliver(join '', "epoch e1\n",
    map { Push::Edge::item('user', "u$_", 0, '1') } 1 .. 4);
is("@answers", 'ok 1 ok 1 ok 1 ok 1', '... and delivers');
ok(Push::Edge::wait_until(sub { $edge->status->{connections} == 4 }),
    '... and counts its own connections only');
is_deeply([map { $_->{slot} } @{$edge->status->{workers}}], \@slots,
    '... in the slot whose queue had lost its reader, though others are free');

# --- fast stop --------------------------------------------------------------

ok($edge->stop('TERM'), 'TERM: nginx has gone');
is($_->wait_close, 1006, 'TERM: nothing is said') for @ws;
$edge->logs_ok_now(qr/exited on signal 9/);

# --- quit -------------------------------------------------------------------

$edge = Push::Edge->new(redis => 1, http => 'push_drain_time 1s;');
@ws = clients($edge, 10);
Push::Edge::wait_until(sub { $edge->redis('KEYS', 'push:{*') }) or diag('?');
$edge->signal('QUIT');
@gone = leave([@ws], 8);
is(scalar @gone, 10, 'QUIT: all have gone');
is_deeply([grep { $_->close_code != 1012 } @ws], [], '... with 1012');
undef @ws;
ok($edge->stop('QUIT'), '... and nginx too');
is(join(' ', $edge->redis('KEYS', 'push:{*')), '', '... and their bindings');
$edge->logs_ok_now;

# --- few are left of many ----------------------------------------------------

$edge = Push::Edge->new(redis => 0, http => 'push_drain_time 1s;');
@ws = map { $edge->ws('peak', raw => 1) } 1 .. 2000;
splice(@ws, 0, -3);
ok(Push::Edge::wait_until(sub { $edge->status->{connections} == 3 }, 30),
    'a peak is over');
my $from = time();
$edge->signal('QUIT');
is($_->wait_close(30), 1012, '... QUIT: 1012') for @ws;
cmp_ok(time() - $from, '<', 5, '... in push_drain_time, not in that of many');
undef @ws;
ok($edge->stop('QUIT'), '... and nginx leaves');
$edge->logs_ok_now;

# --- a handshake that ends after the drain ----------------------------------

my $silent = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
    or die $!;
$edge = Push::Edge->new(redis => 0, http => 'push_drain_time 100ms;',
    location => 'mirror /late; } location = /late { internal; proxy_pass '
        . 'http://127.0.0.1:' . $silent->sockport . '; proxy_read_timeout 2s;');
my $late = $edge->ws('late');
is($late->status, 101, 'a mirror keeps a request');
$edge->signal('QUIT');
is($late->wait_close(8), 1012, '... beyond the drain: 1012 all the same');
ok($edge->stop('QUIT'), '... and nginx leaves');
$edge->logs_ok_now(qr/upstream timed out/);

# --- worker_shutdown_timeout ------------------------------------------------

$edge = Push::Edge->new(redis => 0, main => 'worker_shutdown_timeout 3s;');
@ws = clients($edge, 10);
my $begin = time();
$edge->signal('QUIT');
@gone = leave([@ws], 8);
is(scalar @gone, 10, 'worker_shutdown_timeout: all have gone');
is_deeply([grep { $_->close_code != 1012 } @ws], [], '... with 1012, though '
    . 'push_drain_time is longer');
ok($edge->stop('QUIT'), '... and nginx too');
cmp_ok(time() - $begin, '<', 4, '... in time');
$edge->logs_ok_now;

$edge = Push::Edge->new(redis => 0, main => 'worker_shutdown_timeout 1s;');
my @mute = map { $edge->ws("m$_") } 1 .. 3;
$begin = time();
$edge->signal('QUIT');
ok($edge->stop('QUIT'), 'clients that do not answer do not hold a worker');
cmp_ok(time() - $begin, '<', 2, '... longer than worker_shutdown_timeout');
$edge->logs_ok_now;

# --- reload under load ------------------------------------------------------

$edge = Push::Edge->new(workers => 2, redis => 0,
    http => 'push_drain_time 300ms;', location => 'push_hello_timeout 100ms;');

for my $round (1 .. 3) {
    @ws = map { $edge->ws("r$_", raw => $_ % 2) } 1 .. 20;
    $edge->signal('HUP');
    push @ws, map { $edge->ws("r$_", raw => $_ % 2) } 21 .. 40;
    $edge->deliver("epoch e1\n" . join('', map {
        Push::Edge::item('user', "r$_", 0, '"x"') } 1 .. 40)) for 1 .. 5;
    $_->drop for @ws[0 .. 9, 20 .. 29];
}

undef @ws;
ok(Push::Edge::wait_until(sub {
    my @w = $edge->workers; @w == 2 && $edge->status->{connections} == 0
}, 15), 'reloads under load: old workers and their connections have gone');
ok($edge->stop('QUIT'), '... and so has nginx');
$edge->logs_ok_now;

done_testing();
