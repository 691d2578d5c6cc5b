#!/usr/bin/perl

# What time does to a connection: hello, heartbeat, the token's end, and a
# closing handshake that the client does not finish.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Push::Edge;
use Time::HiRes qw(time sleep);

my $edge = Push::Edge->new(redis => 0, http => 'push_drain_time 0;',
    location => 'push_heartbeat_timeout 5s; push_hello_timeout 300ms;');

# all of them wait at the same time

my ($start, $begin) = (time(), time());
my $late = $edge->ws('late');
my $silent = $edge->ws('silent');
my $raw = $edge->ws('raw', raw => 1);
my %alive = map { $_ => $edge->ws("alive-$_", raw => $_ eq 'raw') }
            qw(ping pong json raw);
my $half = $edge->ws('half');
my $expired = $edge->ws('expired', args => '&expires=' . int(time() + 2));

$alive{$_}->hello() for qw(ping pong json);
$half->hello();
$half->send_frame(1, '{"type":"ping"', fin => 0);

my $welcome = $late->wait_for('welcome', timeout => 2);
is($welcome && $welcome->{user}, 'late', 'without a hello it begins');
is($welcome && $welcome->{device}, '-', '... as no device');
cmp_ok(time() - $begin, '>=', 0.3, '... not before push_hello_timeout');
cmp_ok(time() - $begin, '<', 1.5, '... and soon after it');

$late->hello(device => 'd');
is($late->wait_close, 4400, 'a hello that comes later is refused');

for (1 .. 40) {
    sleep(0.2);
    $alive{ping}->send_frame(9, '');
    $alive{pong}->send_frame(10, '');
    $alive{json}->send_json({ type => 'ping' });
    $alive{raw}->send_frame(2, 'x');
    $expired->send_frame(9, '');
    # a message that never ends is no sign of life
    $half->send_frame(0, ' ', fin => 0) if $_ < 25;
}

is($silent->wait_close, 4000, 'silence closes 4000');
is($raw->wait_close, 4000, '... in raw mode too');
is($half->wait_close, 4000, 'a message that never ends is silence');

for my $how (sort keys %alive) {
    $alive{$how}->send_frame(9, 'still');
    my $f;
    do { $f = $alive{$how}->next_frame } while $f && $f->{opcode} == 1
        || $f && $f->{opcode} == 10 && $f->{payload} ne 'still';
    is($f && $f->{payload}, 'still', "alive by $how");
}

# --- closing handshakes -----------------------------------------------------

# We close and the client says nothing: 2 s, then the end.

my $mute = $edge->ws('mute', raw => 1);
$begin = time();
$mute->send_frame(1, "\xff");       # 1007: the parser gives up, FIN at once
my $f = $mute->next_frame;
is(unpack('n', $f->{payload}), 1007, 'Close 1007');
ok(!defined $mute->next_frame(1) && $mute->{eof}, '... and FIN at once');
cmp_ok(time() - $begin, '<', 1, '... without waiting for an answer');

$mute = $edge->ws('mute');
$mute->hello();
$mute->wait_for('welcome');
$begin = time();
$mute->send_frame(2, 'x');
do { $f = $mute->next_frame } while $f && $f->{opcode} != 8;
is(unpack('n', $f->{payload}), 1003, 'Close 1003');
$mute->send_text('{"type":"ping"}') for 1 .. 100;
ok(!defined $mute->next_frame(4) && $mute->{eof},
    'what comes after our Close is read and not answered');
cmp_ok(time() - $begin, '>', 1.5, '... for about 2 s');
cmp_ok(time() - $begin, '<', 3.5, '... not longer');

# The client closes: the echo, FIN; it may send on without a reset.

my $chatty = $edge->ws('chatty');
$chatty->hello();
$chatty->wait_for('welcome');
$chatty->send_close(1000);
$chatty->send_text('{"type":"ping"}') for 1 .. 1000;
is($chatty->wait_close, 1000, 'Close is echoed');
$chatty->send_text('{"type":"ping"}');
ok(!defined $chatty->next_frame && $chatty->{eof}, '... and FIN, no RST');

# FIN instead of Close

for my $n (0, 5) {
    my $ws = $edge->ws('gone');
    $ws->send_frame(9, 'p') for 1 .. $n;
    shutdown($ws->{socket}, 1);
    while ($ws->next_frame) { }
    ok($ws->{eof}, "FIN after $n pings ends the connection");
}

my $ws = $edge->ws('both');
$ws->send_close(1001);
shutdown($ws->{socket}, 1);
is($ws->wait_close, 1001, 'Close and FIN at once: Close is echoed');

# --- the end of a token: 30 s of grace --------------------------------------

while (!$expired->close_code && time() < $start + 40) {
    $expired->send_frame(9, '');
    $expired->next_message(1);
}
is($expired->close_code, 4001, 'an expired token closes 4001');
cmp_ok(time() - $start, '>', 29, '... after its grace');

undef %alive;
undef $_ for $late, $silent, $raw, $half, $mute, $chatty, $ws, $expired;

ok(Push::Edge::wait_until(sub {
    my $s = $edge->status; $s && $s->{connections} == 0
}, 10), 'nobody is left');

my $log = `cat $edge->{dir}/logs/error.log`;
my @open = $log =~ /push open /g;
my @close = $log =~ /push close user=\S+ device=\S+ conn=\S+ client=\S+ code=\d+ reason="[^"]+" seconds=\d+ messages=\d+ bytes=\d+/g;
is(scalar @close, scalar @open, 'each connection has its line at the end');
like($log, qr/push close user=silent .*code=4000 reason="no heartbeat"/,
    '... with its reason');

$edge->stop('QUIT');
$edge->logs_ok_now;

done_testing();
