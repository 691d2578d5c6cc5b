#!/usr/bin/perl

# Publish requests that are wrong: a status, and a sentence that names the
# fault and its place.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Push::Collector qw(wait_until);
use Test::More;

my $t = Push::Collector->new;
my $url = "http://127.0.0.1:$t->{port}";

sub api {
    my ($method, $path, $content, %headers) = @_;
    my $r = $t->{http}->request($method, "$url$path", {
        headers => { Authorization => "Bearer $Push::Collector::api_key",
            %headers },
        defined $content ? (content => $content) : () });
    $r->{json} = eval { decode_json($r->{content}) };
    return $r;
}

# It is a problem with this status, whose detail matches.
sub bad {
    my ($r, $status, $detail, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    subtest $name => sub {
        is($r->{status}, $status, 'status');
        is($r->{headers}{'content-type'}, 'application/problem+json', 'type');
        is($r->{json}{status}, $status, 'status in the body');
        like($r->{json}{detail}, $detail, 'detail');
    };
}

sub post { api('POST', '/v1/messages', @_) }

my $to = '"to":{"user":"u"}';

bad(post(''), 400, qr/byte 0/, 'no body');
bad(post('['), 400, qr/byte 0: expected an object/, 'no object');
bad(post("{$to,\"data\":{\"a\":tru}}"), 400, qr/JSON at byte 3\d/,
    'broken JSON');
bad(post("{$to,\"data\":\"\xff\"}"), 400, qr/JSON at byte 2\d/, 'no UTF-8');
bad(post("{$to}"), 400, qr/"data" is missing/, 'no data');
bad(post('{"data":1}'), 400, qr/"to" is missing/, 'no target');
bad(post("{$to,\"data\":1,\"x\":1}"), 400, qr/unknown member "x"/, 'unknown');
bad(post("{$to,\"data\":1,\"data\":2}"), 400, qr/"data" comes twice/,
    'doubled');
bad(post('{"to":{"user":"a b"},"data":1}'), 400, qr/to\.user/, 'illegal uid');
bad(post('{"to":{"user":"a","all":true},"data":1}'), 400, qr/exactly one/,
    'two targets');
bad(post('{"to":{"users":["a","b c"]},"data":1}'), 400, qr/to\.users\[1\]/,
    'one illegal uid of many');
bad(post('{"to":{"users":["a","a"]},"data":1}'), 400, qr/"a" comes twice/,
    'a user twice');
bad(post('{"to":{"group":"g"},"data":1}'), 400,
    qr/groups are not available in this version/, 'a group');
bad(post('{"to":{"user":".canary.edge-1"},"data":1}'), 400, qr/reserved/,
    'a reserved name');
bad(post("{$to,\"data\":1,\"ttl\":0}"), 400, qr/"ttl"/, 'ttl 0');
bad(post("{$to,\"data\":1,\"key\":\"a b\"}"), 400, qr/"key"/, 'illegal key');
bad(post("{$to,\"data\":1,\"key\":\"k\",\"ephemeral\":true}"), 400,
    qr/"key" is not allowed/, 'ephemeral with key');

# sizes

bad(post("{$to,\"data\":" . '[' x 33 . ']' x 33 . '}'), 400,
    qr/nested too deeply/, 'too deep');
is(post("{$to,\"data\":" . '[' x 32 . ']' x 32 . '}')->{status}, 201,
    '32 levels are taken');
is(post("{$to,\"data\":\"" . 'x' x (256 * 1024 - 2) . '"}')->{status}, 201,
    '256 KB are taken');
bad(post("{$to,\"data\":\"" . 'x' x (256 * 1024 - 1) . '"}'), 413,
    qr/"data"/, 'one byte more');
bad(post("{$to,\"data\":\"" . 'x' x (1024 * 1024) . '"}'), 413,
    qr/larger than 1048576 bytes/, 'a body over 1 MB');

# who

for my $case ([ 'no key', undef ], [ 'another scheme', 'Basic dGVzdA==' ],
    [ 'a wrong key', 'Bearer test-api-key-0123456780' ],
    [ 'half a key', 'Bearer test-api-key' ],
    [ 'a longer key', 'Bearer test-api-key-01234567890' ],
    [ 'the name of a key', 'Bearer test' ], [ 'an empty key', 'Bearer ' ])
{
    my ($name, $value) = @$case;
    my $r = $t->{http}->post("$url/v1/messages", {
        headers => { defined $value ? (Authorization => $value) : () },
        content => "{$to,\"data\":1}" });
    $r->{json} = eval { decode_json($r->{content}) };
    bad($r, 401, qr/API key/, $name);
    is($r->{headers}{'www-authenticate'}, 'Bearer', "$name: how to do it");
}

is($t->{http}->post("$url/v1/messages", {
    headers => { Authorization => "bearer  $Push::Collector::api_key" },
    content => "{$to,\"data\":1}" })->{status}, 201,
    'the scheme may be written in any case');

# where

bad(api('GET', '/v1/messages'), 405, qr/./, 'a wrong method');
like(api('GET', '/v1/messages')->{headers}{allow}, qr/POST/,
    'says which are right');
bad(api('GET', '/v1/nothing'), 404, qr/./, 'an unknown path');
bad(api('GET', '/v1/messages/user:u@99'), 404, qr/no such message/,
    'an unknown message');
bad(api('GET', '/v1/messages/nonsense'), 404, qr/no such message/,
    'a malformed id');
bad(api('GET', '/v1/users/a%20b/messages'), 400, qr/user's name/,
    'a malformed user');
bad(api('GET', '/v1/users/u/messages?after=x'), 400, qr/after/, 'after=x');
bad(api('GET', '/v1/users/u/messages?limit=0'), 400, qr/limit/, 'limit=0');
bad(api('GET', '/v1/users/u/messages?limit=1001'), 400, qr/limit/,
    'limit=1001');
bad(api('PUT', '/v1/groups/g/members/u'), 404,
    qr/groups are not available in this version/, 'a member of a group');

# nothing of all that was stored

is(api('GET', '/v1/users/u/messages?limit=1')->{json}{tip}, 3,
    'only what was answered 201 is stored');
is(api('GET', '/v1/users/a/messages?limit=1')->{json}{tip}, 0,
    'a request with one illegal uid stores nothing');

unlike($t->all_log, qr/test-api-key/, 'no key in the log');

$t->done_ok;
undef $t;
done_testing();
