#!/usr/bin/perl

# However a client comes: IPv6, unix sockets, HTTP/1.0, HTTP/2, behind others;
# and what the logs say of it.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use IO::Socket::IP;
use IO::Socket::UNIX;
use Push::Edge;
use Push::WebSocket;

*item = \&Push::Edge::item;
*wait_until = \&Push::Edge::wait_until;

my ($plain, $six, $h2, $proxied) = (Push::Edge::free_ports(9))[4 .. 7];
my $has_six = IO::Socket::IP->new(LocalHost => '::1', Listen => 1);
undef $has_six if !$has_six || !$has_six->close;

my $edge = Push::Edge->new(redis => 0, start => 0, http => <<CONF);
    push_drain_time 0;
    log_format push '\$remote_addr|\$server_protocol|\$status|\$push_user|'
                    '\$push_conn|\$request_method \$uri';
    log_format line '\$remote_addr|\$request';
    server {
        listen 127.0.0.1:$plain;
        listen unix:%DIR%/ws.sock;
        #SIX#
        location / { push_websocket; push_user \$arg_user;
            access_log %DIR%/logs/push.log push; }
        location /line { push_websocket; push_user \$arg_user;
            access_log %DIR%/logs/line.log line; }
        location /real { push_websocket; push_user \$arg_user;
            set_real_ip_from 127.0.0.0/8; real_ip_header X-Real-IP;
            access_log %DIR%/logs/push.log push; }
    }
    server {
        listen 127.0.0.1:$h2 http2;
        location / { push_websocket; push_user \$arg_user;
            access_log %DIR%/logs/push.log push; }
        location /other { return 200 "other"; }
    }
    server {
        listen 127.0.0.1:$proxied proxy_protocol;
        set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;
        location / { push_websocket; push_user \$arg_user;
            access_log %DIR%/logs/push.log push; }
    }
CONF

my $dir = $edge->{dir};
my $conf = do { local (@ARGV, $/) = "$dir/nginx.conf"; <> };
$conf =~ s/%DIR%/$dir/g;
$conf =~ s/#SIX#/listen [::1]:$six;/ if $has_six;
$edge->write_file('nginx.conf', $conf);
$edge->start;

sub slurp {
    my ($name) = @_;
    open(my $fh, '<', "$dir/logs/$name") or return '';
    local $/;
    return <$fh> // '';
}

sub has_line {
    my ($name, $pattern) = @_;
    return wait_until(sub { slurp($name) =~ $pattern });
}

# Over a socket that is connected already: hello, welcome, its connection.
sub talks {
    my ($socket, $path, $user, $title, %o) = @_;
    my $ws = Push::WebSocket->new(url => "ws://127.0.0.1:1$path?user=$user",
        socket => $socket, %o);

    is($ws->status, 101, "$title: 101");
    $ws->hello(device => 'd1');
    my $welcome = $ws->wait_for('welcome');
    is($welcome && $welcome->{user}, $user, "$title: welcome");

    return ($ws, $welcome && $welcome->{conn});
}

# --- the line at the end ----------------------------------------------------

my ($ws, $conn) = talks(IO::Socket::INET->new(PeerAddr => "127.0.0.1:$plain"),
    '/', 'anna', 'TCP');
my $port = $ws->{socket}->sockport;

$edge->deliver("epoch e1\n" . item('user', 'anna', 0, '"one"')
    . item('user', 'anna', 0, '"two"'));
$ws->wait_for('message') for 1 .. 2;
$ws->send_close(1000);
is($ws->wait_close, 1000, 'closed');

ok(has_line('error.log', qr/push close user=anna/), 'a line at the end');

my $log = slurp('error.log');
my ($line) = $log =~ /(push close user=anna.*)/;
like($line, qr/^push\ close\ user=anna\ device=d1\ conn=\Q$conn\E
    \ client=127\.0\.0\.1:$port\ code=1000\ reason="closed\ by\ the\ client"
    \ seconds=\d+\ messages=2\ bytes=\d+$/x, '... in exactly this form');
like($log, qr/push open user=anna conn=\Q$conn\E client=127\.0\.0\.1:$port raw=0$/m,
    '... and one at the beginning');

# bytes and messages, counted by the client of raw mode: all it reads
my $raw = Push::WebSocket->new(url => "ws://127.0.0.1:$plain/?user=raw",
    raw => 1);
$edge->deliver("epoch e1\n" . item('user', 'raw', 0, '"' . 'x' x 998 . '"')
    . item('user', 'raw', 0, '1'));
$raw->next_frame for 1 .. 2;
$raw->send_frame(9, 'ping');
$raw->next_frame;
$raw->send_close(1001);
$raw->next_frame;
ok(has_line('error.log', qr/push\ close\ user=raw\ device=-\ .*\ code=1001
    \ reason="closed\ by\ the\ client"\ seconds=\d+\ messages=2
    \ bytes=1017$/xm), 'bytes are those of frames: 4+1000, 2+1, 2+4, 2+2');

# --- IPv6, unix socket ------------------------------------------------------

SKIP: {
    skip 'no IPv6 here', 4 unless $has_six;

    my ($v6) = talks(IO::Socket::IP->new(PeerHost => '::1', PeerPort => $six),
        '/', 'six', 'IPv6');
    my $from = $v6->{socket}->sockport;
    ok(has_line('error.log', qr/push open user=six .*client=\[::1\]:$from /),
        'IPv6: its address in the log');
    ok(has_line('push.log', qr/^::1\|HTTP\/1\.1\|101\|six\|/m),
        'IPv6: ... and in the access log');
    $v6->drop;
}

my ($unix) = talks(IO::Socket::UNIX->new(Peer => "$dir/ws.sock"), '/', 'unix',
    'unix socket');
ok(has_line('error.log', qr/push open user=unix .*client=unix: raw=0$/m),
    'unix socket: no address in the log');
$unix->drop;
ok(has_line('error.log', qr/push\ close\ user=unix\ device=d1\ .*client=unix:
    \ code=1006\ reason="connection\ lost"/x), 'unix socket: lost');

# --- behind others ----------------------------------------------------------

my ($real) = talks(IO::Socket::INET->new(PeerAddr => "127.0.0.1:$plain"),
    '/real', 'real', 'realip', headers => ['X-Real-IP: 2001:db8::7']);
$real->send_close(1000);
ok(has_line('error.log', qr/push close user=real .*client=\[2001:db8::7\]/),
    'realip: the address is kept to the end');
ok(has_line('push.log', qr/^2001:db8::7\|HTTP\/1\.1\|101\|real\|/m),
    'realip: ... and stands in the access log');

my $pp = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$proxied");
syswrite($pp, "PROXY TCP4 10.9.8.7 127.0.0.1 1234 80\r\n");
my ($behind) = talks($pp, '/', 'behind', 'PROXY protocol');
ok(has_line('error.log', qr/push open user=behind .*client=10\.9\.8\.7:1234 /),
    'PROXY protocol: its address and port');
$behind->drop;

# --- HTTP/1.0, HTTP/2 -------------------------------------------------------

my $old = Push::WebSocket->new(url => "ws://127.0.0.1:$plain/?user=old",
    http => '1.0');
is($old->status, 400, 'HTTP/1.0: 400');
like($old->body, qr/"a WebSocket handshake needs HTTP\/1\.1"/,
    'HTTP/1.0: a sentence');

SKIP: {
    skip 'no curl with HTTP/2', 4 unless `curl -V 2>&1` =~ /\bHTTP2\b/;

    my $curl = 'curl -s --noproxy "*" -m 5 --http2-prior-knowledge';
    my $handshake = join ' ', map { "-H '$_'" } 'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
    my $said = `$curl -w '\n%{http_version} %{http_code} %{content_type}' $handshake 'http://127.0.0.1:$h2/?user=two'`;

    like($said, qr{^2 400 application/problem\+json$}m, 'HTTP/2: 400');
    like($said, qr/needs HTTP\/1\.1, not HTTP\/2 or HTTP\/3/,
        'HTTP/2: a sentence');
    like(`$curl -w ' %{http_code}' 'http://127.0.0.1:$h2/other'`,
        qr/^other 200$/, 'HTTP/2: other locations are what they were');
    ok(has_line('push.log', qr/^127\.0\.0\.1\|HTTP\/2\.0\|400\|-\|-\|GET \/$/m),
        'HTTP/2: in the access log');
}

# RFC 8441 by hand: CONNECT with :protocol.  nginx does not announce it, so no
# client that knows it tries; one that does hears 400 or 405 in its stream.

sub h2_frame {
    my ($type, $flags, $stream, $payload) = @_;
    return substr(pack('N', length $payload), 1) . pack('CCN', $type, $flags,
        $stream) . $payload;
}

# a header, new, never indexed, no Huffman
sub h2_header {
    my ($name, $value) = @_;
    return "\x10" . chr(length $name) . $name . chr(length $value) . $value;
}

{
    my $two = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$h2");
    my $headers = join '', map { h2_header(@$_) } [':method', 'CONNECT'],
        [':protocol', 'websocket'], [':scheme', 'http'], [':path', '/?user=c'],
        [':authority', 'x'], ['sec-websocket-version', '13'];

    syswrite($two, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . h2_frame(4, 0, 0, '')
        . h2_frame(1, 5, 1, $headers));

    my ($buffer, $status, $announced, $until) = ('', '', 0, time() + 5);
    while ($status eq '' && time() < $until) {
        sysread($two, $buffer, 65536, length $buffer) or last;

        while (length $buffer >= 9) {
            my $len = unpack('N', "\0" . substr($buffer, 0, 3));
            last if length $buffer < 9 + $len;
            my ($type, $flags, $stream) = unpack('CCN', substr($buffer, 3, 6));
            my $payload = substr($buffer, 9, $len);
            substr($buffer, 0, 9 + $len, '');

            # SETTINGS_ENABLE_CONNECT_PROTOCOL is 8
            if ($type == 4 && !($flags & 1)) {
                my %settings = unpack('(nN)*', $payload);
                $announced = 1 if $settings{8};
            } elsif ($type == 1) {
                $payload =~ s/\A[\x20-\x3f]//;      # a table's size
                $status = $payload =~ /\A\x8c/ ? 400
                    : $payload =~ /\A\x48\x03(\d+)/ ? $1
                    : unpack('H*', substr($payload, 0, 8));
            } elsif ($type == 3) {
                $status = 'RST_STREAM';
            } elsif ($type == 7) {
                $status = 'GOAWAY';
            }
        }
    }

    ok(!$announced, 'extended CONNECT is not announced');
    like($status, qr/^(?:400|405)$/, 'extended CONNECT: refused in its stream');
}

# --- tokens -----------------------------------------------------------------

my @ways = (
    { by => 'query' }, { by => 'header' }, { by => 'protocol' }
);
for my $i (0 .. 2) {
    my $t = Push::WebSocket->new(url => "ws://127.0.0.1:$plain/line?user=t$i",
        token => "ssssssss$i", %{$ways[$i]});
    is($t->status, 101, "a token by $ways[$i]{by}");
    $t->send_frame(1, "\xff");
    $t->wait_close;
    $t = Push::WebSocket->new(url => "ws://127.0.0.1:$plain/line?user=t$i",
        token => "ssssssss$i", method => 'POST', %{$ways[$i]});
    is($t->status, 405, '... refused');
}
ok(has_line('line.log', qr/^127\.0\.0\.1\|POST \/line$/m),
    '$request of a push location ends before the query');
wait_until(sub { $edge->status->{connections} == 0 });
is(join('', map { slurp($_) } qw(error.log push.log line.log)) =~ /ssssssss/,
    '', 'no token in any log');

undef $_ for $real, $raw, $ws;

ok(wait_until(sub { $edge->status->{connections} == 0 }), 'nobody is left');
ok($edge->stop('QUIT'), 'nginx leaves by itself');
$edge->logs_ok_now;

done_testing();
