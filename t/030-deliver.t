#!/usr/bin/perl

# The dispatcher's POST: who may, what a body may be, one answer an item.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Push::Edge;
use Test::More;

*item = \&Push::Edge::item;

my $edge = Push::Edge->new(http => 'client_max_body_size 1k;');
my $e = "epoch e1\n";

sub raw {
    my ($text) = @_;
    my $s = IO::Socket::INET->new(
        PeerAddr => "127.0.0.1:$edge->{deliver_port}") or die "connect: $!";

    print $s $text;
    $s->shutdown(1);
    local $/;
    return scalar <$s> // '';
}

sub post {
    my ($headers, $body) = @_;
    return raw("POST /deliver HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        . "$headers\r\n" . ($body // ''));
}

sub code { (shift =~ m{^HTTP/1.1 (\d+)})[0] }

my $secret = "Push-Secret: $Push::Edge::secret\r\n";

# --- who may

is(code(post("Content-Length: 0\r\n")), 403, 'no secret: 403');
is(code(post("Push-Secret: test-secret-of-the-edgf\r\nContent-Length: 0\r\n")),
    403, 'a wrong secret of the right length: 403');
is(code(post("Push-Secret: test-secret-of-the-edg\r\nContent-Length: 0\r\n")),
    403, 'a secret that is too short: 403');
is(code(post("Push-Secret: \r\nContent-Length: 0\r\n")), 403,
    'an empty secret: 403');
is(code(post("$secret$secret" . "Content-Length: 0\r\n")), 403,
    'two secrets: 403');

my $get = raw("GET /deliver HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
is(code($get), 405, 'GET: 405');
like($get, qr/^Allow: POST\r$/m, '405 says what is allowed');

# --- what a body may be

is(code(post("${secret}Transfer-Encoding: chunked\r\n",
    "9\r\nepoch e1\n\r\n0\r\n\r\n")), 411, 'chunked: 411');
is(code(post("${secret}Content-Length: 1048577\r\n")), 413,
    'more than 1 MB: 413');

my $ok = post("${secret}Content-Length: 9\r\n", $e);
is(code($ok), 200, 'a body without items: 200');
like($ok, qr/^Push-Instance: [0-9a-f]{16}\r$/m, 'the reply names the instance');

my $s = IO::Socket::INET->new(
    PeerAddr => "127.0.0.1:$edge->{deliver_port}") or die "connect: $!";
$s->autoflush(1);

for my $round (1, 2) {
    for my $piece ("POST /deliver HTTP/1.1\r\nHost: x\r\n${secret}",
                   "Content-Length: 18\r\n\r\nepoc", "h e1\nche", "ck u1",
                   "\n")
    {
        print $s $piece;
        select(undef, undef, undef, 0.02);
    }

    my $answer = '';
    1 while $answer !~ /\r\n\r\nnone\n/
        && sysread($s, $answer, 4096, length $answer);
    is(code($answer), 200, "a body in pieces, round $round of a connection");
}

$s = IO::Socket::INET->new(
    PeerAddr => "127.0.0.1:$edge->{deliver_port}") or die "connect: $!";
print $s "POST /deliver HTTP/1.1\r\nHost: x\r\n${secret}"
    . "Content-Length: 100\r\n\r\nepoch e1\ncheck";
close($s);

for my $case (
    [ '', 'error 1 no epoch line' ],
    [ 'epoch e1', 'error 1 the line does not end' ],
    [ "user u1 1 0 5 0\n", 'error 1 no epoch line' ],
    [ "${e}frob\n", 'error 2 unknown verb' ],
    [ "${e}node edge-1/0123456789abcdef\n", 'error 2 unknown verb' ],
    [ "${e}check \n", 'error 2 check user: not a legal value' ],
    [ "${e}user u1 1 0 9 0\n{}\n", 'error 2 user: the payload is cut short' ],
    [ "${e}user u1 1 0 1 0\n{}\n",
        'error 2 user: no newline where the payload should end' ],
    [ "${e}user u1 1 0 2 2\n{}\n",
        'error 2 user: the offset is outside of the payload' ],
    [ "${e}user u1 99999999999999999999 0 2 1\n{}\n",
        'error 2 user seq: not a legal value' ],
) {
    my ($body, $error) = @$case;
    my ($status, @answers) = $edge->deliver($body);
    my $shown = $body =~ s/\n/\\n/gr;

    is("$status @answers", "400 $error", "\"$shown\" is refused with its line");
}

is_deeply([ $edge->deliver($e . "check nobody\nuser x") ],
    [ 400, 'none', 'error 3 the line does not end' ],
    '400 carries the answers given before the fault');

is_deeply([ $edge->deliver($e . "check nobody\n" x 1000) ],
    [ 200, ('none') x 1000 ], '1000 items are answered');

my @many = $edge->deliver($e . "check nobody\n" x 1001);
is_deeply([ @many[0, 1, 1000, 1001] ],
    [ 400, 'none', 'none', 'error 1002 too many items' ],
    'the 1001st is not');

# --- items

my $ws = $edge->ws('u1');
$ws->hello(device => 'd1', cursors => { user => 0, all => 0 });
ok($ws->wait_for('welcome'), 'a client is there');

my ($asked) = Push::Edge::wait_until(sub {
    my @asked = $edge->stream('push:ev:resync');
    return grep { $_->{uid} eq 'u1' } @asked;
});
my ($own) = grep { $_->{uid} eq 'u1' } $edge->stream('push:ev:resync');
my $conn = "$own->{inst}.$own->{conn}";

is_deeply([ $edge->deliver($e
    . "begin $conn user:u1 $own->{rid} 0\n"
    . "tip $conn user:u1 $own->{rid} 0\n"
    . "begin $conn all $own->{rid} 0\ntip $conn all $own->{rid} 0\n") ],
    [ 200, ('ok 1') x 4 ], 'its request is answered: nothing is missing');
is($ws->wait_for('synced')->{log}, 'user', 'it is told so');

is_deeply([ $edge->deliver($e . item('user', 'u1', 1, '"a"')
    . item('user', 'u2', 1, '"b"') . item('user', 'u1', 1, '"a"')
    . item('user', 'u1', 3, '"c"') . item('user', 'u1', 0, '"d"')) ],
    [ 200, 'ok 1', 'none', 'ok 1', 'gap', 'ok 1' ],
    'one answer an item, in order');
is($ws->wait_for('message')->{data}, 'a', 'the message arrives');

my $big = '"' . 'x' x 200000 . '"';
is_deeply([ $edge->deliver($e . item('user', 'u1', 0, $big)) ],
    [ 200, 'ok 1' ], 'a body beyond client_max_body_size is taken');
is(length($ws->wait_for('message')->{data}), 1, 'after the short one');
is(length($ws->wait_for('message')->{data}), 200000, 'it arrives whole');
is_deeply([ glob("$edge->{dir}/tmp_client_body/*") ], [],
    'no body was ever in a file');

my $foreign = '0123456789abcdef.' . substr($conn, 17);
is_deeply([ $edge->deliver($e . "tip $foreign user:u1 1 5\n") ],
    [ 200, 'none' ], 'a connection of another start: none');

is_deeply([ $edge->deliver($e . "kick u1 * 4002 2\nno\n") ], [ 200, 'ok 1' ],
    'kick');
$ws->wait_close;
is($ws->close_code, 4002, 'the client is closed with the code');

my $status = $edge->status;
is($status->{deliver_denied}, 5, 'refused secrets are counted');
is($status->{items_gap}, 1, 'answers are counted');

$edge->logs_ok_now;

done_testing();
