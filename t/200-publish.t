#!/usr/bin/perl

# POST /v1/messages: what is stored, what the publisher is told, and reading it
# again.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Push::Collector qw(wait_until);
use Test::More;

my $t = Push::Collector->new;
my $true = JSON::PP::true;
my $url = "http://127.0.0.1:$t->{port}";

# One request: the response of HTTP::Tiny, with the JSON in `json`.
sub api {
    my ($method, $path, $content) = @_;
    my $r = $t->{http}->request($method, "$url$path", {
        headers => { Authorization => "Bearer $Push::Collector::api_key" },
        defined $content ? (content => $content) : () });
    $r->{json} = eval { decode_json($r->{content}) };
    return $r;
}

sub post { api('POST', '/v1/messages', $_[0]) }

# one user

my $r = post('{"to":{"user":"u42"},"data":{"hello":1}}');
is($r->{status}, 201, 'a message is stored');
is($r->{headers}{'content-type'}, 'application/json', 'the answer is JSON');
is($r->{content}, '{"id":"user:u42@1","log":"user:u42","seq":1,'
    . '"duplicate":false}', 'with id, log and seq');

is(post(qq({"to":{"user":"u42"},"data":$_}))->{json}{seq}, ++$r->{n} + 1,
    "data $_") for '1', 'null', '"\u0000"', '-0', '1e400',
    '{"a":1,"a":2}', '123456789012345678901234567890', '[ 1 , 2 ]';

$r = api('GET', '/v1/users/u42/messages');
is($r->{status}, 200, 'they can be read');
like($r->{content}, qr/^\{"messages":\[\{"seq":1,"id":"user:u42\@1",
    "ts":\d{13},"data":\{"hello":1\}\},/x, 'as they came');

for my $data ('"\u0000"', '-0', '1e400', '{"a":1,"a":2}', '[ 1 , 2 ]',
              '123456789012345678901234567890')
{
    ok(index($r->{content}, qq("data":$data})) > 0, "byte by byte: $data");
}

like($r->{content}, qr/"floor":0,"tip":9,"last":9\}$/, 'with floor and tip');

$r = api('GET', '/v1/users/u42/messages?after=2&limit=3');
is(join(' ', map { $_->{seq} } @{ $r->{json}{messages} }), '3 4 5', 'a page');
is($r->{json}{last}, 5, 'says where the next one begins');

$r = api('GET', '/v1/users/nobody/messages');
is($r->{content}, '{"messages":[],"floor":0,"tip":0,"last":0}',
    'of a user who has none');

# keys

$r = post('{"to":{"user":"k"},"data":{"x":1},"key":"a.1_:-Z"}');
is($r->{status}, 201, 'a key is stored');
$r = post('{"key":"a.1_:-Z","to":{"user":"k"},"data":{"x":1}}');
is($r->{status}, 200, 'the same key and data again');
is($r->{content}, '{"id":"user:k@1","log":"user:k","seq":1,"duplicate":true}',
    'is the first copy');
$r = post('{"to":{"user":"k"},"data":{"x": 1},"key":"a.1_:-Z"}');
is($r->{status}, 409, 'the same key with another text of data is refused');
is($r->{headers}{'content-type'}, 'application/problem+json', 'as a problem');
is($r->{json}{status}, 409, 'with its status');
$r = post('{"to":{"user":"k2"},"data":2,"key":"a.1_:-Z"}');
is($r->{status}, 201, 'another log has keys of its own');

# users

$r = post('{"to":{"users":["b","a"]},"data":1,"key":"list"}');
is($r->{status}, 201, 'several users');
is(join(' ', map { "$_->{id} $_->{duplicate}" } @{ $r->{json} }),
    'user:b@1 0 user:a@1 0', 'are told in the order given');
$r = post('{"to":{"users":["b","a"]},"data":1,"key":"list"}');
is($r->{status}, 200, 'all of them again');
is($r->{json}[1]{duplicate}, 1, 'are duplicates');
$r = post('{"to":{"users":["b","c"]},"data":1,"key":"list"}');
is($r->{status}, 201, 'one old, one new: all are stored');
is(join(' ', map { $_->{duplicate} + 0 } @{ $r->{json} }), '1 0', 'each told');
$r = post('{"to":{"users":["b","d"]},"data":2,"key":"list"}');
is($r->{status}, 409, 'one conflict is the worst status');
is(join(' ', map { $_->{status} } @{ $r->{json}{results} }), '409 201',
    'with the results of all');
$r = post('{"to":{"users":["d"]},"data":1}');
is(ref $r->{json}, 'ARRAY', 'a list of one is a list');

$r = post(encode_json({ to => { users => [ map { "m$_" } 1 .. 1000 ] },
    data => 'x' }));
is($r->{status}, 201, 'a thousand users');
is($r->{json}[999]{id}, 'user:m1000@1', 'up to the last');

# all

$r = post('{"to":{"all":true},"data":1}');
is($r->{json}{id}, 'all@1', 'all');

# ephemeral

$r = post('{"to":{"user":"e"},"data":1,"ephemeral":true}');
is($r->{status}, 202, 'ephemeral');
is($r->{content}, '{"log":"user:e"}', 'has its log and no id');
$r = post('{"to":{"users":["e","f"]},"data":1,"ephemeral":true}');
is($r->{content}, '[{"log":"user:e"},{"log":"user:f"}]', 'to several');
is(api('GET', '/v1/users/e/messages')->{json}{tip}, 0, 'nothing is stored');

# ttl, state

$r = post('{"to":{"user":"t"},"data":1,"ttl":3600}');
$r = api('GET', '/v1/messages/user:t@1');
is($r->{status}, 200, 'one message');
my $m = $r->{json};
is($m->{id}, 'user:t@1', 'its id');
ok(abs($m->{ts} - 1000 * time()) < 10000, 'its time');
cmp_ok($m->{expires}, '>=', $m->{ts} / 1000 + 3600, 'lives its ttl');
cmp_ok($m->{expires}, '<=', $m->{ts} / 1000 + 3601, 'and no longer');
is($m->{state}, 'stored', 'stored');
is_deeply($m->{acked}, [], 'nobody has it');

is(api('GET', '/v1/messages/user:k@1')->{json}{expires}, undef,
    'no ttl: expires is null');

$t->ack('t d1 user:t 1');
ok(wait_until(sub {
    api('GET', '/v1/messages/user:t@1')->{json}{state} eq 'acked'
}), 'acked');
is_deeply(api('GET', '/v1/messages/user:t@1')->{json}{acked}, ['d1'],
    'by its device');

$t->ack("t d1 all 1\nu9 d2 all 1");
ok(wait_until(sub {
    (api('GET', '/v1/messages/all@1')->{json}{acked_count} // 0) == 2
}), 'a shared message');
is_deeply(api('GET', '/v1/messages/all@1')->{json}{acked},
    ['t/d1', 'u9/d2'], 'names user and device');

post('{"to":{"user":"s"},"data":1,"ttl":1}');
post('{"to":{"user":"s"},"data":2}');
ok(wait_until(sub {
    api('GET', '/v1/messages/user:s@1')->{json}{state} eq 'expired'
}), 'expired');
$r = api('GET', '/v1/users/s/messages');
is(join(' ', map { $_->{seq} } @{ $r->{json}{messages} }), '2',
    'a list has only what is there');
is($r->{json}{last}, 2, 'and passes the rest');

# all that over a restart

my $epoch = $t->epoch;
$t->end('collector', 'TERM');
$t->start;
is($t->epoch, $epoch, 'the epoch stays');
is(post('{"to":{"user":"u42"},"data":1}')->{json}{seq}, 10, 'seq goes on');
is(post('{"to":{"user":"k"},"data":{"x":1},"key":"a.1_:-Z"}')->{status}, 200,
    'keys are remembered');

$t->done_ok;
undef $t;
done_testing();
