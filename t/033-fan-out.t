#!/usr/bin/perl

# A message for all goes in slices: each connection gets each one once and in
# order, unicast goes in between, and who does not read misses nothing but what
# he may.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use IO::Socket::INET;
use Push::Edge;
use Push::WebSocket;
use Test::More;
use Time::HiRes qw(time);

*item = \&Push::Edge::item;
*wait_until = \&Push::Edge::wait_until;

my $clients = 2000;
my $broadcasts = 5;

# As an idle client costs a descriptor on either side.
my $limit = `sh -c 'ulimit -n'`;
chomp $limit;
plan(skip_all => "$limit open files are too few for $clients clients")
    if $limit ne 'unlimited' && $limit < $clients + 200;

# sndbuf: or the kernel takes all that one leaves who does not read
my $edge = Push::Edge->new(listen => 'sndbuf=32k',
    location => 'push_heartbeat_timeout 10m; push_send_queue 8 16k;');
my $e = "epoch e1\n";

# --- the crowd: raw clients, whose handshakes go out before answers are read

my (@crowd, %number);
my $request = join("\r\n", 'GET /ws?user=c%d HTTP/1.1', 'Host: x',
    'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', '', '');

while (@crowd < $clients) {
    my @some;

    for (1 .. 100) {
        my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$edge->{port}")
            or die "connect: $!";
        syswrite($s, sprintf($request, @crowd + @some));
        push @some, $s;
    }

    for my $s (@some) {
        my $head = '';
        1 while $head !~ /\r\n\r\n/ && sysread($s, $head, 1, length $head);
        die "no 101: $head" unless $head =~ m{^HTTP/1.1 101 };
    }

    push @crowd, @some;
}

is($edge->status->{connections}, $clients, "$clients connections");

# The payloads that a connection has by now, until there are $n or 10 s.
sub payloads {
    my ($s, $n) = @_;
    my ($text, @got) = ('');
    my $until = time() + 10;

    while (@got < $n && time() < $until) {
        IO::Select->new($s)->can_read($until - time()) or last;
        sysread($s, $text, 65536, length $text) or last;

        while (length($text) >= 4) {
            my ($len, $head) = (ord(substr($text, 1, 1)), 2);
            ($len, $head) = (unpack('n', substr($text, 2, 2)), 4)
                if $len == 126;
            last if length($text) < $head + $len;
            push @got, substr($text, $head, $len);
            substr($text, 0, $head + $len, '');
        }
    }

    return @got;
}

sub walked {
    my ($n) = @_;
    return wait_until(sub {
        $edge->status->{messages_out} >= $n
    }, 20);
}

# --- the ring of `all`: the worker's own questions are answered

my %answered;

sub follow {
    my ($seq) = @_;

    for my $rq (grep { $_->{uid} eq '-' && !$answered{$_->{rid}}++ }
            $edge->stream('push:ev:resync'))
    {
        my $about = "$rq->{inst}.$rq->{conn} all $rq->{rid}";
        $edge->deliver("${e}begin $about $seq\ntip $about $seq\n");
    }
}

# What is answered to message $seq for all, and to @more with it: again while
# the worker does not know where the log is.
sub to_all {
    my ($seq, $data, @more) = @_;
    my @answers;

    wait_until(sub {
        @answers = $edge->deliver(join '', $e, item('all', '', $seq, $data),
            @more);
        return 1 if !grep { $_ eq 'gap' } @answers;
        follow($seq - 1);
        return 0;
    }, 20);

    return @answers;
}

# --- order, and once; unicast in the same bodies

my $fill = 'x' x 200;
my $out = $edge->status->{messages_out};
my @answers;

for my $seq (1 .. $broadcasts) {
    push @answers, to_all($seq, "\"b$seq $fill\"",
        item('user', 'c7', $seq, "\"u$seq\""));
}

is_deeply(\@answers, [ (200, "ok $clients", 'ok 1') x $broadcasts ],
    'a message for all is answered with how many are here');
ok(walked($out + $broadcasts * ($clients + 1)), 'all of it is written');

my %wrong;
my $wanted = join(' ', map { "\"b$_ $fill\"" } 1 .. $broadcasts);

for my $i (grep { $_ != 7 } 0 .. $#crowd) {
    my $got = join(' ', payloads($crowd[$i], $broadcasts));
    $wrong{$got}++ if $got ne $wanted;
}
is_deeply(\%wrong, {}, 'each connection has each message, once and in order');

my @seven = payloads($crowd[7], 2 * $broadcasts);
is(join(' ', grep { /^"b/ } @seven), $wanted, 'who gets unicast as well too');
is(join(' ', grep { /^"u/ } @seven),
    join(' ', map { "\"u$_\"" } 1 .. $broadcasts), '... and that in order');

# --- unicast goes before, although it stands behind the message for all

my $seq = $broadcasts;
my $before = $edge->status;
@answers = ();

for (1 .. 5) {
    $seq++;
    $out = $edge->status->{messages_out};
    to_all($seq, "\"b$seq\"", item('user', 'c11', $seq, "\"u$seq\""));
    walked($out + $clients + 1);
    push @answers, map { substr($_, 1, 1) } payloads($crowd[11], 2);
}

is("@answers", join(' ', ('u b') x 5),
    'unicast is written before what came for all in the same body');

my $after = $edge->status;

sub grown { my ($name) = @_;
            return map { $after->{$name}{$_} - $before->{$name}{$_} }
                qw(count sum) }

my ($walks, $walk_us) = grown('fan_out_us');
my ($slices, $slice_us) = grown('fan_out_slice_us');
my ($turns) = grown('fan_out_turn_us');
my ($messages, $unicast_us) = grown('unicast_us');

is($walks, 5, 'each message for all was a walk');
cmp_ok($slices, '>=', $walks, 'in slices');
is($turns, $slices - $walks, '... each in a turn of its own');
is($messages, 5, 'each message to a user has its time');
cmp_ok($slice_us / $slices, '<', 10000, 'a slice is short');
cmp_ok($unicast_us / $messages, '<', $walk_us / $walks / 2,
    'and unicast does not wait for a walk');

# --- many at once go together

$before = $after;
$out = $before->{messages_out};

is_deeply([ $edge->deliver($e . join '', map {
    item('all', '', 0, "\"e$_ " . 'y' x 2000 . '"') } 1 .. 40) ],
    [ 200, ("ok $clients") x 40 ], '40 ephemeral messages at once');
ok(walked($out + 40 * $clients), '... are all written');

$after = $edge->status;
($walks) = grown('fan_out_us');
is($walks, 1, '... in one walk');
is($after->{messages_dropped}, $before->{messages_dropped},
    '... and none is dropped, although a queue takes only 8');

%wrong = ();
$wanted = join(' ', map { "e$_" } 1 .. 40);

for my $i (grep { $_ % 20 == 0 } 0 .. $#crowd) {
    my @got = grep { /^"e/ } payloads($crowd[$i], 45);
    my $got = join(' ', map { /^"(e\d+) y{2000}"$/ ? $1 : 'bad' } @got);
    $wrong{$got}++ if $got ne $wanted;
}
is_deeply(\%wrong, {}, '... each once and in order');

# --- more than may wait: answered slow, and not written

@answers = $edge->deliver($e . item('all', '', 0, '"z"') x 100);
my %words;
$words{$_}++ for @answers;
is_deeply(\%words, { 200 => 1, "ok $clients" => 64, slow => 36 },
    'at most 64 wait');

# --- a pace

$out = $edge->status->{messages_out};
walked($out);
wait_until(sub { $edge->status->{messages_out} == $out + 64 * $clients });
$out = $edge->status->{messages_out};

$edge->deliver("${e}pace 1000\n");
my $t = time();
$edge->deliver($e . item('all', '', 0, '"p"'));
ok(walked($out + $clients), 'a pace: everybody has it');
cmp_ok(time() - $t, '>=', 0.9 * $clients / 1000, '... not sooner');
$edge->deliver("${e}pace 0\n");

# --- one who does not read

my $slow = IO::Socket::INET->new(Proto => 'tcp');
socket($slow, PF_INET, SOCK_STREAM, 0);
setsockopt($slow, SOL_SOCKET, SO_RCVBUF, 4096);
connect($slow, sockaddr_in($edge->{port}, inet_aton('127.0.0.1'))) or die $!;
$slow = $edge->ws('slow', socket => $slow);
$slow->hello(device => 'd', window => 256, cursors => { all => $seq });
$slow->wait_for('welcome');

ok(wait_until(sub {
    my $rq = (grep { $_->{uid} eq 'slow' } $edge->stream('push:ev:resync'))[-1]
        or return;
    my $about = "$rq->{inst}.$rq->{conn}";
    return join(' ', $edge->deliver(join '', $e, map {
        my ($log, $tip) = @$_;
        "begin $about $log $rq->{rid} $tip\ntip $about $log $rq->{rid} $tip\n"
    } [ 'user:slow', 0 ], [ 'all', $seq ])) eq '200' . ' ok 1' x 4;
}, 10), 'one who does not read is there');
$slow->wait_for('synced') for 1, 2;

my $first = $seq + 1;
for (1 .. 60) {
    $seq++;
    $out = $edge->status->{messages_out};
    to_all($seq, "\"$seq " . 'w' x 8000 . '"');
}

cmp_ok($edge->status->{messages_forgotten}, '>', 0,
    'a queue that is full forgets');

my @seqs;
my $until = time() + 30;
while (@seqs < 60 && time() < $until) {
    my $m = $slow->wait_for('message') or last;
    push @seqs, $m->{seq} if $m->{log} eq 'all';
    $slow->send_json({ type => 'ack', log => 'all', seq => $m->{seq} });
}
is("@seqs", join(' ', $first .. $seq),
    'who reads late has each once and in order, out of the ring');

$edge->logs_ok_now;

# --- a reload amid a walk

$edge = Push::Edge->new(http => 'push_drain_time 10m;',
    location => 'push_heartbeat_timeout 10m;');

my @ws = map { $edge->ws("r$_", raw => 1) } 1 .. 200;

$edge->deliver("${e}pace 100\n");
$edge->deliver($e . item('all', '', 0, '"r"'));

ok(wait_until(sub { $edge->status->{messages_out} >= 20 }, 10),
    'a walk is under way');
$edge->signal('HUP');
ok(wait_until(sub {
    my %states = map { $_->{state} => 1 } @{($edge->status // {})->{workers}};
    return $states{drain} && $states{run};
}, 10), '... when nginx is reloaded');
cmp_ok($edge->status->{messages_out}, '<', 200, '... and goes on');
ok(walked(200), '... to its end');

$edge->deliver("${e}pace 0\n");
$edge->deliver($e . item('all', '', 0, '"s"'));

# a tenth of a second apart they are sent elsewhere, in the walk's order
my %got;
for my $ws (@ws) {
    my @got = map { ($_->next_frame // {})->{payload} // 'nothing' } ($ws) x 2;
    s/^\x03\xf4.*/1012/s for @got;
    $got{"@got"}++;
}

my $gone = delete $got{'"r" 1012'} // 0;
is_deeply(\%got, { '"r" "s"' => 200 - $gone },
    'each has it once, and the next one if the connection is still there');
cmp_ok($gone, '<', 100, '... which most are');

$edge->logs_ok_now;

done_testing();
