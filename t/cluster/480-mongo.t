#!/usr/bin/perl

# The stack on MongoDB: collector and mongod may be killed while messages flow,
# and every message that was answered 201 arrives, once and in order.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Push::Reader;
use Push::Stack;

my $stack = eval { Push::Stack->new(edges => 1, workers => 2, store => 'mongo') };
plan(skip_all => $1) if !$stack && $@ =~ /run: (no mongod)/;
die $@ unless $stack;

my $n = 0;

sub post {
    my ($timeout) = @_;
    my $r = $stack->publish_surely({ to => { user => 'u' }, data => ++$n,
        key => "n-$n" }, $timeout // 20);

    die "not stored: $n\n" unless $r;
}

sub complete {
    my ($name, @readers) = @_;

    for my $r (@readers) {
        $r->collect($n, 60);
        is_deeply($r->data, [1 .. $n],
            "$name: $r->{device} has all, once, in order");
        is_deeply($r->faults, [], "$name: without a gap");
    }
}

my $reader = Push::Reader->new($stack, 'u', device => 'd1', edge => 1);
$reader->ready;

post() for 1 .. 5;
complete('at first', $reader);

for my $part (qw(collector mongod-1)) {
    $stack->kill9($part);
    $stack->up;
    post() for 1 .. 5;
    complete("kill -9 $part", $reader);
}

# The collector was killed, so it does not know what it had handed over.

like(do { open(my $fh, '<', $stack->dir . '/logs/collector.log') or die; local $/;
          <$fh> }, qr/event=store_open .*repair=all/,
    'what was perhaps not handed over is asked for');

$stack->logs_ok_now;
done_testing();
