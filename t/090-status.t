#!/usr/bin/perl

# Counters: JSON and Prometheus, sums and workers, and they never go back.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Push::Edge;
use Test::More;

*item = \&Push::Edge::item;
*wait_until = \&Push::Edge::wait_until;

my $edge = Push::Edge->new(workers => 2);
my $base = "http://127.0.0.1:$edge->{deliver_port}/status";
my $http = $edge->{http};

wait_until(sub { my $s = $edge->status; $s && @{$s->{workers}} == 2
                 && $s->{redis_up} == 2 });

# --- JSON

my @ws = map { $edge->ws("u$_", raw => 1) } 1 .. 6;
$edge->deliver("epoch e1\n" . join('', map { item('user', "u$_", 1, '1') }
    1 .. 8));
$_->next_frame for @ws;

my $r = $http->get($base);
is($r->{status}, 200, 'GET: 200');
is($r->{headers}{'content-type'}, 'application/json', 'as JSON');

my $s = $edge->status;
is($s->{node}, 'edge-1', 'the node has its name');
like($s->{instance}, qr/^[0-9a-f]{16}$/, 'and its instance');
is($s->{connections}, 6, 'connections of all workers');
is($s->{items_ok}, 6, 'items by answer: ok');
is($s->{items_none}, 2, 'and none');
is($s->{messages_out}, 6, 'messages written');
is($s->{redis_up}, 2, 'both workers have Redis');

for my $name (qw(connections handshakes_ok items_ok messages_out bytes_out
                 inbox_sent inbox_received))
{
    my $sum = 0;
    $sum += $_->{$name} for @{$s->{workers}};
    is($sum, $s->{$name}, "$name: the workers add up");
}

is_deeply([ sort map { $_->{pid} } @{$s->{workers}} ],
    [ sort $edge->workers ], 'a row for each worker');

# --- Prometheus

my $text = $http->get("$base?format=prometheus");
is($text->{status}, 200, 'format=prometheus');
like($text->{headers}{'content-type'}, qr{^text/plain}, 'is text');

my (%type, %value);

for (split /\n/, $text->{content}) {
    if (/^# TYPE (\S+) (counter|gauge)$/) {
        ok(!$type{$1}, "$1 stands once") if $type{$1};
        $type{$1} = $2;
    } elsif (/^(push_edge_\w+)(\{[^}]*\})? (\d+)$/) {
        fail("$1 has no type") unless $type{$1};
        $value{$1 . ($2 // '')} = $3;
    } elsif (!/^# HELP push_edge_\w+ \S/) {
        fail("not a line of Prometheus: $_");
    }
}

is($value{push_edge_messages_out_total}, 6, 'a counter is a sum');
is($type{push_edge_messages_out_total}, 'counter', 'and says so');
is($type{push_edge_connections}, 'gauge', 'a gauge says so');
is(($value{'push_edge_connections{slot="0",state="run"}'} // 0)
    + ($value{'push_edge_connections{slot="1",state="run"}'} // 0), 6,
    'a gauge has a row for each worker');
is(scalar(grep { /^push_edge_closed_/ } keys %type), 17,
    'each reason to close is a counter');

is($http->get($base, { headers => { Accept =>
    'application/openmetrics-text;q=0.5, text/plain;version=0.0.4;q=0.4' } })
    ->{headers}{'content-type'}, $text->{headers}{'content-type'},
    'Accept: text/plain as well');

# --- requests that are none

is($http->get("$base?format=xml")->{status}, 400, 'another format: 400');
is($http->request('POST', $base, { content => 'x' })->{status}, 405,
    'POST: 405');
my $head = $http->request('HEAD', $base);
is($head->{status}, 200, 'HEAD: 200');
is($head->{content} // '', '', 'without a body');

# --- workers come and go

for my $signal (qw(HUP KILL)) {
    my $before = $edge->status;
    my %old = map { $_->{pid} => 1 } @{$before->{workers}};

    if ($signal eq 'KILL') {
        kill('KILL', keys %old);
    } else {
        $_->drop for @ws;
        wait_until(sub { $edge->status->{connections} == 0 });
        $edge->signal('HUP');
    }

    ok(wait_until(sub {
        my $now = $edge->status or return;
        return 2 == @{$now->{workers}}
            && !grep { $old{$_->{pid}} } @{$now->{workers}};
    }, 15), "$signal: two new workers");

    my $after = $edge->status;
    my @back = grep { !ref $before->{$_} && $before->{$_} =~ /^\d+$/
        && !/^(?:connections|users|queue_bytes|redis_up|redis_rtt_us|instance)$/
        && $after->{$_} < $before->{$_} } keys %$before;
    is("@back", '', "$signal: no counter went back");
    is($after->{connections}, 0, "$signal: no connection is left over");
}

$edge->logs_ok_now(qr/exited on signal 9/);

done_testing();
