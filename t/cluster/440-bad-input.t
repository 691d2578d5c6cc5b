#!/usr/bin/perl

# Bad input from each side gets a clear error, and nothing breaks.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Push::Reader;
use Push::Stack;
use Push::Token qw(jwt hs256_key);

my $stack = Push::Stack->new;
my $url = $stack->env('PUSH_WS');
my $key = hs256_key($stack->env('PUSH_JWT_SECRET_FILE'));
my $good = $stack->token('u1');

# --- tokens -----------------------------------------------------------------

sub denied {
    my ($token, $status, $name, %o) = @_;
    my $ws = Push::WebSocket->new(url => $url, token => $token, %o);

    is($ws->status, $status, "$name: $status");
}

my ($head, $claims, $signature) = split /\./, $good;

denied(undef, 401, 'no token');
denied('', 401, 'an empty token', by => 'query');
denied('nonsense', 401, 'a token that is none');
denied(jwt(key => $key, claims => { exp => time() - 60 }), 401, 'expired');
denied(jwt(key => $key, claims => { exp => undef }), 401, 'without exp');
denied(jwt(key => $key, claims => { aud => 'other' }), 401, 'another aud');
denied(jwt(key => $key, claims => { aud => undef }), 401, 'without aud');
denied(jwt(key => $key, claims => { sub => undef }), 401, 'without sub');
denied(jwt(key => $key, user => 'no/name'), 403, 'sub is no legal uid');
denied(jwt(key => $key, user => '.canary.edge-1'), 403, 'a reserved uid');
denied(jwt(key => 'x' x 64), 401, 'signed with another key');
denied(jwt(key => $key, alg => 'none'), 401, 'alg none');
denied(jwt(key => $key, alg => 'none') . $signature, 401,
    'alg none with a signature');
denied(jwt(key => $key, header => { alg => 'HS384' }), 401, 'another alg');
denied("$head.$claims." . reverse($signature), 401, 'a changed signature');
denied("$head." . ($claims =~ s/^(.{8})(.)/$1 . ($2 eq 'A' ? 'B' : 'A')/er)
    . ".$signature", 401, 'changed claims');
denied($good, 401, 'two different tokens', headers => [
    'Authorization: Bearer ' . $stack->token('u2') ]);
denied('x' x 7000, 401, 'a token of 7000 bytes', by => 'header');

# --- handshakes -------------------------------------------------------------

sub handshake {
    my ($status, $name, %o) = @_;
    my $ws = Push::WebSocket->new(url => $url, token => $good, %o);

    is($ws->status, $status, "$name: $status");
    return $ws;
}

handshake(426, 'no Upgrade', drop => ['Upgrade']);
handshake(426, 'no Connection: upgrade', drop => ['Connection']);

my $old = handshake(426, 'version 8', drop => ['Sec-WebSocket-Version'],
    headers => ['Sec-WebSocket-Version: 8']);

is($old->header('Sec-WebSocket-Version'), '13', 'the version is told');
handshake(400, 'no key', drop => ['Sec-WebSocket-Key']);
handshake(400, 'a short key', drop => ['Sec-WebSocket-Key'],
    headers => ['Sec-WebSocket-Key: c2hvcnQ=']);
handshake(405, 'POST', method => 'POST', headers => ['Content-Length: 0']);
handshake(400, 'subprotocols without push.v1', by => 'header',
    protocols => ['chat']);
handshake(403, 'another origin', origin => 'https://evil.example');
handshake(403, 'an origin that only begins alike',
    origin => $stack->env('PUSH_URL') . '.evil.example');
handshake(101, "the page's origin", origin => $stack->env('PUSH_URL'));

# --- frames -----------------------------------------------------------------

sub closes {
    my ($code, $name, @write) = @_;
    my $ws = $stack->ws('frames');

    $ws->hello(device => 'f');
    $ws->wait_for('welcome');
    ref $_ ? $ws->send_frame(@$_) : $ws->write_raw($_) for @write;
    is($ws->wait_close, $code, "$name: $code");
}

closes(1002, 'an unmasked frame', [1, '{}', mask => 0]);
closes(1002, 'a reserved bit', [1, '{}', rsv => 4]);
closes(1002, 'a reserved opcode', [3, '']);
closes(1002, 'a long Ping', [9, 'x' x 126]);
closes(1002, 'a Ping in parts', [9, 'x', fin => 0]);
closes(1002, 'a continuation of nothing', [0, 'x']);
closes(1002, 'a message inside a message', [1, '{', fin => 0], [1, '}']);
closes(1002, 'a length that is not minimal', [1, '{}', form => 16]);
closes(1002, 'a length with the top bit', "\x81\xff\x80" . "\0" x 11);
closes(1002, 'a Close of one byte', [8, 'x']);
closes(1002, 'an illegal close code', [8, pack('n', 1005)]);
closes(1003, 'a binary frame', [2, 'x']);
closes(1007, 'text that is not UTF-8', [1, "{\"type\":\"\xff\"}"]);
closes(1009, 'a message above 16 KB', [1, '', len => 16385, form => 16]);
closes(1000, 'a good Close', [8, pack('n', 1000)]);

# --- messages ---------------------------------------------------------------

sub refused {
    my ($name, @text) = @_;
    closes(4400, $name, map { [1, $_] } @text);
}

refused('no JSON', 'hello');
refused('no object', '[]');
refused('an unknown type', '{"type":"dance"}');
refused('no type', '{}');
refused('a second hello', '{"type":"hello"}');
refused('a doubled member', '{"type":"ping","type":"ping"}');
refused('an ack without log', '{"type":"ack","seq":1}');
refused('an ack of a text', '{"type":"ack","log":"user","seq":"1"}');
refused('a negative ack', '{"type":"ack","log":"user","seq":-1}');
refused('an ack above what was sent', '{"type":"ack","log":"user","seq":99}');
refused('an ack with a fraction', '{"type":"ack","log":"user","seq":1.5}');

sub bad_hello {
    my ($name, $text) = @_;
    my $ws = $stack->ws('hello');

    $ws->send_text($text);
    is($ws->wait_close, 4400, "$name: 4400");
}

bad_hello('a hello with an illegal device', '{"type":"hello","device":"a b"}');
bad_hello('a device that is a number', '{"type":"hello","device":1}');
bad_hello('a window of 0', '{"type":"hello","window":0}');
bad_hello('a window of 257', '{"type":"hello","window":257}');
bad_hello('cursors that are a list', '{"type":"hello","cursors":[]}');
bad_hello('a cursor that is a text', '{"type":"hello","cursors":{"user":"1"}}');
bad_hello('an epoch that is a number', '{"type":"hello","epoch":1}');

{
    my $ws = $stack->ws('unknown');

    $ws->hello(device => 'u', something => { new => [] });
    ok($ws->wait_for('welcome'), 'unknown members are ignored');
    $ws->send_text('{"type":"ack","log":"group:x","seq":3}');
    $ws->send_text('{"type":"ping"}');
    ok($ws->wait_for('pong'), 'an ack of a log that it does not have as well');
}

# --- the publishing API -----------------------------------------------------

sub problem {
    my ($status, $body, $pattern, $name, %o) = @_;
    my $r = $stack->request($o{method} // 'POST', $o{path} // '/v1/messages',
        $body, %{$o{headers} || {}});

    is($r->{status}, $status, "$name: $status");
    is($r->{headers}{'content-type'}, 'application/problem+json',
        "$name: problem+json");
    is($r->{json} && $r->{json}{status}, $status, "$name: status in the body");
    like($r->{content}, $pattern, "$name: says what is wrong");
}

problem(400, '{', qr/\d/, 'JSON that is cut short');
problem(400, '[]', qr/object/, 'no object');
problem(400, '', qr/./, 'no body');
problem(400, '{"to":{"user":"u1"}}', qr/data/, 'without data');
problem(400, '{"data":1}', qr/to/, 'without to');
problem(400, '{"to":{"user":"no/name"},"data":1}', qr/user/, 'an illegal uid');
problem(400, '{"to":{"user":1},"data":1}', qr/user/, 'a uid that is a number');
problem(400, '{"to":{"user":"u1","all":true},"data":1}', qr/to/,
    'two targets');
problem(400, '{"to":{},"data":1}', qr/to/, 'no target');
problem(400, '{"to":{"users":["u1","u1"]},"data":1}', qr/users/,
    'a doubled uid');
problem(400, '{"to":{"user":"u1"},"data":1,"data":2}', qr/data/,
    'a doubled member');
problem(400, '{"to":{"user":"u1"},"data":1,"extra":2}', qr/extra/,
    'an unknown member');
problem(400, '{"to":{"user":"u1"},"data":1,"ttl":0}', qr/ttl/, 'a ttl of 0');
problem(400, '{"to":{"user":"u1"},"data":1,"key":"a b"}', qr/key/,
    'an illegal key');
problem(400, '{"to":{"group":"g"},"data":1}', qr/group/, 'a group');
problem(400, '{"to":{"user":"u1"},"data":' . '[' x 40 . ']' x 40 . '}',
    qr/deep|depth|nest|level/, 'data that is too deep');
problem(413, '{"to":{"user":"u1"},"data":"' . 'x' x 262_145 . '"}', qr/data/,
    'data above 256 KB');
problem(413, ' ' x 1_048_577, qr/1 MB/, 'a request above 1 MB');
problem(413, ' ' x (16 * 1_048_576 + 1), qr/16 MB/, 'a batch above 16 MB',
    path => '/v1/messages/batch');
problem(401, '{}', qr/./, 'another API key',
    headers => { authorization => 'Bearer x' });
problem(401, '{}', qr/./, 'no API key', headers => { authorization => '' });
problem(404, undef, qr/./, 'an unknown path', method => 'GET',
    path => '/v1/nothing');
problem(404, undef, qr/./, 'a malformed id', method => 'GET',
    path => '/v1/messages/nonsense');
problem(405, undef, qr/./, 'another method', method => 'DELETE');

is($stack->publish({ to => { user => 'u1' }, data => 'x' x 262_142 })->{status},
    201, 'data of just 256 KB is stored');

# --- deliver ----------------------------------------------------------------

my $deliver = $stack->env('PUSH_DELIVER_1');

sub deliver {
    my ($body, %headers) = @_;
    open(my $fh, '<', $stack->env('PUSH_SECRET_FILE')) or die $!;
    chomp(my $secret = <$fh>);

    return $stack->{http}->request('POST', $deliver, { content => $body,
        headers => { 'push-secret' => $secret, %headers } });
}

is(deliver('', 'push-secret' => 'wrong')->{status}, 403, 'a wrong secret: 403');
is($stack->{http}->request('POST', $deliver, { content => '' })->{status}, 403,
    'no secret: 403');

my $cut = deliver("epoch 0\nuser nobody 1 0 7 5\n{\"d\":1}\n"
    . "user nobody 2 0 99 5\n{\"d\":");

is($cut->{status}, 400, 'a body that is cut short: 400');
like($cut->{content}, qr/^none\n.*^error \d+ \S/ms,
    'with the answers so far, the line and the fault');
like(deliver("user u1 1 0 3 0\nxxxxx\n")->{content}, qr/^error \d/m,
    'a wrong length');
like(deliver("user u1 x 0 3 0\nxxx\n")->{content}, qr/^error \d/m,
    'a seq that is no number');
like(deliver("dance\n")->{content}, qr/^error 1 /m, 'an unknown word');
is(deliver('x' x (1 << 20) . "x\n")->{status}, 413, 'a body above 1 MB: 413');

# --- configuration ----------------------------------------------------------

my $bin = ($ENV{PUSH_BUILD} // "$Push::Stack::root/build") . '/bin';
my $conf = "$stack->{dir}/bad.conf";

for my $daemon (qw(auth collector dispatcher)) {
    open(my $in, '<', "$stack->{dir}/etc/$daemon.conf") or die $!;
    my @lines = <$in>;
    my $test = sub {
        my (@text) = @_;
        open(my $out, '>', $conf) or die $!;
        print $out @text;
        close($out);
        my $says = `$bin/push-$daemon -t -c $conf 2>&1`;
        return $? ? $says : "accepted: $says";
    };

    unlike($test->(@lines), qr/^(?!accepted)/, "$daemon -t takes a good file");
    like($test->(@lines, "nonsense = 1\n"),
        qr/\Q$conf\E:@{[ @lines + 1 ]}:.*nonsense/,
        "$daemon -t names file, line and an unknown option");
    like($test->(map { s/^(listen *= ).*/$1"nowhere"/r } @lines),
        qr/\Q$conf\E:\d+:.*listen/, "$daemon -t names a bad value's option");
    like($test->(grep { !/^listen/ } @lines), qr/\Q$conf\E.*listen/,
        "$daemon -t names what is missing");
}

# --- and all of it still works ----------------------------------------------

my $r = Push::Reader->new($stack, 'after', device => 'd');

$r->ready;
$stack->publish({ to => { user => 'after' }, data => 'fine' });
ok($r->collect(1), 'after all this a message arrives');
$stack->logs_ok_now;

done_testing();
