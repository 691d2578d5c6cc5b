#!/usr/bin/perl

# A worker that leaves has given everything back: every way in which a
# connection lives and ends, then QUIT, and LeakSanitizer looks.  That it does
# look is shown by a leak that the echo location of test builds has on request.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Push::Edge;
use Push::Logs qw(bad_lines);
use Push::WebSocket;

*item = \&Push::Edge::item;
*wait_until = \&Push::Edge::wait_until;

plan(skip_all => 'only with an nginx under AddressSanitizer (make module-asan,'
    . ' PUSH_NGINX)')
    unless `${\Push::Edge::nginx()} -V 2>&1` =~ /-fsanitize=address/;
plan(skip_all => 'ASAN_OPTIONS says that leaks are not looked for')
    if ($ENV{ASAN_OPTIONS} // '') =~ /detect_leaks=0/;

my ($echo) = (Push::Edge::free_ports(6))[5];
my $server = "server { listen 127.0.0.1:$echo;"
    . ' location / { push_test_echo; } }';

# --- what is done in a worker's life ----------------------------------------

my $edge = Push::Edge->new(workers => 2, http => 'push_drain_time 0;',
    location => 'push_message_rate 20/s; push_limit_user 20;'
        . ' push_max_message_size 4k;');
wait_until(sub { ($edge->status // {})->{redis_up} == 2 });

for my $round (1, 2) {
    my @ws = map { my $ws = $edge->ws("u$_"); $ws->hello(device => "d$_"); $ws }
             1 .. 12;
    $_->wait_for('welcome') for @ws;

    # answers to what they asked, messages to one and to all, and acks
    for my $request ($edge->stream('push:ev:resync')) {
        my $conn = "$request->{inst}.$request->{conn}";
        for my $line (split /\n/, $request->{logs}) {
            my ($log, $after) = split / /, $line;
            $after = 0 if $after eq '-';
            $edge->deliver("epoch e1\nbegin $conn $log $request->{rid} $after\n"
                . "tip $conn $log $request->{rid} $after\n");
        }
    }

    for my $seq (1 .. 5) {
        $edge->deliver("epoch e1\n"
            . join('', map { item('user', "u$_", $seq, '"' . 'x' x 300 . '"') }
                1 .. 12) . item('all', '', $seq, '"to all"'));
    }
    $_->ack('user', 1) for @ws;

    # every kind of end
    my $replaced = $edge->ws('u1');
    $replaced->hello(device => 'd1');
    $replaced->wait_for('welcome');
    $edge->deliver("epoch e1\nkick u2 * 4002 4\nkick\n");
    $ws[2]->send_frame(1, "\xff");
    $ws[3]->send_frame(2, 'binary');
    $ws[4]->send_frame(1, 'x' x 5000);
    $ws[5]->send_frame(1, '{"type":"' . 'y' x 2000, fin => 0);
    $ws[5]->drop;
    $ws[6]->write_raw(substr(Push::WebSocket::frame(1, 'z' x 2000), 0, 1000));
    $ws[6]->drop;
    $ws[7]->send_json({ type => 'ping' }) for 1 .. 60;
    $ws[8]->send_close(1000);
    $ws[9]->drop;
    $ws[10]->send_text('not json');

    # one who reads nothing, with a queue; handshakes that are refused
    my $slow = $edge->ws('u20', raw => 1);
    $edge->deliver("epoch e1\n" . item('user', 'u20', 0, '"' . 's' x 200000
        . '"')) for 1 .. 30;
    $edge->ws($_) for '', 'a%20b';
    $edge->ws('u1', args => '&expires=1');
    $edge->ws('u1', method => 'POST');

    $_->wait_close(2) for @ws[2, 3, 4, 8, 10];
    if ($round == 1) {
        $edge->redis('CLIENT', 'KILL', 'TYPE', 'normal');
        $edge->redis('DEBUG', 'SLEEP', '0.1');
        $edge->signal('HUP');
    }
    $_->drop for @ws, $slow, $replaced;
}

ok(wait_until(sub { ($edge->status // { connections => 1 })->{connections}
                    == 0 }, 15), 'all have left');
ok($edge->stop('QUIT'), 'nginx ends by itself');
$edge->logs_ok_now;

# --- a leak is seen ---------------------------------------------------------

$edge = Push::Edge->new(redis => 0, http => "push_drain_time 0;$server");

my $ws = Push::WebSocket->new(url => "ws://127.0.0.1:$echo/", raw => 1);
$ws->send_text('a message that is never put');
is($ws->next_frame->{payload}, 'a message that is never put', 'echo');
$ws->send_close(1000);
$ws->wait_close;
$ws->drop;
wait_until(sub { $edge->status->{connections} == 0 });
$edge->stop('QUIT');

my $log = do { local (@ARGV, $/) = "$edge->{dir}/logs/error.log"; <> };
like($log, qr/LeakSanitizer: detected memory leaks/, 'a leak is reported');
like($log, qr/Direct leak of \d+ byte\(s\) in 1 object.*?ngx_http_push_msg/s,
    '... and is the message');
is(() = $log =~ /^Direct leak/mg, 1, '... alone');
ok(scalar bad_lines([ "$edge->{dir}/logs/error.log" ]),
    'every test that reads logs would fail by it');

done_testing();
