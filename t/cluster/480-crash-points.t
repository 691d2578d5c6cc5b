#!/usr/bin/perl

# A process may die at any point of a message's way: what was answered 201
# reaches every device once and in order, and each key is stored once.
#
# PUSH_CRASH_PASSES=N    the first N passages of each point; without, the first
#                        one of some
# PUSH_CRASH_STORES      "sqlite mongo"; the latter if a mongod can be had
# PUSH_CRASH_POINTS      only these, separated by spaces

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Push::Crash;
use Test::More;

my $build = Push::Crash::build();

plan(skip_all => 'fault points are in a build of their own, not in this nginx')
    if $ENV{PUSH_NGINX};
plan(skip_all => 'not built: make FAULTS=1 daemons module')
    unless -x "$build/bin/push-collector"
        && -f "$build/ngx_http_push_module.so";

# process, point; short: in the short form too; only: of this store; wait: so
# many seconds for it
my @points = (
    [ collector => 'store-put', only => 'sqlite' ],
    [ collector => 'store-tips', only => 'mongo' ],
    [ collector => 'store-sent', short => 1 ],
    [ collector => 'store-acked', short => 1 ],
    [ collector => 'store-hot', only => 'mongo', short => 1 ],
    [ collector => 'hand-over' ],
    [ collector => 'publish-reply', short => 1 ],
    [ collector => 'replied' ],
    [ collector => 'handed-over' ],
    [ collector => 'mark-written', only => 'sqlite', wait => 3 ],
    [ collector => 'resync-start' ],
    [ collector => 'resync-page', short => 1 ],
    [ collector => 'resync-answered' ],
    [ collector => 'ack-read', short => 1 ],
    [ collector => 'ack-written' ],
    [ collector => 'gc-head', short => 1, gc => 1, wait => 8 ],
    [ collector => 'gc-delete', gc => 1, wait => 80 ],
    [ dispatcher => 'lookup-done', short => 1 ],
    [ dispatcher => 'edge-post' ],
    [ dispatcher => 'edge-posted', short => 1 ],
    [ dispatcher => 'dispatch-reply' ],
    [ dispatcher => 'replied' ],
    [ 'nginx-1' => 'edge-bound', short => 1 ],
    [ 'nginx-1' => 'edge-asked' ],
    [ 'nginx-1' => 'edge-answer' ],
    [ 'nginx-1' => 'edge-enqueued', short => 1 ],
    [ 'nginx-1' => 'edge-written' ],
    [ 'nginx-1' => 'edge-reply' ],
    [ 'nginx-1' => 'edge-ack', short => 1 ],
    [ 'nginx-1' => 'edge-acks' ],
);

my $passes = $ENV{PUSH_CRASH_PASSES};
my %only = map { $_ => 1 } split ' ', $ENV{PUSH_CRASH_POINTS} // '';

sub passes {
    my ($crash, $process, $point, %o) = @_;
    my $n = 1;

    $n++ while $n <= ($passes // 1) && ($o{gc}
        ? $crash->run_gc($point, $n, $o{wait})
        : $crash->run($process, $point, $n, $o{wait}));

    return $n - 1;
}

my $why;

for my $store (split ' ', $ENV{PUSH_CRASH_STORES} // 'sqlite') {
    my $crash = eval { Push::Crash->new(store => $store, workers => 2) };

    unless ($crash) {
        die $@ unless $@ =~ /^no mongod/;
        chomp($why = "$store: $@");
        diag($why);
        next;
    }

    for my $row (@points) {
        my ($process, $point, %o) = @$row;

        next if $o{only} && $o{only} ne $store;
        next if %only ? !$only{$point} : !$passes && !$o{short};

        my $killed = passes($crash, $process, $point, %o);

        ok($killed, "$store: $process comes to $point");
        note("crash store=$store process=$process point=$point",
            " killed=$killed");
    }

    $crash->done;
}

plan(skip_all => $why) if $why && !Test::More->builder->current_test;
done_testing();
