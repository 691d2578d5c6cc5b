#!/usr/bin/perl

# RFC 6455 as a list of cases: what a client sends, and what it must hear.  The
# location says back each message (t/echo), so that nothing but frames is seen.
#
# Each case runs at once, cut at random places, and byte by byte if it is short.
# PUSH_TEST_SEED=N repeats the random places of a run.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Push::Edge;
use Push::WebSocket;
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

my $module = "$Push::Stack::root/build/test/ngx_http_push_module.so";

# without PUSH_NGINX the module is loaded; a nginx may have it linked in
plan(skip_all => 'the test module is not built (make test-module)')
    if !$ENV{PUSH_NGINX} && !-f $module;

my $edge = Push::Edge->new(start => 0, redis => 0, module => $module,
    location => "push_origins any; }\nlocation /echo { push_test_echo;");
my ($code, $said) = $edge->test;

plan(skip_all => 'this nginx has no push_test_echo')
    if $said =~ /unknown directive "push_test_echo"/;

my $seed = srand($ENV{PUSH_TEST_SEED} // int(rand(2 ** 31)));
note("PUSH_TEST_SEED=$seed");

$edge->start;

use constant { TEXT => 1, BIN => 2, CLOSE => 8, PING => 9, PONG => 10 };

sub frame { Push::WebSocket::frame(@_) }
sub start { frame(@_, fin => 0) }
sub more  { frame(0, $_[0], fin => 0) }
sub end   { frame(0, $_[0]) }
sub close_frame { frame(CLOSE, @_ ? pack('n', $_[0]) . ($_[1] // '') : '') }

# a message in frames of so many bytes
sub cut {
    my ($opcode, $payload, $size) = @_;
    my @parts = unpack("(a$size)*", $payload);
    @parts = ('') unless @parts;
    my $out = '';

    for my $i (0 .. $#parts) {
        $out .= frame($i ? 0 : $opcode, $parts[$i], fin => $i == $#parts);
    }

    return $out;
}

sub connect_echo {
    my $ws = Push::WebSocket->new(raw => 1, timeout => 30,
        url => "ws://127.0.0.1:$edge->{port}/echo");
    setsockopt($ws->{socket}, IPPROTO_TCP, TCP_NODELAY, 1);
    return $ws;
}

# --- one case ---------------------------------------------------------------

# Sends bytes in one of three ways; the frames that come until the end, each as
# [opcode, payload].  A client's Close comes last unless the case has its own.
sub hear {
    my ($bytes, $way) = @_;
    my $ws = connect_echo();
    my @heard;

    if ($way eq 'at once') {
        $ws->write_raw($bytes);
    } elsif ($way eq 'byte by byte') {
        $ws->write_raw($_) for split //, $bytes;
    } else {
        my $mean = length($bytes) > 100000 ? length($bytes) / 20 : 40;
        while (length $bytes) {
            $ws->write_raw(substr($bytes, 0, 1 + int(rand(2 * $mean)), ''));
        }
    }

    while (my $f = $ws->next_frame) {
        push @heard, [ $f->{opcode}, $f->{payload} ];
        push @heard, [ 'flags' ] if !$f->{fin} || $f->{rsv};
        $ws->send_frame(CLOSE, $f->{payload}) if $f->{opcode} == CLOSE;
    }

    push @heard, [ 'no end' ] unless $ws->{eof};
    $ws->drop;

    return @heard;
}

sub words {
    my ($opcode, $payload) = @{$_[0]};
    return $opcode if $opcode =~ /\D/;
    return 'Close ' . (length $payload ? unpack('n', $payload) : 'empty')
        if $opcode == CLOSE;
    return sprintf('%s of %d bytes', {1 => 'text', 2 => 'binary', 9 => 'Ping',
        10 => 'Pong'}->{$opcode} // "opcode $opcode", length $payload);
}

# case NUMBER, TITLE, BYTES, what is heard: [opcode, payload] and last a code
# of the server's Close.  Without a code the connection must live on: the test
# closes with 1000.  'empty': a Close without a code.
my %numbers;

sub case {
    my ($number, $title, $bytes, @expect) = @_;
    my $ends = @expect && !ref $expect[-1] ? pop @expect : undef;

    BAIL_OUT("two cases $number") if $numbers{$number}++;

    if (!defined $ends) {
        $bytes .= close_frame(1000);
        $ends = 1000;
    }

    for my $way ('at once', 'random', 'byte by byte') {
        next if $way eq 'byte by byte' && length $bytes > 300;

        my @heard = hear($bytes, $way);
        my $close = pop @heard // [ 'nothing' ];
        my $same = @heard == @expect && !grep {
            $heard[$_][0] ne $expect[$_][0] || $heard[$_][1] ne $expect[$_][1]
        } 0 .. $#heard;

        $same &&= $close->[0] eq CLOSE && ($ends eq 'empty'
            ? $close->[1] eq ''
            : length $close->[1] >= 2 && unpack('n', $close->[1]) == $ends);

        ok($same, "$number $title, $way") or diag(join(', ',
            'heard: ' . join(', ', map { words($_) } @heard, $close),
            'not: ' . join(', ', (map { words($_) } @expect), "Close $ends")));
    }
}

# --- 1: messages ------------------------------------------------------------

my $n = 0;

for my $size (0, 1, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537) {
    $n++;
    my $text = '*' x $size;
    my $binary = "\xfe" x $size;
    case("1.1.$n", "text of $size bytes", frame(TEXT, $text), [TEXT, $text]);
    case("1.2.$n", "binary of $size bytes", frame(BIN, $binary),
        [BIN, $binary]);
}

case('1.3.1', 'three messages in a row', frame(TEXT, 'a') . frame(BIN, "\0")
    . frame(TEXT, ''), [TEXT, 'a'], [BIN, "\0"], [TEXT, '']);
case('1.3.2', 'a mask of zeros', pack('CCN', 0x81, 0x83, 0) . 'abc',
    [TEXT, 'abc']);
case('1.3.3', 'all bytes', frame(BIN, join('', map { chr } 0 .. 255)),
    [BIN, join('', map { chr } 0 .. 255)]);

# --- 2: Ping and Pong -------------------------------------------------------

$n = 0;

for my $payload ('', 'Hello', "\x00\xff\xfe\xfd\x7f", "\xfe" x 125) {
    $n++;
    case("2.1.$n", 'a Ping of ' . length($payload) . ' bytes',
        frame(PING, $payload), [PONG, $payload]);
    case("2.2.$n", 'a Pong of ' . length($payload) . ' bytes',
        frame(PONG, $payload));
}

case('2.3.1', 'a Ping of 126 bytes', frame(PING, "\xfe" x 126), 1002);
case('2.3.2', 'a Pong of 126 bytes', frame(PONG, "\xfe" x 126), 1002);
case('2.3.3', 'a Ping with 16 bits of length', frame(PING, 'x', form => 16),
    1002);
case('2.3.4', 'a Ping with 64 bits of length', frame(PING, 'x', form => 64),
    1002);
case('2.4.1', 'ten Pings', join('', map { frame(PING, "p$_") } 1 .. 10),
    map { [PONG, "p$_"] } 1 .. 10);
case('2.4.2', 'Pong, then Ping', frame(PONG, 'u') . frame(PING, 'p'),
    [PONG, 'p']);
case('2.4.3', 'Ping before and behind text', frame(PING, '1')
    . frame(TEXT, 'x') . frame(PING, '2'), [PONG, '1'], [TEXT, 'x'],
    [PONG, '2']);

# --- 3: reserved bits -------------------------------------------------------

for my $rsv (1 .. 7) {
    case("3.1.$rsv", "RSV $rsv on text", frame(TEXT, 'x', rsv => $rsv), 1002);
    case("3.2.$rsv", "RSV $rsv on binary", frame(BIN, 'x', rsv => $rsv), 1002);
    case("3.3.$rsv", "RSV $rsv on Ping", frame(PING, 'x', rsv => $rsv), 1002);
    case("3.4.$rsv", "RSV $rsv on Close",
        frame(CLOSE, pack('n', 1000), rsv => $rsv), 1002);
    case("3.5.$rsv", "RSV $rsv behind a good message", frame(TEXT, 'x')
        . frame(TEXT, 'y', rsv => $rsv) . frame(PING, ''), [TEXT, 'x'], 1002);
    case("3.6.$rsv", "RSV $rsv on a continuation", start(TEXT, 'x')
        . frame(0, 'y', rsv => $rsv), 1002);
}

# --- 4: opcodes -------------------------------------------------------------

for my $opcode (3 .. 7, 11 .. 15) {
    case("4.1.$opcode", "opcode $opcode", frame($opcode, ''), 1002);
    case("4.2.$opcode", "opcode $opcode with a payload", frame($opcode, 'x'),
        1002);
    case("4.3.$opcode", "opcode $opcode behind a good message",
        frame(TEXT, 'x') . frame($opcode, '') . frame(PING, ''), [TEXT, 'x'],
        1002);
    case("4.4.$opcode", "opcode $opcode inside a message", start(TEXT, 'x')
        . frame($opcode, '') . end('y'), 1002);
}

for my $opcode (0 .. 2, 8 .. 10) {
    case("4.5.$opcode", "opcode $opcode without a mask",
        ($opcode ? '' : start(BIN, '')) . frame($opcode, '', mask => 0), 1002);
}

case('4.6.1', 'a 16-bit length for 125', frame(TEXT, 'x' x 125, form => 16),
    1002);
case('4.6.2', 'a 64-bit length for 65535', frame(BIN, 'x' x 65535,
    form => 64), 1002);
case('4.6.3', 'the top bit of a length', frame(BIN, '', form => 64,
    len => 1 << 63), 1002);
case('4.6.4', 'a length of 2^63 - 1', frame(BIN, '', form => 64,
    len => (1 << 63) - 1), 1009);

# --- 5: fragments -----------------------------------------------------------

my $ping = frame(PING, 'ping');

case('5.1.1', 'a Ping in two frames', start(PING, 'a') . end('b'), 1002);
case('5.1.2', 'a Pong in two frames', start(PONG, 'a') . end('b'), 1002);
case('5.1.3', 'a Close in two frames', start(CLOSE, "\x03")
    . end("\xe8"), 1002);
case('5.2.1', 'text in two frames', start(TEXT, 'a') . end('b'),
    [TEXT, 'ab']);
case('5.2.2', 'binary in two frames', start(BIN, "\xff") . end("\x80"),
    [BIN, "\xff\x80"]);
case('5.2.3', 'a Ping between', start(TEXT, 'a') . $ping . end('b'),
    [PONG, 'ping'], [TEXT, 'ab']);
case('5.2.4', 'a Pong between', start(TEXT, 'a') . frame(PONG, 'x')
    . end('b'), [TEXT, 'ab']);
case('5.2.5', 'Pings between many', start(TEXT, '1')
    . join('', map { frame(PING, $_) . more($_) } 2 .. 9) . end(''),
    (map { [PONG, $_] } 2 .. 9), [TEXT, '123456789']);
case('5.2.6', 'empty frames', start(TEXT, '') . more('') . more('') . end(''),
    [TEXT, '']);
case('5.2.7', 'only the middle has bytes', start(TEXT, '') . more('middle')
    . end(''), [TEXT, 'middle']);
case('5.2.8', 'a Close between', start(TEXT, 'a') . close_frame(1001), 1001);
case('5.3.1', 'a continuation of nothing', more('a'), 1002);
case('5.3.2', 'an end of nothing', end('a'), 1002);
case('5.3.3', 'a continuation after an end', frame(TEXT, 'a') . end('b'),
    [TEXT, 'a'], 1002);
case('5.3.4', 'a second end', start(TEXT, 'a') . end('b') . end('c'),
    [TEXT, 'ab'], 1002);
case('5.3.5', 'an end after a Ping alone', $ping . end('c'), [PONG, 'ping'],
    1002);
case('5.3.6', 'text inside text', start(TEXT, 'a') . frame(TEXT, 'b'), 1002);
case('5.3.7', 'binary inside text', start(TEXT, 'a') . start(BIN, 'b'), 1002);
case('5.3.8', 'text inside binary', start(BIN, 'a') . frame(TEXT, 'b'), 1002);
case('5.3.9', 'two messages, a Ping in each', join('', (start(TEXT, 'a')
    . $ping . end('b')) x 2), ([PONG, 'ping'], [TEXT, 'ab']) x 2);
case('5.4.1', 'a frame a byte, 5000 of them', cut(BIN, 'x' x 5000, 1),
    [BIN, 'x' x 5000]);

# --- 6: UTF-8 ---------------------------------------------------------------

# RFC 3629 section 4, and what of a character may still be continued
my $tail = qr/[\x80-\xbf]/;
my $char = qr/[\x00-\x7f]|[\xc2-\xdf]$tail|\xe0[\xa0-\xbf]$tail
    |[\xe1-\xec\xee\xef]$tail$tail|\xed[\x80-\x9f]$tail
    |\xf0[\x90-\xbf]$tail$tail|[\xf1-\xf3]$tail$tail$tail
    |\xf4[\x80-\x8f]$tail$tail/x;
my $part = qr/[\xc2-\xf4]|\xe0[\xa0-\xbf]|[\xe1-\xec\xee\xef]$tail
    |\xed[\x80-\x9f]|\xf0[\x90-\xbf]$tail?|[\xf1-\xf3]$tail$tail?
    |\xf4[\x80-\x8f]$tail?/x;

# Where the first bad byte is; the length if the text ends inside a character;
# undef: all is well.
sub bad_at {
    my ($text) = @_;
    my ($good) = $text =~ /\A((?:$char)*)/;
    my $at = length $good;

    return if $at == length $text;

    while ($at < length $text) {
        my $more = substr($text, length $good, $at + 1 - length $good);
        last unless $more =~ /\A$part\z/;
        $at++;
    }

    return $at;
}

sub hex_of { join(' ', map { sprintf('%02x', ord) } split //, $_[0]) }

my $kosme = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";

my @texts = (
    # ends of each length, and beyond
    "\x00", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xef\xbf\xbf",
    "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "\xf4\x90\x80\x80",
    "\xf7\xbf\xbf\xbf", "\xf8\x88\x80\x80\x80", "\xfb\xbf\xbf\xbf\xbf",
    "\xfc\x84\x80\x80\x80\x80", "\xfd\xbf\xbf\xbf\xbf\xbf",
    # around the surrogates, not characters, BOM
    "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xef\xbf\xbe",
    "\xef\xbb\xbf", "\xf0\x9f\xbf\xbe", "\xf0\xaf\xbf\xbf",
    # surrogates, alone and in pairs
    "\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf",
    "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf",
    "\xed\xa0\x80\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf",
    # overlong
    "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf",
    "\xfc\x80\x80\x80\x80\xaf", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf",
    "\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80",
    # tails without a head, one to seven, then all; heads without a tail
    (map { "\x80" x $_ } 1 .. 7), "\xbf", join('', map { chr } 0x80 .. 0xbf),
    (map { chr($_) . ' ' } 0xc0 .. 0xff),
    # cut at the end
    "\xc3", "\xe0\xa0", "\xef\xbf", "\xf0\x90\x80", "\xf4\x8f\xbf",
    "\xc3\xe0\xa0", "\xfe", "\xff", "\xfe\xfe\xff\xff",
    # in the middle of words
    $kosme, "${kosme}\xed\xa0\x80edited", "${kosme}\xf4\x90\x80\x80edited",
    "hello\xc3\xa4\xc3\xb6world", 'x' x 70 . "\xff" . 'y' x 70,
    "\xe4\xb8\xad" x 40, "\xe4\xb8\xad" x 40 . "\xe4\xb8",
    "\xf0\x9f\x98\x80" x 30,
);

$n = 0;

for my $text (@texts) {
    $n++;
    my $at = bad_at($text);
    my $title = hex_of(length $text > 12 ? substr($text, 0, 12) : $text);
    my @expect = defined $at ? 1007 : [TEXT, $text];

    case("6.1.$n", "$title in a frame", frame(TEXT, $text), @expect);
    case("6.2.$n", "$title in frames of a byte", cut(TEXT, $text, 1), @expect);
    case("6.3.$n", "$title as binary", frame(BIN, $text), [BIN, $text]);
}

case('6.4.1', 'a Ping inside a character', start(TEXT, "\xe2\x82") . $ping
    . end("\xac"), [PONG, 'ping'], [TEXT, "\xe2\x82\xac"]);
case('6.4.2', 'a message begins anew', start(TEXT, "\xe2\x82\xac")
    . end('') . frame(TEXT, "\x82"), [TEXT, "\xe2\x82\xac"], 1007);

# At the first bad byte: the frame announces a thousand bytes more, nothing of
# them is sent.  All that stands before is no reason to close.
sub at_once {
    my ($number, $text) = @_;
    my $at = bad_at($text) // return;
    my $ws = connect_echo();
    my $head = substr($text, 0, $at);

    return if $at == length $text;

    $ws->write_raw(start(TEXT, $head) . frame(PING, 'before'));
    my $f = $ws->next_frame;
    my $lives = $f && $f->{opcode} == PONG;

    $ws->write_raw(substr(frame(0, substr($text, $at, 1) . 'z' x 1000), 0, 9));
    my $closed = $ws->wait_close(5);

    return if $lives && ($closed // 0) == 1007;
    return "$number " . hex_of($text) . ': '
        . ($lives ? 'closed with ' . ($closed // '-') : 'too early');
}

my (@late, $tried);

for my $text (@texts) {
    push @late, at_once('6.5', $text);
    $tried++;
}

for my $lead (0x80 .. 0xff) {
    for my $second (0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0) {
        push @late, at_once('6.6', chr($lead) . chr($second) . "\x7f");
        $tried++;
    }
}

ok(!@late, "6.5, 6.6 1007 at the first bad byte, $tried texts")
    or diag(join("\n", @late[0 .. ($#late > 9 ? 9 : $#late)]));

# --- 7: Close ---------------------------------------------------------------

case('7.1.1', 'Close without a code', close_frame(), 'empty');
case('7.1.2', 'Close with one byte', frame(CLOSE, "\x03"), 1002);
case('7.1.3', 'Close with a reason', close_frame(1000, 'going'), 1000);
case('7.1.4', 'Close with 123 bytes of reason', close_frame(1000, '*' x 123),
    1000);
case('7.1.5', 'Close with 124 bytes of reason', close_frame(1000, '*' x 124),
    1002);
case('7.1.6', 'a reason that is no UTF-8', close_frame(1000,
    "${kosme}\xed\xa0\x80edited"), 1007);
case('7.1.7', 'a reason that is cut', close_frame(1000, "\xe2\x82"), 1007);
case('7.2.1', 'Close after a message', frame(TEXT, 'x') . close_frame(1000),
    [TEXT, 'x'], 1000);
case('7.2.2', 'two Closes', close_frame(1000) . close_frame(1001), 1000);
case('7.2.3', 'a Ping after Close', close_frame(1000) . $ping, 1000);
case('7.2.4', 'text after Close', close_frame(1000) . frame(TEXT, 'x'), 1000);
case('7.2.5', 'a bad frame after Close', close_frame(1000)
    . frame(3, 'x', rsv => 7), 1000);
case('7.2.6', '256 KB, Close, Ping', frame(BIN, 'B' x 262144)
    . close_frame(1000) . $ping, [BIN, 'B' x 262144], 1000);
case("7.3.$_", "code $_", close_frame($_), $_)
    for 1000 .. 1003, 1007 .. 1014, 3000, 3999, 4000, 4999;
case("7.4.$_", "code $_", close_frame($_), 1002)
    for 0, 1, 999, 1004 .. 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535;

# --- 9: size ----------------------------------------------------------------

my $begin = time;
$n = 0;

for my $kb (64, 256, 1024, 4096, 8192, 16384) {
    $n++;
    my $text = "\xe2\x82\xac" x int($kb * 1024 / 3);
    my $binary = pack('N*', 0 .. $kb * 256 - 1);
    case("9.1.$n", "text of $kb KB", frame(TEXT, $text), [TEXT, $text]);
    case("9.2.$n", "binary of $kb KB", frame(BIN, $binary), [BIN, $binary]);
}

$n = 0;

for my $size (64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304) {
    $n++;
    my $text = '*' x 4194304;
    case("9.3.$n", "4 MB of text in frames of $size", cut(TEXT, $text, $size),
        [TEXT, $text]);
    case("9.4.$n", "4 MB of binary in frames of $size", cut(BIN, $text, $size),
        [BIN, $text]);
}

my $most = 32 * 1024 * 1024;
my $all = 'm' x $most;
case('9.5.1', 'the longest message', frame(BIN, $all), [BIN, $all]);
case('9.5.2', 'one byte more', substr(frame(BIN, '', len => $most + 1,
    form => 64), 0, 14), 1009);
case('9.5.3', 'one byte more in two frames', start(BIN, $all) . end('x'),
    1009);
$all = '';

# one message in writes of so many bytes
for my $chop (64, 128, 256, 512, 1024, 2048) {
    my $text = '*' x 1048576;
    my $ws = connect_echo();
    $ws->write_raw($_) for unpack("(a$chop)*", frame(TEXT, $text));
    my $f = $ws->next_frame;
    ok($f && $f->{payload} eq $text, "9.6.$chop 1 MB in writes of $chop");
    $ws->drop;
}

# a thousand messages, one after the other
for my $opcode (TEXT, BIN) {
    for my $size (0, 16, 64, 256, 1024, 4096, 16384, 65536, 131072) {
        my $ws = connect_echo();
        my $text = 'r' x $size;
        my $good = 0;

        for (1 .. 1000) {
            $ws->send_frame($opcode, $text);
            my $f = $ws->next_frame or last;
            last if $f->{opcode} != $opcode || $f->{payload} ne $text;
            $good++;
        }

        is($good, 1000, "9." . (6 + $opcode) . ".$size 1000 messages of $size "
            . 'bytes, opcode ' . $opcode);
        $ws->drop;
    }
}

note(sprintf('sizes: %.1f s', time - $begin));

# --- 10: as libraries send --------------------------------------------------

my $long = '*' x 65536;
case('10.1.1', '64 KB in frames of 1300 bytes', cut(TEXT, $long, 1300),
    [TEXT, $long]);
case('10.1.2', 'the last frame is empty', cut(TEXT, $long, 65536) =~ s/^./\x01/r
    . end(''), [TEXT, $long]);
case('10.1.3', 'a hundred messages at once', join('', map { frame(TEXT, "m$_") }
    1 .. 100), map { [TEXT, "m$_"] } 1 .. 100);
case('10.1.4', 'a thousand Pings inside a message', start(BIN, 'a')
    . (frame(PING, 'p') x 1000) . end('b'), ([PONG, 'p']) x 1000, [BIN, 'ab']);

# --- and the product --------------------------------------------------------

SKIP: {
    my $product = "$Push::Stack::root/build/ngx_http_push_module.so";

    skip('the module is not built', 1) unless -f $product;
    open(my $fh, '<:raw', $product) or die "$product: $!";
    local $/;
    unlike(<$fh>, qr/push_test_echo|http_push_echo/,
        'the product has nothing of it');
}

$edge->stop('QUIT');
$edge->logs_ok_now;

done_testing();
