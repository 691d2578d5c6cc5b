#!/usr/bin/perl

# The handshake: RFC 6455 section 4.2.1, the subprotocol, origins, the user.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Push::Edge;
use Push::WebSocket;

my $edge = Push::Edge->new(redis => 0, location => 'push_origins'
    . ' https://a.example http://b.example:8080;');

my $key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';

# --- good ones --------------------------------------------------------------

my $ws = $edge->ws('u1');
is($ws->status, 101, 'a handshake with push.v1 is answered 101');
ok($ws->key_ok, 'Sec-WebSocket-Accept is right');
is($ws->header('Sec-WebSocket-Protocol'), 'push.v1', 'push.v1 is chosen');
is(lc $ws->header('Upgrade'), 'websocket', 'Upgrade is there');
is(lc $ws->header('Connection'), 'upgrade', 'Connection is there');
is($ws->header('Sec-WebSocket-Extensions'), undef, 'no extension is chosen');

$ws = $edge->ws('u1', raw => 1);
is($ws->status, 101, 'raw mode: no subprotocol offered');
is($ws->header('Sec-WebSocket-Protocol'), undef, '... and none is chosen');

$ws = $edge->ws('u1', token => 'abc.def');
is($ws->header('Sec-WebSocket-Protocol'), 'push.v1',
    'a token among the subprotocols is not echoed');

my $sample = $edge->ws('u1', drop => ['Sec-WebSocket-Key'], headers => [$key]);
is($sample->header('Sec-WebSocket-Accept'), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
    "the RFC's own example");

for my $case (
    ['Upgrade in another case', drop => ['Upgrade'],
        headers => ['Upgrade: WebSocket']],
    ['Upgrade among others', drop => ['Upgrade'],
        headers => ['Upgrade: h2c, websocket']],
    ['Connection as Firefox sends it', drop => ['Connection'],
        headers => ['Connection: keep-alive, Upgrade']],
    ['Connection in two lines', drop => ['Connection'],
        headers => ['Connection: keep-alive', 'Connection: upgrade']],
    ['push.v1 in a second line', protocols => ['other'],
        headers => ['Sec-WebSocket-Protocol: x, push.v1']],
    ['push.v1 without spaces', protocols => ['a,push.v1,b']],
    ['extensions are not used',
        headers => ['Sec-WebSocket-Extensions: permessage-deflate']],
    ['an origin that is listed', origin => 'https://a.example'],
    ['a listed origin with port', origin => 'http://b.example:8080'],
    ['an empty body', headers => ['Content-Length: 0']],
) {
    my ($title, %o) = @$case;
    is($edge->ws('u1', %o)->status, 101, "101: $title");
}

# --- bad ones ---------------------------------------------------------------

for my $case (
    [405, qr/is a GET/, method => 'POST', headers => ['Content-Length: 0']],
    [405, qr/is a GET/, method => 'PUT', headers => ['Content-Length: 0']],
    [405, qr/is a GET/, method => 'OPTIONS'],
    [400, qr/HTTP\/1\.1/, http => '1.0'],
    [426, qr/Upgrade: websocket is missing/, drop => ['Upgrade']],
    [426, qr/Upgrade: websocket is missing/, drop => ['Upgrade'],
        headers => ['Upgrade: h2c']],
    [426, qr/Upgrade: websocket is missing/, drop => ['Upgrade'],
        headers => ['Upgrade: websockets']],
    [426, qr/Connection does not contain Upgrade/, drop => ['Connection']],
    [426, qr/Connection does not contain Upgrade/, drop => ['Connection'],
        headers => ['Connection: keep-alive']],
    [426, qr/Version is not 13/, drop => ['Sec-WebSocket-Version']],
    [426, qr/Version is not 13/, drop => ['Sec-WebSocket-Version'],
        headers => ['Sec-WebSocket-Version: 8']],
    [426, qr/Version is not 13/, drop => ['Sec-WebSocket-Version'],
        headers => ['Sec-WebSocket-Version: 013']],
    [400, qr/Version is doubled/, headers => ['Sec-WebSocket-Version: 13']],
    [400, qr/Key is missing/, drop => ['Sec-WebSocket-Key']],
    [400, qr/Key is doubled/, headers => [$key]],
    [400, qr/Key is not 16 bytes/, drop => ['Sec-WebSocket-Key'],
        headers => ['Sec-WebSocket-Key: AAAA']],
    [400, qr/Key is not 16 bytes/, drop => ['Sec-WebSocket-Key'],
        headers => ['Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA=']],
    [400, qr/Key is not 16 bytes/, drop => ['Sec-WebSocket-Key'],
        headers => ['Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==']],
    [400, qr/Key is not 16 bytes/, drop => ['Sec-WebSocket-Key'],
        headers => ['Sec-WebSocket-Key:']],
    [400, qr/no body/, headers => ['Content-Length: 3'], early => 'abc'],
    [400, qr/no body/, headers => ['Transfer-Encoding: chunked'],
        early => "0\r\n\r\n"],
    [400, qr/does not offer push\.v1/, protocols => ['chat']],
    [400, qr/does not offer push\.v1/, protocols => ['push.v2', 'PUSH.V1']],
    [400, qr/does not offer push\.v1/, protocols => ['bearer.abc']],
    [400, qr/Origin is doubled/, origin => 'https://a.example',
        headers => ['Origin: https://a.example']],
    [403, qr/Origin/, origin => 'https://evil.example'],
    [403, qr/Origin/, origin => 'http://a.example'],
    [403, qr/Origin/, origin => 'https://a.example:443'],
    [403, qr/Origin/, origin => 'https://a.example.evil'],
    [403, qr/Origin/, origin => 'null'],
    [403, qr/Origin/, origin => ''],
) {
    my ($status, $text, %o) = @$case;
    $ws = $edge->ws('u1', %o);
    is($ws->status, $status, "$status: $text");
    like($ws->body, $text, '... says what is wrong');
    is($ws->header('Content-Type'), 'application/problem+json', '... as json');
    is($ws->header('Sec-WebSocket-Version'), '13', '... names the version')
        if $status == 426;
    is($ws->header('Allow'), 'GET', '... names the method') if $status == 405;
}

# --- who it is --------------------------------------------------------------

for my $case (
    ['', 401, qr/which user/],
    ['a%20b', 403, qr/user's name/],
    ['a%2fb', 403, qr/user's name/],
    ['%c3%a4', 403, qr/user's name/],
    ['x' x 129, 403, qr/user's name/],
) {
    my ($user, $status, $text) = @$case;
    $ws = $edge->ws($user);
    # $arg_user is as it came: what is encoded is no legal name either
    is($ws->status, $status, "user '" . substr($user, 0, 8) . "': $status");
    like($ws->body, $text, '... says why');
}

is($edge->ws('')->header('WWW-Authenticate'), 'Bearer', '401 asks for Bearer');
is($edge->ws('x' x 128)->status, 101, 'a name of 128 bytes');
is($edge->ws('A-z_0.9:@')->status, 101, 'a name of all kinds of bytes');

my $now = time();
is($edge->ws('u1', args => '&expires=' . ($now + 60))->status, 101,
    'a token with time left');
is($edge->ws('u1', args => '&expires=0')->status, 101, 'expires 0 is never');
is($edge->ws('u1', args => '&expires=')->status, 101, 'no expires is never');
is($edge->ws('u1', args => '&expires=' . ($now - 1))->status, 401,
    'an expired token');
is($edge->ws('u1', args => '&expires=soon')->status, 500,
    'what is no number of seconds lets nobody in');

# a refused handshake leaves the connection to the next request

my $socket = Push::WebSocket->new(url => "ws://127.0.0.1:$edge->{port}/ws",
    no_handshake => 1);
$socket->write_raw("GET /ws HTTP/1.1\r\nHost: x\r\n\r\n");
$socket->read_head;
is($socket->status, 426, 'a plain GET');
$socket->body;
$socket->{buffer} = '';
$socket->handshake('x', '/ws?user=u2');
is($socket->status, 101, '... and a handshake on the same connection');
$socket->hello(device => 'd');
is($socket->wait_for('welcome')->{user}, 'u2', '... that works');

$edge->stop('QUIT');
$edge->logs_ok_now;

done_testing();
