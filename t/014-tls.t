#!/usr/bin/perl

# wss: what TLS adds must not matter.  Sessions that are resumed, early data,
# renegotiation, HTTP/2 by ALPN, many at once; and what one costs.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use IPC::Open2 qw(open2);
use Push::Edge;
use Push::WebSocket;
use Time::HiRes qw(time);

*item = \&Push::Edge::item;
*wait_until = \&Push::Edge::wait_until;

plan(skip_all => 'IO::Socket::SSL is not installed (./run deps)')
    unless eval { require IO::Socket::SSL; 1 };
plan(skip_all => 'openssl is not installed')
    unless `openssl version 2>/dev/null` =~ /OpenSSL/;

my $many = 200;     # connections that are weighed

my ($tls, $plain) = (Push::Edge::free_ports(7))[4, 5];
my $edge = Push::Edge->new(redis => 0, start => 0, http => <<CONF);
    push_drain_time 0;
    ssl_certificate cert.pem;
    ssl_certificate_key key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_early_data on;
    ssl_session_cache shared:s:1m;
    server {
        listen 127.0.0.1:$tls ssl http2;
        location / { push_websocket; push_user \$arg_user; }
        location /early { return 200 "early=\$ssl_early_data"; }
    }
    server {
        listen 127.0.0.1:$plain;
        location / { push_websocket; push_user \$arg_user; }
    }
CONF

my $dir = $edge->{dir};
system("openssl req -x509 -newkey ec"
    . " -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    . " -keyout $dir/key.pem -out $dir/cert.pem 2>/dev/null") == 0
    or die 'openssl req';
$edge->start;

my ($worker) = $edge->workers;

my $context = IO::Socket::SSL::SSL_Context->new(SSL_verify_mode => 0);

sub ssl {
    my (%o) = @_;
    %o = (SSL_reuse_ctx => $context) unless %o;
    return IO::Socket::SSL->new(PeerAddr => "127.0.0.1:$tls",
        SSL_verify_mode => 0, %o)
        || die 'TLS: ' . IO::Socket::SSL::errstr();
}

sub ws {
    my ($user, %o) = @_;
    my %ssl = map { $_ => delete $o{$_} } grep { /^SSL_/ } keys %o;
    return Push::WebSocket->new(url => "ws://127.0.0.1:1/?user=$user",
        socket => ssl(%ssl), %o);
}

sub pongs {
    my ($ws, $text) = @_;
    $ws->send_frame(9, $text);
    my $f = $ws->next_frame;
    return $f && $f->{opcode} == 10 && $f->{payload} eq $text;
}

# --- versions and sessions --------------------------------------------------

my @ws;

for my $version ('TLSv1_2', 'TLSv1_3') {
    my $ws = ws("v$version", SSL_version => $version);
    is($ws->status, 101, "$version: 101");
    $ws->hello(device => 'd');
    ok($ws->wait_for('welcome'), "$version: welcome");
    $edge->deliver("epoch e1\n" . item('user', "v$version", 0,
        '"' . 'x' x 200000 . '"'));
    my $m = $ws->wait_for('message');
    is(length($m && $m->{data} // ''), 200000, "$version: many records");
    push @ws, $ws;
}

my $first = ws('s1', SSL_version => 'TLSv1_2', SSL_session_cache_size => 4);
my $again = ws('s1', SSL_version => 'TLSv1_2',
    SSL_reuse_ctx => $first->{socket});
is($again->status, 101, 'a session that is resumed: 101');
ok($again->{socket}->get_session_reused, '... it is');
ok(pongs($again, 'resumed'), '... and talks');

# --- HTTP/2 and HTTP/1.1 by ALPN --------------------------------------------

SKIP: {
    skip 'no curl with HTTP/2', 2 unless `curl -V 2>&1` =~ /\bHTTP2\b/;

    my $head = "-H 'Upgrade: websocket' -H 'Connection: Upgrade'"
        . " -H 'Sec-WebSocket-Version: 13'"
        . " -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='";
    my $curl = "curl -sk --noproxy '*' -m 2 -w ' %{http_version} %{http_code}'";
    my $url = "https://127.0.0.1:$tls/?user=curl";

    like(`$curl --http2 $head '$url'`, qr/not HTTP\/2 or HTTP\/3.* 2 400$/s,
        'a client that chooses HTTP/2: a sentence');
    like(`$curl --http1.1 $head '$url'`, qr/ 1\.1 101$/,
        '... and HTTP/1.1: 101, on the same port');
}

# --- early data, renegotiation ----------------------------------------------

# openssl s_client with these arguments: what it prints until the pattern came
# or the time is over; `to` is written into it first.
sub s_client {
    my ($args, $to, $pattern) = @_;
    my $pid = open2(my $out, my $in,
        "exec openssl s_client -connect 127.0.0.1:$tls $args 2>&1");
    my ($text, $until) = ('', time() + 5);

    local $SIG{PIPE} = 'IGNORE';
    $in->autoflush(1);

    for my $part (ref $to ? @$to : $to) {
        if (ref $part) {
            while ($text !~ $part && time() < $until) {
                next unless IO::Select->new($out)->can_read(0.1);
                sysread($out, $text, 65536, length $text) or last;
            }
        } else {
            print $in $part;
        }
    }

    while ($text !~ $pattern && time() < $until) {
        next unless IO::Select->new($out)->can_read(0.1);
        sysread($out, $text, 65536, length $text) or last;
    }

    close($in);
    kill('KILL', $pid);
    close($out);
    waitpid($pid, 0);

    return $text;
}

my $request = sub {
    return "GET /?user=$_[0] HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        . "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        . Push::WebSocket::frame(9, 'in-early-data');
};

s_client("-tls1_3 -quiet -sess_out $dir/session.pem",
    "GET /early HTTP/1.1\r\nHost: x\r\n\r\n", qr/early=/);
ok(-s "$dir/session.pem", 'a TLS 1.3 session is kept');

$edge->write_file('early.bin', $request->('early'));
my $said = s_client("-tls1_3 -sess_in $dir/session.pem"
    . " -early_data $dir/early.bin", '', qr/in-early-data/);
like($said, qr/Early data was accepted/, 'early data is taken');
like($said, qr/ 101 Switching/, '... a handshake in it answered');
like($said, qr/\x8a\x0din-early-data/, '... and a ping behind it');

# R at the beginning of a line asks for it
$said = s_client('-tls1_2 -crlf', [
    "GET /?user=again HTTP/1.1\nHost: x\nUpgrade: websocket\n"
    . "Connection: Upgrade\nSec-WebSocket-Version: 13\n"
    . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n\n", qr/ 101 Switching/,
    "R\n" ], qr/no renegotiation|closed|handshake failure|alert/i);
like($said, qr/ 101 Switching/, 'a WebSocket by TLS 1.2');
like($said, qr/RENEGOTIATING.*(?:no renegotiation|error|closed|alert)/is,
    '... renegotiation is refused');

ok(pongs($_, 'still here'), 'the others live on') for @ws;
is(join(' ', $edge->workers), $worker, 'in the same worker');

# --- who breaks off ---------------------------------------------------------

my $half = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$tls");
syswrite($half, "\x16\x03\x01\x02\x00\x01");
close($half);
my $http = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$tls");
syswrite($http, $request->('plain'));
sysread($http, my $answer, 4096);
like($answer, qr/ 400 /, 'plain HTTP on the port of TLS: 400');

my $broken = ws('broken');
$broken->hello;
$broken->wait_for('welcome');
{
    # bytes that are no record, on the socket below
    open(my $below, '+<&', fileno($broken->{socket})) or die $!;
    syswrite($below, "\x17\x03\x03\x00\x05xxxxx");
    close($below);
}
ok(wait_until(sub { `cat $dir/logs/error.log` =~ /push close user=broken/ }),
    'a record that is broken ends its connection');
$broken->drop;

# --- what one costs ---------------------------------------------------------

sub rss {
    my ($kb) = `cat /proc/$worker/status` =~ /^VmRSS:\s+(\d+) kB/m;
    return $kb * 1024;
}

# The worker's growth by so many connections, by one: memory that was free
# already does not count, so a first lot warms up.
sub cost {
    my ($open) = @_;
    my @warm = map { $open->("w$_") } 1 .. 20;
    my $before = rss();
    my @held = map { my $ws = $open->("c$_"); $ws->hello; $ws } 1 .. $many;
    $_->wait_for('welcome') for @held;
    my $after = rss();

    $_->drop for @warm, @held;
    return int(($after - $before) / $many);
}

my $bare = cost(sub {
    Push::WebSocket->new(url => "ws://127.0.0.1:$plain/?user=$_[0]")
});
my $dear = cost(sub { ws($_[0]) });
diag("a connection: $bare bytes, by TLS: $dear (growth of RSS, $many of them)");

SKIP: {
    skip 'memory under sanitizers says nothing', 1
        if `${\Push::Edge::nginx()} -V 2>&1` =~ /-fsanitize/;
    cmp_ok($dear, '<', 32768, 'a TLS connection costs less than 32 KB');
}

undef @ws;
undef $_ for $first, $again;

ok(wait_until(sub { $edge->status->{connections} == 0 }, 10),
    'nobody is left');
ok($edge->stop('QUIT'), 'nginx leaves by itself');
$edge->logs_ok_now;

done_testing();
