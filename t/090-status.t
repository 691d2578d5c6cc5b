#!/usr/bin/perl

# Counters: JSON and Prometheus, sums and workers, and they never go back.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Push::Edge;
use Push::Prometheus;
use Push::WebSocket;
use Test::More;

*item = \&Push::Edge::item;
*wait_until = \&Push::Edge::wait_until;

my ($other) = (Push::Edge::free_ports(5))[4];

my $edge = Push::Edge->new(workers => 2, http => <<CONF);
    server {
        listen 127.0.0.1:$other;
        location / {
            push_websocket;
            push_user \$arg_user;
            push_limit_user 1;
            auth_request /auth;
            error_page 500 =503 /unavailable;
        }
        location /unavailable { return 503; }
        location = /auth {
            internal;
            if (\$http_x_auth = 401) { return 401; }
            if (\$http_x_auth = 403) { return 403; }
            if (\$http_x_auth = 500) { return 500; }
            return 204;
        }
    }
CONF
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

# --- histograms

my $sum = 0;
$sum += $_->{unicast_us}{count} for @{$s->{workers}};
is($sum, 6, 'the time of each message to a user, none for nobody');
is($s->{unicast_us}{count}, 6, 'and their sum');

my $buckets = 0;
$buckets += $_ for values %{$s->{unicast_us}{buckets}};
is($buckets, 6, 'each is in a bucket');

my %u = %{$s->{unicast_us}};
cmp_ok($u{max}, '>', 0, 'it takes some time');
cmp_ok($u{p50}, '<=', $u{p99}, 'half of them less than 99 %');
cmp_ok($u{p99}, '<=', $u{max}, 'and those no more than the largest');
cmp_ok($u{sum}, '>=', $u{max}, 'which is in the sum');
is(join(' ', grep { $_ ne 'inf' && !/^(?:10|13|16|20|25|32|40|50|63|80)0*$/ }
    map { keys %{$s->{$_}{buckets}} } grep { /_us$/ && ref $s->{$_} }
    keys %$s), '', 'bounds are ten a decade');
is($s->{fan_out_us}{count}, 0, 'there was no fan-out');

$edge->deliver("epoch e1\n" . item('all', '', 0, '2'));
$_->next_frame for @ws;
wait_until(sub { $edge->status->{fan_out_us}{count} == 2 });
$s = $edge->status;
is($s->{fan_out_us}{count}, 2, 'a fan-out is a walk in each worker');
is($s->{fan_out_slice_us}{count}, 2, 'in a slice');
is($s->{fan_out_turn_us}{count}, 0, 'that needs no other turn');
is($s->{unicast_us}{count}, 6, 'its messages are none for users');

is_deeply([ sort map { $_->{pid} } @{$s->{workers}} ],
    [ sort $edge->workers ], 'a row for each worker');

# --- Prometheus

my $text = $http->get("$base?format=prometheus");
is($text->{status}, 200, 'format=prometheus');
like($text->{headers}{'content-type'}, qr{^text/plain}, 'is text');

my ($metrics, @errors) = Push::Prometheus::parse($text->{content});
is(join("\n", @errors), '', 'each line is one of Prometheus');

is($metrics->{push_edge_messages_out_total}{value}{''}, 12,
    'a counter is a sum');
is($metrics->{push_edge_messages_out_total}{type}, 'counter', 'and says so');
is($metrics->{push_edge_connections}{type}, 'gauge', 'a gauge says so');
my $rows = $metrics->{push_edge_connections}{value};
is(join(' ', sort keys %$rows), 'slot="0",state="run" slot="1",state="run"',
    'a gauge has a row for each worker');
is($rows->{'slot="0",state="run"'} + $rows->{'slot="1",state="run"'}, 6,
    '... and they add up');
is(scalar(grep { /^push_edge_closed_/ } keys %$metrics), 17,
    'each reason to close is a counter');

# what stands in JSON stands there too, and nothing else
{
    my %json = map { $_ => 1 } grep {
        !ref $s->{$_} && !/^(?:node|instance|version)$/ } keys %$s;
    my %text = map { s/^push_edge_|_total$//gr => 1 }
        grep { $metrics->{$_}{type} ne 'histogram' && !/_seconds_max$/ }
        keys %$metrics;
    is_deeply([ sort keys %text ], [ sort keys %json ],
        'both formats have the same names');
}

# the reader itself
for my $case (
    ['no line of the format', "x\n"],
    ['no line of the format', "# HELP a b\n# TYPE a gauge\na 1 1700000000\n"],
    ['outside of its family', "a 1\n"],
    ['TYPE does not follow', "# TYPE a gauge\na 1\n"],
    ['has no sample', "# HELP a b\n# TYPE a gauge\n"],
    ['comes twice', "# HELP a b\n# TYPE a gauge\na 1\na 1\n"],
    ['comes twice', "# HELP a b\n# TYPE a gauge\na{x=\"1\",x=\"2\"} 1\n"],
    ['is called _total', "# HELP a b\n# TYPE a counter\na 1\n"],
    ['not negative', "# HELP a_total b\n# TYPE a_total counter\na_total -1\n"],
    ['wrapped', "# HELP a b\n# TYPE a gauge\na 18446744073709551615\n"],
    ['has no end', "# HELP a b\n# TYPE a gauge\na 1"],
    ['\\+Inf is not the count', "# HELP a b\n# TYPE a histogram\n"
        . "a_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 2\na_sum 3\na_count 1\n"],
    ['counts less', "# HELP a b\n# TYPE a histogram\n"
        . "a_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 3\na_count 1\n"],
) {
    my ($error, $bad) = @$case;
    my ($ignored, @said) = Push::Prometheus::parse($bad);
    like("@said", qr/$error/, "the reader finds: $error");
}

# histograms

my %in_text = map { s/^push_edge_|_seconds$//gr => $metrics->{$_}{value} }
    grep { $metrics->{$_}{type} eq 'histogram' } keys %$metrics;
is(join(' ', sort keys %in_text),
    join(' ', sort map { /^(\w+)_us$/ && ref $s->{$_} ? $1 : () } keys %$s),
    'and the same histograms');
is($metrics->{push_edge_unicast_seconds_max}{value}{''},
    sprintf('%.6f', $u{max} / 1e6), 'in seconds, and the largest');

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

# --- handshakes by outcome

# Each ends in one counter, whoever refused it.
{
    my $at = sub {
        my ($user, %o) = @_;
        return Push::WebSocket->new(url =>
            "ws://127.0.0.1:$other/?user=$user", %o);
    };
    my $sum = sub {
        my $now = $edge->status;
        return { map { /^handshakes_(\w+)$/ ? ($1 => $now->{$_}) : () }
                 keys %$now };
    };
    my $before = $sum->();
    my $first = $at->('h1');
    my @cases = (
        [ 'denied', 401, 'h2', headers => ['X-Auth: 401'] ],
        [ 'denied', 403, 'h2', headers => ['X-Auth: 403'] ],
        [ 'failed', 503, 'h2', headers => ['X-Auth: 500'] ],
        [ 'denied', 401, '' ],
        [ 'denied', 403, 'a%20b' ],
        [ 'limited', 429, 'h1' ],
        [ 'bad', 400, 'h2', protocols => ['chat'] ],
        [ 'bad', 405, 'h2', method => 'DELETE' ],
        [ 'bad', 426, 'h2', drop => ['Upgrade'] ],
        [ 'ok', 101, 'h3' ],
    );

    my %want = (%$before, ok => $before->{ok} + 1);
    my @held;
    for my $case (@cases) {
        my ($name, $status, $user, %o) = @$case;
        my $ws = $at->($user, %o);
        is($ws->status, $status, "a handshake that gets $status");
        push @held, $ws;
        $want{$name}++;
        ok(wait_until(sub { $sum->()->{$name} == $want{$name} }),
            "... counts as $name");
    }
    is_deeply($sum->(), \%want, 'each handshake is counted once');
    $_->drop for @held, $first;
    ok(wait_until(sub { $edge->status->{connections} == 6 }), 'they leave');
}

# --- Redis, queues

{
    my $before = $edge->status;
    ok(wait_until(sub {
        my $now = $edge->status;
        2 == grep { $_->{redis_rtt_us} > 0 && $_->{redis_rtt_us} < 2e6 }
            @{$now->{workers}};
    }), 'each worker has a round trip to Redis');
    $edge->redis('CLIENT', 'PAUSE', '500', 'ALL');
    my $asks = $edge->ws('asks', raw => 1);
    ok(wait_until(sub {
        grep { $_->{redis_rtt_us} > 50000 } @{$edge->status->{workers}};
    }), '... which says that Redis is slow');
    $asks->drop;

    my $slow = $edge->ws('slow', raw => 1);
    my $big = item('user', 'slow', 0, '"' . 'x' x 200000 . '"');
    $edge->deliver("epoch e1\n$big" . item('user', 'slow', 0, '1')) for 1 .. 40;
    ok(wait_until(sub { $edge->status->{queue_bytes} > 0 }),
        'what waits for a slow client is seen');
    cmp_ok($edge->status->{messages_dropped}, '>', 0, '... and what does not fit');
    $slow->drop;
    ok(wait_until(sub { $edge->status->{queue_bytes} == 0 }),
        '... and is gone when it has gone');
}

# --- one worker dies: its gauges vanish, its counters stay

{
    my $before = $edge->status;
    my ($dies) = sort { $b->{connections} <=> $a->{connections} }
                 @{$before->{workers}};
    my ($lives) = grep { $_->{pid} != $dies->{pid} } @{$before->{workers}};

    cmp_ok($dies->{connections}, '>', 0, 'a worker with connections');
    kill('KILL', $dies->{pid});

    ok(wait_until(sub {
        my $now = $edge->status or return;
        return 2 == @{$now->{workers}}
            && !grep { $_->{pid} == $dies->{pid} } @{$now->{workers}};
    }, 15), 'it is followed by another');

    my $after = $edge->status;
    is($after->{connections}, $lives->{connections},
        'its connections are not counted any more');
    is($after->{users}, $lives->{users}, '... nor its users');
    is($after->{$_}, $before->{$_}, "... $_ is what it was")
        for qw(handshakes_ok handshakes_bad handshakes_denied items_ok
               items_none messages_out closed_client closed_lost);

    my ($all, @bad) = Push::Prometheus::parse(
        $http->get("$base?format=prometheus")->{content});
    is("@bad", '', '... and nothing is negative');
}

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
    is_deeply($after->{unicast_us}, $before->{unicast_us},
        "$signal: a histogram is what it was");
}

# While workers leave, no counter goes back, not even for the moment in which
# its slot is given up.
{
    my ($last, @back, %seen) = ($edge->status);
    for my $round (1 .. 5) {
        my %old = map { $_->{pid} => 1 } @{$last->{workers}};
        $edge->signal('HUP');
        wait_until(sub {
            my $now = $edge->status or return;
            push @back, grep { /^(?:handshakes|items|closed|messages|bytes)_/
                && $now->{$_} < $last->{$_} } keys %$now;
            $last = $now;
            return 2 == @{$now->{workers}}
                && !grep { $old{$_->{pid}} } @{$now->{workers}};
        }, 15);
    }
    is("@back", '', 'reloads: no counter ever went back');
}

$edge->logs_ok_now(qr/exited on signal 9/);

done_testing();
