#!/usr/bin/perl

# Frames from clients: each rule of RFC 6455 section 5 to 8 with its answer.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Push::Edge;
use Push::WebSocket;
use Socket qw(SOL_SOCKET SO_RCVBUF);

my ($small) = (Push::Edge::free_ports(8))[4];
my $edge = Push::Edge->new(redis => 0, http => "server {
    listen 127.0.0.1:$small sndbuf=8k;
    location / { push_websocket; push_user small; } }");

sub frame { Push::WebSocket::frame(@_) }

my $ping = '{"type":"ping"}';

# What a client says, and what it hears: a Close with its code, a Pong with its
# payload, or the pong of our own protocol.  Said at once, and byte by byte.
sub says {
    my ($title, $bytes, %expect) = @_;

    for my $way ('at once', 'byte by byte') {
        my $ws = $edge->ws('u1');
        $ws->hello(device => 'd');
        $ws->wait_for('welcome');

        if ($way eq 'at once') {
            $ws->write_raw($bytes);
        } else {
            next if length $bytes > 300;
            $ws->write_raw($_) for split //, $bytes;
        }

        if (defined $expect{close}) {
            is($ws->wait_close, $expect{close}, "$title: $expect{close}, $way");
            ok(!defined $ws->next_frame, '... and then the end');

        } elsif (defined $expect{pong}) {
            my $f = $ws->next_frame;
            is($f && $f->{opcode}, 10, "$title: Pong, $way");
            is($f && $f->{payload}, $expect{pong}, '... with its payload');

        } else {
            ok($ws->wait_for('pong'), "$title: taken, $way");
        }
    }
}

# --- text -------------------------------------------------------------------

says('a text message', frame(1, $ping));
says('a message in two frames', frame(1, '{"type":', fin => 0)
    . frame(0, '"ping"}'));
says('a message in many frames', join('', frame(1, '', fin => 0),
    (map { frame(0, $_, fin => 0) } split //, $ping), frame(0, '')));
says('a ping between fragments', frame(1, '{"type":', fin => 0)
    . frame(9, 'x') . frame(0, '"ping"}'), pong => 'x');
says('a character cut by fragments', frame(1, "{\"type\":\"ping\",\"x\":\"\xc3",
    fin => 0) . frame(0, "\xa4\"}"));
says('two messages at once', frame(1, $ping) . frame(1, $ping));
says('a mask of zeros', pack('CCN', 0x81, 0x80 | length($ping), 0) . $ping);

my $limit = '{"type":"ping","x":"' . 'y' x (16384 - 22) . '"}';
is(length $limit, 16384, 'the longest message');
says('a message of 16 KB', frame(1, $limit));
says('a message of 16 KB in pieces', frame(1, substr($limit, 0, 1000), fin => 0)
    . frame(0, substr($limit, 1000, 15000), fin => 0)
    . frame(0, substr($limit, 16000)));
says('a byte more', frame(1, "$limit "), close => 1009);
says('a byte more in pieces', frame(1, $limit, fin => 0) . frame(0, ' '),
    close => 1009);
says('a length alone', substr(frame(1, '', len => 1 << 20), 0, 14),
    close => 1009);
says('more fragments than is decent',
    frame(1, '', fin => 0) . frame(0, '', fin => 0) x 1100, close => 1008);

# --- control ----------------------------------------------------------------

says('a ping', frame(9, 'abc'), pong => 'abc');
says('an empty ping', frame(9, ''), pong => '');
says('a ping of 125 bytes', frame(9, "\xff" x 125), pong => "\xff" x 125);
says('an unasked pong', frame(10, 'abc') . frame(1, $ping));
says('a ping of 126 bytes', frame(9, 'x' x 126), close => 1002);
says('a ping in fragments', frame(9, 'x', fin => 0), close => 1002);

# --- what must not be -------------------------------------------------------

says("RSV $_", frame(1, $ping, rsv => $_), close => 1002) for 1, 2, 4, 7;
says("opcode $_", frame($_, ''), close => 1002) for 3 .. 7, 11 .. 15;
says('no mask', frame(1, $ping, mask => 0), close => 1002);
says('no mask on a ping', frame(9, '', mask => 0), close => 1002);
says('a length of 16 bits too long', frame(1, $ping, form => 16),
    close => 1002);
says('a length of 64 bits too long', frame(1, $ping, form => 64),
    close => 1002);
says('a length of 64 bits for 300', frame(1, 'x' x 300, form => 64),
    close => 1002);
says('the top bit of a length', frame(1, '', form => 64, len => 1 << 63),
    close => 1002);
says('a continuation of nothing', frame(0, $ping), close => 1002);
says('a continuation after the end', frame(1, $ping) . frame(0, 'x'),
    close => 1002);
says('a message inside a message', frame(1, '{', fin => 0) . frame(1, $ping),
    close => 1002);
says('binary', frame(2, $ping), close => 1003);
says('binary inside a text', frame(1, '{', fin => 0) . frame(2, 'x'),
    close => 1002);

for my $bad ("\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf5",
    "\xe2\x82", "a\x80", "\xf0\x80\x80\x80", "\xc3\x28")
{
    says('no UTF-8: ' . join(' ', map { sprintf '%02x', ord } split //, $bad),
        frame(1, $bad), close => 1007);
}

says('no UTF-8, found before the end', frame(1, "\xff", fin => 0),
    close => 1007);

# --- what is no message of ours ---------------------------------------------

says('no JSON', frame(1, 'hello'), close => 4400);
says('an empty message', frame(1, ''), close => 4400);
says('no object', frame(1, '[1]'), close => 4400);

# --- Close ------------------------------------------------------------------

says("Close $_", frame(8, pack('n', $_)), close => $_)
    for 1000 .. 1003, 1007 .. 1014, 3000, 3999, 4000, 4999;
says('Close with a reason', frame(8, pack('n', 1000) . "bye \xe2\x82\xac"),
    close => 1000);
says('Close without a code', frame(8, ''), close => 1005);
says('Close with one byte', frame(8, 'x'), close => 1002);
says("Close $_", frame(8, pack('n', $_)), close => 1002)
    for 0, 999, 1004 .. 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535;
says('Close with a reason that is no UTF-8',
    frame(8, pack('n', 1000) . "\xff"), close => 1007);
says('Close with 123 bytes of reason', frame(8, pack('n', 1000) . 'x' x 123),
    close => 1000);
says('Close inside a message', frame(1, '{', fin => 0)
    . frame(8, pack('n', 1001)), close => 1001);
says('data after Close', frame(8, pack('n', 1000)) . frame(1, $ping),
    close => 1000);

# --- raw mode ---------------------------------------------------------------

my $raw = $edge->ws('u2', raw => 1);
$raw->send_frame(1, 'anything');
$raw->send_frame(2, "\x00\xff");
$raw->send_frame(2, "\x00", fin => 0);
$raw->send_frame(9, 'still here');
my $f = $raw->next_frame;
is($f->{opcode}, 10, 'raw mode takes text and binary, and says nothing');
$raw->send_frame(0, 'x' x 16384);
is($raw->wait_close, 1009, 'raw mode has the same limit');

$raw = $edge->ws('u2', raw => 1);
$raw->send_frame(1, "\xff");
is($raw->wait_close, 1007, 'raw mode has the same UTF-8');

# --- bytes that came with the request ---------------------------------------

my $early = $edge->ws('u3', early => frame(1, '{"type":"hello"}')
    . frame(9, 'early'));
is($early->wait_for('welcome')->{user}, 'u3', 'frames behind the request');
$f = $early->next_frame;
is($f->{payload}, 'early', '... all of them');

# --- a client that does not read yet ------------------------------------------

for my $way ('hello', 'no hello') {
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$small",
        Sockopts => [[SOL_SOCKET, SO_RCVBUF, pack('i', 4096)]]) or die $!;
    my $blocked = Push::WebSocket->new(url => "ws://127.0.0.1:$small/",
        socket => $socket);

    # their pongs fill both buffers
    $blocked->write_raw(frame(9, 'x' x 125) x 900);
    Push::Edge::wait_until(sub {
        $edge->status->{bytes_in} >= 900 * 131
    }) or diag('?');
    $blocked->hello(device => 'd') if $way eq 'hello';
    Push::Edge::wait_until(sub { $edge->status->{queue_bytes} > 300 })
        or diag('?') if $way ne 'hello';
    $blocked->send_frame(1, $ping);

    ok($blocked->wait_for('welcome'), "$way behind pongs that wait");
    ok($blocked->wait_for('pong'), '... and the connection lives');
    $blocked->drop;
}

$edge->stop('QUIT');
$edge->logs_ok_now;

done_testing();
