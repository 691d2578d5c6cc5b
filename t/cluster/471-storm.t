#!/usr/bin/perl

# All clients lose their connection at once and come back within a second,
# three times in a row: all are connected and served, and what push_status
# counts is what there is.  `./run check-reload` runs it with 5000 clients.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Push::Load;
use Push::Stack;

my $clients = $ENV{PUSH_LOAD_CLIENTS} // 1000;
my $storms = 3;

plan(skip_all => 'bench/pushload is not built: make bench')
    unless -x "$Push::Stack::root/build/bench/pushload";

my $stack = Push::Stack->new(workers => 2);
my @old = $stack->workers;

# Five thousand clients in one process may be late with a hello, and would be
# another device then.
$stack->configure(http => 'push_hello_timeout 20s;');
kill('HUP', $stack->pid('nginx-1'));
Push::Stack::wait_until(sub {
    my %now = map { $_ => 1 } $stack->workers;
    keys %now == 2 && !grep { $now{$_} } @old;
}, 30);

my $load = Push::Load->new($stack, clients => $clients);

sub sum {
    my ($status, $pattern) = @_;
    my $sum = 0;
    $sum += $status->{$_} for grep { /$pattern/ } keys %$status;
    return $sum;
}

# What the numbers must be with so many clients connected.
sub counted {
    my ($name, $connected) = @_;
    my $status;

    ok(Push::Stack::wait_until(sub {
        $status = $stack->status;
        $status && $status->{connections} == $connected
            && $status->{queue_bytes} == 0;
    }, 30), "$name: as many connections as there are, nothing queued")
        or diag("$status->{connections} $status->{queue_bytes}");

    my $r = $load->{pid} ? $load->report : $load->{last};
    $load->{last} = $r;

    is($status->{users}, $connected, '... users');
    is($status->{handshakes_ok}, $r->{opened}, '... handshakes with 101');
    is(sum($status, qr/^handshakes_(?!ok)/), $r->{refused},
        '... and with another answer');
    is($status->{handshakes_ok} - sum($status, qr/^closed_/), $connected,
        '... each connection was closed once, or is there');
    is_deeply([grep { !ref $_ && /^\d+$/ && $_ >= 2 ** 48 }
               %$status, map { %$_ } @{$status->{workers}}], [],
        '... nothing below zero');
}

ok($load->ready(120), "$clients clients are connected");
counted('connected', $clients);

for my $n (1 .. $storms) {
    $load->say('storm 1000');
    my $ms = $load->ready(120);
    ok($ms, "storm $n: all are back");
    note("after $ms ms");

    $load->say("send $clients 5000");
    ok($load->settle(60), '... and each gets its message');
    counted("storm $n", $clients);
}

my $r = $load->report;

note(join(' ', map { "$_=$r->{$_}" } sort keys %$r));
is($r->{acked}, $clients * $storms, 'a message each, after each storm');
is($r->{received}, $r->{expected}, 'all of them arrived');
is($r->{$_}, 0, "none is $_") for qw(missing doubled reordered gaps foreign
                                     voids);
is($r->{reconnects}, $clients * $storms, 'one reconnect each');
is($r->{$_}, 0, "no connection was $_") for qw(closed lost);
note("refused, as auth did not answer in time: $r->{refused}");

ok($load->end, 'the clients end');
counted('afterwards', 0);
$stack->logs_ok_now;

done_testing();
