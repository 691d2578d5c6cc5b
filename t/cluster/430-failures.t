#!/usr/bin/perl

# Any one part may be killed while messages flow: every message that was
# answered 201 arrives, once and in order.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Push::Reader;
use Push::Stack;

my $stack = Push::Stack->new(edges => 2, workers => 2);

# What the business believes to be stored: user -> data in order.
my %stored;

sub post {
    my ($user, $timeout) = @_;
    my $n = scalar @{$stored{$user} ||= []} + 1;
    my $r = $stack->publish_surely({ to => { user => $user }, data => $n,
        key => "n-$n" }, $timeout // 20);

    die "not stored: $r->{status} $r->{content}\n" unless $r;
    push @{$stored{$user}}, $n;
}

# Everything that was stored is there, once, in order, on each reader.
sub complete {
    my ($name, $user, @readers) = @_;

    for my $r (@readers) {
        $r->collect(scalar @{$stored{$user}}, 60);
        is_deeply($r->data, $stored{$user},
            "$name: $r->{device} has all, once, in order");
        is_deeply($r->faults, [], "$name: without a gap");
    }
}

sub readers {
    my ($user) = @_;
    my @readers = map {
        Push::Reader->new($stack, $user, device => "d$_", edge => $_)
    } 1, 2;

    $_->ready for @readers;
    return @readers;
}

# --- one part at a time, up again after some messages -----------------------

for my $part (qw(dispatcher redis auth)) {
    my @readers = readers($part);

    post($part) for 1 .. 5;
    $stack->kill9($part);
    post($part) for 1 .. 5;
    $stack->up;
    post($part) for 1 .. 5;
    complete("kill -9 $part", $part, @readers);
    $_->lose for @readers;

    # And who connects anew is served as ever.
    post($part) for 1 .. 2;
    complete("after $part", $part, @readers);
    $_->lose for @readers;
}

# --- the collector: its answers stop, what it has stored does not -----------

{
    my @readers = readers('collector');

    post('collector') for 1 .. 5;
    $stack->kill9('collector');

    my $r = $stack->publish({ to => { user => 'collector' }, data => 'lost' });

    is($r->{status}, 502, 'nginx answers while no collector is there');
    is($r->{headers}{'content-type'}, 'application/problem+json',
        'by problem+json');
    is($r->{json}{status}, 502, 'with the status in it');
    ok($r->{headers}{'retry-after'}, 'and Retry-After');

    $stack->up;
    post('collector') for 1 .. 5;
    complete('kill -9 collector', 'collector', @readers);
    $_->lose for @readers;
}

# --- auth: sockets stay, new ones hear 503 ----------------------------------

{
    my $r = Push::Reader->new($stack, 'authless');

    $r->ready;
    $stack->kill9('auth');

    my $ws = $stack->ws('authless');

    is($ws->status, 503, 'no new handshake without auth');
    post('authless');
    ok($r->collect(1), 'the open connection gets its messages');
    $stack->up;
    is($stack->ws('authless')->status, 101, 'handshakes work again');
    is($r->{connects}, 1, 'the connection was never lost');
}

# --- an edge: a worker dies, or all of it -----------------------------------

{
    my @readers = readers('worker');

    post('worker') for 1 .. 5;
    complete('before', 'worker', @readers);

    my @pids = $stack->workers('nginx-1');

    kill('KILL', @pids);
    Push::Stack::wait_until(sub {
        my %now = map { $_ => 1 } $stack->workers('nginx-1');
        keys %now == 2 && !grep { $now{$_} } @pids;
    });

    post('worker') for 1 .. 5;
    complete('kill -9 of the workers', 'worker', @readers);
    ok($readers[0]{connects} > 1, 'the reader of that edge came back');
    is($readers[1]{connects}, 1, 'the other was never lost');
    $_->lose for @readers;
}

{
    my @readers = readers('edge');
    my $pid = $stack->pid('nginx-2');
    my @workers = $stack->workers('nginx-2');

    post('edge') for 1 .. 3;
    kill('KILL', $pid, @workers);
    Push::Stack::wait_until(sub {
        !grep { !Push::Stack::gone($_) } $pid, @workers
    });
    post('edge') for 1 .. 3;
    $stack->up;
    post('edge') for 1 .. 3;
    complete('kill -9 of an edge', 'edge', @readers);
    $_->lose for @readers;
}

# --- reload: clients are asked to come back, and lose nothing ---------------

{
    my @readers = readers('reload');

    post('reload') for 1 .. 3;
    kill('HUP', $stack->pid('nginx-1'));
    post('reload') for 1 .. 20;
    complete('reload', 'reload', @readers);
    ok($readers[0]->read_until(sub { $readers[0]{connects} > 1
        && $readers[0]{ws} }, 60), 'the reader moves to a new worker');
    is($readers[0]{last_close}, 1012, 'after Close 1012');
    post('reload');
    complete('after reload', 'reload', @readers);
}

# nginx itself logs at level alert that a worker was killed.
$stack->logs_ok_now(qr/worker process \d+ exited on signal 9/);

done_testing();
