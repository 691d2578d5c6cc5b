#!/usr/bin/perl

# Taking a connection over from nginx: whatever else used the request or the
# connection before the 101 does no harm after it.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use IO::Socket::UNIX;
use Push::Edge;
use Push::WebSocket;

my ($port, $tls, $proxied) = (Push::Edge::free_ports(8))[4 .. 6];

my $edge = Push::Edge->new(redis => 0, workers => 2,
    main => 'debug_points stop;',
    http => <<CONF,
    push_drain_time 0;
    log_format push '\$request_uri|\$status|\$push_user|\$push_conn';
    log_format line '\$request';
    large_client_header_buffers 4 8k;
    limit_conn_zone \$binary_remote_addr zone=c:64k;
    server {
        listen 127.0.0.1:$port;
        listen unix:%DIR%/ws.sock;
        location / {
            push_websocket;
            push_user \$user;
            auth_request /auth;
            auth_request_set \$user \$upstream_http_x_user;
            access_log %DIR%/logs/push.log push;
            limit_conn c 100;
        }
        location /slow { push_websocket; push_user slow; limit_rate 100; }
        location /mirrored {
            push_websocket; push_user m; mirror /late; mirror_request_body off;
        }
        location /real {
            push_websocket; push_user r;
            set_real_ip_from 127.0.0.0/8; real_ip_header X-Real-IP;
        }
        location /line { push_websocket; push_user l;
            access_log %DIR%/logs/line.log line; }
        location = /late { internal; proxy_pass http://127.0.0.1:$port/silent; }
        location = /silent { limit_rate 200; return 200 "ab"; }
        location = /auth {
            internal;
            proxy_pass http://127.0.0.1:$port/auth-server\$is_args\$args;
            proxy_pass_request_body off;
        }
        location = /auth-server {
            if (\$http_x_fail = 401) { return 401; }
            if (\$http_x_fail = 403) { return 403; }
            if (\$http_x_fail = 500) { return 500; }
            add_header X-User \$http_x_user always;
            return 204;
        }
        location = /empty { return 200 "e"; }
    }
    server {
        listen 127.0.0.1:$proxied proxy_protocol;
        location / { push_websocket; push_user p; }
    }
    #TLS#
CONF
    start => 0);

my $conf = do { local (@ARGV, $/) = "$edge->{dir}/nginx.conf"; <> };
my $dir = $edge->{dir};
my $with_tls = eval { require IO::Socket::SSL; 1 }
    && system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=t"
              . " -keyout $dir/key.pem -out $dir/cert.pem 2>/dev/null") == 0;

$conf =~ s/#TLS#/$with_tls ? "server { listen 127.0.0.1:$tls ssl;"
    . " ssl_certificate cert.pem; ssl_certificate_key key.pem;"
    . " location \/ { push_websocket; push_user t; } }" : ''/e;
$conf =~ s/%DIR%/$dir/g;
$edge->write_file('nginx.conf', $conf);
$edge->start;

sub ws {
    my ($path, %o) = @_;
    return Push::WebSocket->new(url => "ws://127.0.0.1:$port$path", %o);
}

# It talks: hello, welcome with this user; ping, pong; Close, its echo.
sub talks {
    my ($ws, $user, $title) = @_;

    is($ws->status, 101, "$title: 101");
    $ws->hello(device => 'd');
    my $welcome = $ws->wait_for('welcome');
    is($welcome && $welcome->{user}, $user, "$title: welcome");
    $ws->send_json({ type => 'ping' });
    ok($ws->wait_for('pong'), "$title: pong");

    return $welcome && $welcome->{conn};
}

sub ends {
    my ($ws, $title) = @_;
    $ws->send_close(1000);
    is($ws->wait_close, 1000, "$title: closed");
}

# --- auth_request -----------------------------------------------------------

my $ws = ws('/ws?token=tttttt', headers => ['X-User: anna']);
my $conn = talks($ws, 'anna', 'auth_request');
ends($ws, 'auth_request');

is(ws('/', headers => ['X-Fail: 401'])->status, 401, 'auth says 401');
is(ws('/', headers => ['X-Fail: 403'])->status, 403, 'auth says 403');
is(ws('/', headers => ['X-Fail: 500'])->status, 500, 'auth says 500');
is(ws('/')->status, 401, 'auth names nobody');
is(ws('/', drop => ['Upgrade'], headers => ['X-Fail: 401'])->status, 426,
    'what is no handshake does not bother auth');

Push::Edge::wait_until(sub {
    `cat $dir/logs/push.log` =~ /\Q|101|anna|$conn\E$/m
});
like(`cat $dir/logs/push.log`, qr/^\/ws\?token=tttttt\|101\|anna\|\Q$conn\E$/m,
    '$push_user and $push_conn stand in the access log');
like(`cat $dir/logs/push.log`, qr/^\/\|401\|-\|-$/m, '... not without a 101');

# --- what came before -------------------------------------------------------

my $cookies = join("\r\n", map { "X-C$_: " . 'c' x 900 } 1 .. 5);
$ws = ws('/', headers => ['X-User: big', $cookies],
    early => Push::WebSocket::frame(9, 'early'));
is($ws->next_frame->{payload}, 'early', 'large headers and early bytes');
talks($ws, 'big', 'large headers');

my $early = join('', map { Push::WebSocket::frame(9, "p$_") } 1 .. 200);
$ws = ws('/', headers => ['X-User: e'], early => $early);
my @pongs = map { my $f = $ws->next_frame; $f ? $f->{payload} : '' } 1 .. 200;
is_deeply(\@pongs, [map { "p$_" } 1 .. 200],
    'more early bytes than fit into the header buffer');

$ws = ws('/', no_handshake => 1);
$ws->write_raw("GET /empty HTTP/1.1\r\nHost: x\r\n\r\n");
$ws->read_head;
$ws->body;
$ws->{buffer} = '';
$ws->handshake('x', '/ws', headers => ['X-User: k']);
talks($ws, 'k', 'after a request with keepalive');

my $text = "GET /empty HTTP/1.1\r\nHost: x\r\n\r\n"
    . "GET /line HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    . "Connection: upgrade\r\nSec-WebSocket-Version: 13\r\n"
    . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    . Push::WebSocket::frame(9, 'piped');
$ws = ws('/', no_handshake => 1);
$ws->write_raw($text);
$ws->read_head;
$ws->fill(1) while length $ws->{buffer} < 1;
substr($ws->{buffer}, 0, 1, '');
$ws->read_head;
is($ws->status, 101, 'pipelined behind a request');
is($ws->next_frame->{payload}, 'piped', '... with its frames');

# --- who else uses the request ----------------------------------------------

talks(ws('/slow'), 'slow', 'limit_rate');
talks(ws('/mirrored'), 'm', 'a mirror that is late');
talks(ws('/real', headers => ['X-Real-IP: 10.1.2.3']), 'r', 'realip');
ok(Push::Edge::wait_until(sub {
    `cat $dir/logs/error.log` =~ /push open user=r .*client=10\.1\.2\.3/
}), 'realip: its address is the one that is logged');

my $unix = IO::Socket::UNIX->new(Peer => "$dir/ws.sock");
$ws = Push::WebSocket->new(url => "ws://127.0.0.1:1/", socket => $unix,
    headers => ['X-User: u']);
talks($ws, 'u', 'a unix socket');
ends($ws, 'a unix socket');

my $pp = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$proxied");
syswrite($pp, "PROXY TCP4 10.9.8.7 127.0.0.1 1234 80\r\n");
$ws = Push::WebSocket->new(url => "ws://127.0.0.1:1/", socket => $pp);
talks($ws, 'p', 'PROXY protocol');
ends($ws, 'PROXY protocol');

ws('/line?token=ssssss', headers => ["X-Bad: \x01"]);
talks(ws('/line?token=ssssss'), 'l', 'a token in the query');
Push::Edge::wait_until(sub { -s "$dir/logs/line.log" });
like(`cat $dir/logs/line.log`, qr/^GET \/line$/m,
    'the request line ends before the token');
unlike(`cat $dir/logs/error.log`, qr/ssssss/, 'no token in the error log');

# --- who leaves too early ---------------------------------------------------

for my $how ('at once', 'in the middle') {
    $ws = ws('/', no_handshake => 1);
    my $half = "GET /slow HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        . "Connection: upgrade\r\nSec-WebSocket-Version: 13\r\n"
        . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    $ws->write_raw($how eq 'at once' ? "$half\r\n" : $half);
    setsockopt($ws->{socket}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
    $ws->drop;
}

# --- TLS --------------------------------------------------------------------

SKIP: {
    skip 'no IO::Socket::SSL or no openssl', 11 unless $with_tls;

    my $ssl = sub {
        my $s = IO::Socket::SSL->new(PeerAddr => "127.0.0.1:$tls",
            SSL_verify_mode => 0) or die "TLS: $!";
        return Push::WebSocket->new(url => "ws://127.0.0.1:1/", socket => $s,
            @_);
    };

    $ws = $ssl->();
    talks($ws, 't', 'TLS');
    $edge->deliver(join '', "epoch e1\n",
        map { Push::Edge::item('user', 't', 0, '"' . 'x' x 50000 . '"') }
        1 .. 10);
    my $got = 0;
    while (my $m = $ws->next_message(1)) {
        $got++ if $m->{type} eq 'message' && length $m->{data} == 50000;
        last if $got == 1;
    }
    ok($got >= 1, 'TLS: large messages come');
    ends($ws, 'TLS');

    my $raw = $ssl->(raw => 1, early => Push::WebSocket::frame(9, 'tls'));
    is($raw->next_frame->{payload}, 'tls', 'TLS: early bytes');
    $raw->send_frame(9, 'y' x 125) for 1 .. 100;
    my $pongs = 0;
    $pongs++ while $pongs < 100 && $raw->next_frame(2);
    is($pongs, 100, 'TLS: many frames');
    $raw->send_frame(1, "\xff");
    is($raw->wait_close, 1007, 'TLS: a protocol error');
    ok(!defined $raw->next_frame(3), 'TLS: and the end');
    $raw = $ssl->(raw => 1);
    $raw->drop;
    ok(1, 'TLS: dropped');

    # kicked in the middle of a record: no alert can follow it
    my $stuck = $ssl->();
    $stuck->hello;
    $stuck->wait_for('welcome');
    my @answer;
    for (1 .. 40) {
        @answer = $edge->deliver("epoch e1\n"
            . Push::Edge::item('user', 't', 0, '"' . 'x' x 500000 . '"'));
        last if "@answer" =~ /slow/;
    }
    is("@answer", '200 slow', 'TLS: a client that does not read');
    $edge->deliver("epoch e1\nkick t * 4002 4\nkick\n");
    ok(Push::Edge::wait_until(sub { $edge->status->{connections} == 0 }),
        'TLS: ... is closed all the same');
    my $end = time() + 5;
    while (time() < $end && sysread($stuck->{socket}, my $rest, 65536)) { }
    $stuck->drop;
}

undef $ws;

ok(Push::Edge::wait_until(sub {
    my $s = $edge->status; $s && $s->{connections} == 0
}, 10), 'nobody is left');
ok($edge->stop('QUIT'), 'nginx leaves by itself');
$edge->logs_ok_now;

done_testing();
