#!/usr/bin/perl

# GET /verify: where a token may stand, what is answered.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use MIME::Base64 qw(decode_base64url encode_base64url);
use Push::Auth;
use Push::Token qw(jwt);
use Test::More;

my $t = Push::Auth->new;
my $key = $t->{key};
my $token = jwt(key => $key);

sub status { return $t->verify(@_)->{status} }
sub bearer { return status(Authorization => 'Bearer ' . jwt(key => $key, @_)) }

# who

my $exp = time() + 100;
my $r = $t->verify(Authorization => 'Bearer ' . jwt(key => $key, user => 'u42',
    claims => { exp => $exp, groups => ['g1', 'g:2'], limit => 3 }));
is($r->{status}, 204, 'a good token is 204');
is($r->{headers}{'x-push-user'}, 'u42', 'the user is its sub');
is($r->{headers}{'x-push-expires'}, $exp, 'the expiry is its exp');
is($r->{headers}{'x-push-groups'}, 'g1 g:2', 'groups have a space between');
is($r->{headers}{'x-push-limit'}, 3, 'the limit is passed on');
is($r->{content}, undef, 'no body');

$r = $t->verify(Authorization => "Bearer $token");
ok(!exists $r->{headers}{'x-push-groups'}, 'no groups, no header');
ok(!exists $r->{headers}{'x-push-limit'}, 'no limit, no header');

# where

is(status(Authorization => "bearer   $token "), 204, 'bearer in any case');
is(status('Sec-WebSocket-Protocol' => "push.v1, bearer.$token"), 204,
    'as a subprotocol');
is(status('Sec-WebSocket-Protocol' => "bearer.$token,push.v1"), 204,
    'in any order');
is(status('X-Original-URI' => "/ws?a=b&token=$token&c=d"), 204,
    'in the query of the original URI');
(my $encoded = $token) =~ s/\./%2e/g;
is(status('X-Original-URI' => "/ws?token=$encoded"), 204, 'percent-encoded');
is(status('Authorization' => "Bearer $token",
          'Sec-WebSocket-Protocol' => "push.v1, bearer.$token",
          'X-Original-URI' => "/ws?token=$token"), 204,
    'the same in all places');
is(status(Authorization => 'Basic dTpw', 'X-Original-URI' => "/?token=$token"),
    204, 'another scheme is not for us');

my $other = jwt(key => $key, user => 'u2');
is(status('Authorization' => "Bearer $token",
          'X-Original-URI' => "/ws?token=$other"), 401,
    'two different tokens are refused');
is(status('Sec-WebSocket-Protocol' => "bearer.$token, bearer.$other"), 401,
    'also in one header');
is(status('X-Original-URI' => "/ws?token=$token&token=$other"), 401,
    'and in one query');
is(status(Authorization => [ "Bearer $token", "Bearer $other" ]), 401,
    'and in two headers of one name');
is(status('X-Original-URI' => "/ws?xtoken=$token"), 401, 'not any name');
is(status('X-Original-URI' => "/ws#?token"), 401, 'nothing there');

# refused

$r = $t->verify();
is($r->{status}, 401, 'no token is 401');
is($r->{headers}{'content-type'}, 'application/problem+json', 'a problem');
is($r->{headers}{'www-authenticate'}, 'Bearer', 'with a challenge');
my $none = $r->{content};
is(decode_json($none)->{status}, 401, 'that names its status');

is(bearer(claims => { exp => time() - 31 }), 401, 'expired');
is(bearer(claims => { exp => time() - 20 }), 204, 'leeway of clocks');
is(bearer(claims => { exp => undef }), 401, 'no exp');
is(bearer(claims => { exp => '' . (time() + 100) }), 401, 'exp is a string');
is(bearer(claims => { nbf => time() + 60 }), 401, 'not valid yet');
is(bearer(claims => { aud => 'other' }), 401, 'another audience');
is(bearer(claims => { aud => undef }), 401, 'no audience');
is(bearer(claims => { aud => ['x', 'push'] }), 204, 'one of several audiences');
is(bearer(claims => { sub => undef }), 401, 'no sub');
is(bearer(user => 'a/b'), 403, 'a sub that is no legal user id is 403');
is(bearer(user => 'a' x 129), 403, 'a sub too long');
is(bearer(claims => { groups => 'g' }), 403, 'groups that are no array');
is(bearer(claims => { groups => [('g') x 65] }), 403, 'too many groups');
is(bearer(header => { alg => 'none' }), 401, 'alg none');
is(bearer(header => { alg => 'HS512' }), 401, 'another algorithm');
is(bearer(header => { kid => 'x' }), 401, 'an unknown kid');
is(bearer(header => { crit => ['exp'] }), 401, 'crit');
is(status(Authorization => 'Bearer ' . jwt(key => "$key\n")), 401,
    'another key');
is(status(Authorization => 'Bearer ' . 'a' x 9000), 401, 'a huge token');

my ($head, $body, $signature) = split(/\./, $token);
my $claims = decode_json(decode_base64url($body));
$claims->{sub} = 'admin';
my $forged = join('.', $head, encode_base64url(encode_json($claims)),
                  $signature);
$r = $t->verify(Authorization => "Bearer $forged");
is($r->{status}, 401, 'claims that were changed');
is($r->{content}, $none, 'all causes of 401 have the same body');
ok($t->wait_log(qr/event=refused status=401 reason="wrong signature"/),
    'the log has the reason');

# the rest of HTTP

is($t->get('/verify/')->{status}, 404, 'another path is 404');
$r = $t->{http}->post("http://127.0.0.1:$t->{port}/verify");
is($r->{status}, 405, 'another method is 405');
is($r->{headers}{allow}, 'GET, HEAD', 'with Allow');

my $metrics = $t->get('/metrics')->{content};
like($metrics, qr/^push_auth_verify_total\{result="two"\} 4$/m,
    'counters by reason');
like($metrics, qr/^push_auth_verify_total\{result="sub"\} 2$/m, 'of 403, too');

$t->logs_ok_now;
done_testing();
