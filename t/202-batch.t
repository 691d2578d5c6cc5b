#!/usr/bin/perl

# POST /v1/messages/batch: NDJSON in, NDJSON out, in order.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Push::Collector qw(wait_until);
use Test::More;

my $t = Push::Collector->new;
my $url = "http://127.0.0.1:$t->{port}";

sub batch {
    my ($content) = @_;
    my $r = $t->{http}->post("$url/v1/messages/batch", {
        headers => { Authorization => "Bearer $Push::Collector::api_key" },
        content => $content });
    my $text = $r->{content};
    $r->{lines} = [ map { eval { decode_json($_) } // $_ }
        split(/\n/, $text) ];
    return $r;
}

my $r = batch(<<'END');
{"to":{"user":"a"},"data":1}

{"to":{"user":"a"}}
{"to":{"user":"a"},"data":2,"key":"k"}
   
{"to":{"user":"a"},"data":2,"key":"k"}
{"to":{"user":"a"},"data":3,"key":"k"}
nonsense
{"to":{"users":["a","b"]},"data":4}
{"to":{"all":true},"data":5}
{"to":{"user":"a"},"data":6,"ephemeral":true}
{"to":{"group":"g"},"data":7}
END

is($r->{status}, 200, 'a batch');
is($r->{headers}{'content-type'}, 'application/x-ndjson', 'answers lines');
is(join(' ', map { $_->{status} } @{ $r->{lines} }),
    '201 400 201 200 409 400 201 201 202 400', 'one a line, in order');
is($r->{lines}[0]{id}, 'user:a@1', 'with an id');
like($r->{lines}[1]{detail}, qr/^line 3: member "data" is missing/,
    'or what is wrong, and in which line');
is($r->{lines}[3]{seq}, 2, 'a duplicate within the batch');
like($r->{lines}[5]{detail}, qr/^line 8: JSON at byte 0/, 'no JSON');
is(join(' ', map { "$_->{status} $_->{id}" } @{ $r->{lines}[6]{results} }),
    '201 user:a@3 201 user:b@1', 'a list in a line');
is($r->{lines}[8]{log}, 'user:a', 'ephemeral');

# the last line without an end, CR LF

$r = batch(qq({"to":{"user":"c"},"data":1}\r\n{"to":{"user":"c"},"data":2}));
is(join(' ', map { $_->{seq} } @{ $r->{lines} }), '1 2', 'CR LF, no last end');

$r = batch("\n \n");
is($r->{status}, 200, 'blank lines only');
is($r->{content}, '', 'answer nothing');

# more than a slice: order is kept, the log is dense

$r = batch(join('', map { qq({"to":{"user":"d"},"data":$_}\n) } 1 .. 5000));
is(scalar(@{ $r->{lines} }), 5000, 'five thousand lines');
is_deeply([ map { $_->{seq} } @{ $r->{lines} } ], [ 1 .. 5000 ],
    'in their order');

my @data;
my $after = 0;

for (1 .. 5) {
    my $page = $t->json("/v1/users/d/messages?after=$after&limit=1000");
    push @data, map { $_->{data} } @{ $page->{messages} };
    $after = $page->{last};
}

is_deeply(\@data, [ 1 .. 5000 ], 'each with its data');

# long lists between short lines

my $users = join(',', map { "\"x$_\"" } 1 .. 900);
$r = batch(join('', map {
    qq({"to":{"user":"f"},"data":1}\n{"to":{"users":[$users]},"data":$_}\n)
} 1 .. 3));
is(join(' ', map { $_->{status} } @{ $r->{lines} }), '201 201 201 201 201 201',
    'lists longer than what is left of a slice');
is($r->{lines}[5]{results}[899]{id}, 'user:x900@3', 'complete');

# sizes

my $big = '{"to":{"user":"g"},"data":"' . 'x' x 200_000 . "\"}\n";
is(batch($big x 70)->{lines}[69]{seq}, 70, 'fourteen megabytes');
$r = batch('{"to":{"user":"g"},"data":"' . 'x' x 1_100_000 . "\"}\n"
    . '{"to":{"user":"g"},"data":1}');
is($r->{lines}[0]{status}, 413, 'a line over 1 MB');
is($r->{lines}[1]{status}, 201, 'and the next');
is(batch('x' x (16 * 1024 * 1024 + 1))->{status}, 413, 'a body over 16 MB');

# what was said is what is there

is($t->json('/v1/users/g/messages?limit=1')->{tip}, 71, 'nothing twice');
ok(wait_until(sub { $t->metric('hand_over_waiting_items') == 0 }, 20),
    'all are handed over');

$t->done_ok;
undef $t;
done_testing();
