#!/usr/bin/perl

# No memory: the n-th allocation of the workers fails, for each n of a
# connection's life.  Its worker lives, others are served, nothing stays
# behind, and whoever was not closed gets everything, once and in order.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Push::Edge;
use Push::FailMalloc;
use Push::WebSocket;
use Time::HiRes qw(sleep time);

*item = \&Push::Edge::item;

# As Push::Edge's, but in shorter steps: there are some hundred rounds.
sub wait_until {
    my ($test, $timeout) = @_;
    my $until = time() + ($timeout // 10);

    until ($test->()) {
        return if time() > $until;
        sleep(0.004);
    }

    return 1;
}

my $workers = 2;
my $e = "epoch e1\n";
my $dir = File::Temp::tempdir('push-memory-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $memory = Push::FailMalloc->new($dir);
my ($port) = (Push::Edge::free_ports(8))[7];

my $edge = $memory->start(sub {
    return Push::Edge->new(workers => $workers, http => "
        push_limit_connections 100; push_ring_size 64k;
        server { listen 127.0.0.1:$port sndbuf=32k;
            location = /auth { internal; return 204; }
            location / { auth_request /auth; push_websocket;
                         push_user \$arg_user; push_send_queue 64 256k;
                         push_limit_user 4; push_limit_addr 60;
                         push_message_rate 100/s; } }");
});

ok(wait_until(sub { ($edge->status->{redis_up} // 0) == $workers }),
    'workers are connected to Redis');

# --- Redis, without a process a command --------------------------------------

my $redis;

sub reply {
    my $line = <$redis> // return;
    my ($kind, $rest) = $line =~ /^(.)(.*)\r\n$/ or return;

    return if $rest eq '-1';
    return [map { reply() } 1 .. $rest] if $kind eq '*';
    return $rest if $kind ne '$';
    read($redis, my $text, $rest + 2);
    return substr($text, 0, -2);
}

sub command {
    $redis //= IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $edge->{redis_port}) or die "redis: $!";
    print $redis '*', scalar(@_), "\r\n",
        map { '$' . length($_) . "\r\n$_\r\n" } @_;
    return reply();
}

# Posts a body in one write: HTTP::Tiny needs two, and the second one waits for
# an ACK.  (status, lines); (0) where the connection was closed instead.  What
# is not answered, or unknown, is tried again later, as the collector does.
my ($poster, @again);

sub deliver {
    my ($body) = @_;
    my ($status, @answers) = post($body);

    push @again, $body if $status != 200 || grep { $_ eq 'unknown' } @answers;
    return ($status, @answers);
}

sub post {
    my ($body) = @_;
    my $text = '';

    for (1 .. 2) {
        my $kept = $poster;
        $poster //= IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $edge->{deliver_port}) or die "deliver: $!";
        local $SIG{PIPE} = 'IGNORE';
        syswrite($poster, "POST /deliver HTTP/1.1\r\nHost: x\r\n"
            . "Push-Secret: $Push::Edge::secret\r\nContent-Length: "
            . length($body) . "\r\n\r\n$body");

        while ($text !~ /\r\nContent-Length: (\d+)\r\n.*?\r\n\r\n(.*)/s
            || length($2) < $1)
        {
            sysread($poster, $text, 65536, length $text) or undef $poster, last;
        }

        last if $poster || !$kept;      # an old one may just have been closed
    }

    return 0 unless $poster && $text =~ /^HTTP\/1.1 (\d+)/;
    my $status = $1;
    undef $poster if $text =~ /^Connection: close\r$/m;
    return ($status, split /\n/, $text =~ s/.*?\r\n\r\n//sr);
}

# --- the collector: what was asked for, of logs whose messages are numbers ----

my ($last, %tip) = ('0', all => 0);

sub message {
    my ($conn, $log, $seq) = @_;
    my ($kind, $name) = split /:/, $log;
    my $text = item($kind, $name // '', $seq, $seq);
    $text =~ s/^\S+( \S+)? (\d+ \d+ \d+ \d+)\n/conn $conn $log $2\n/;
    return $text;
}

# Answers what has been asked since the last call; the users that asked.
sub answer {
    my $streams = command('XREAD', 'STREAMS', 'push:ev:resync', $last);
    my ($body, %asked) = ('');

    for my $entry (@{$streams ? $streams->[0][1] : []}) {
        my %f = @{$entry->[1]};
        my $conn = "$f{inst}.$f{conn}";
        $last = $entry->[0];
        $asked{$f{uid}} = 1;

        for (split /\n/, $f{logs}) {
            my ($log, $after, $n) = split / /;
            my $tip = $tip{$log} //= 0;
            $after = $log eq 'all' ? $tip : 0 if $after eq '-';
            my $to = $tip < $after + $n ? $tip : $after + $n;
            $body .= "begin $conn $log $f{rid} $after\n"
                . join('', map { message($conn, $log, $_) } $after + 1 .. $to)
                . "tip $conn $log $f{rid} $tip\n";
        }
    }

    deliver("$e$body") if $body;
    return \%asked;
}

# --- those who were here before -----------------------------------------------

my (@witness, %on);
wait_until(sub {
    my $ws = $edge->ws('witness', raw => 1);
    my %now = map { $_->{slot}, $_->{connections} }
        @{$edge->status->{workers}};
    my ($slot) = grep { ($now{$_} // 0) > ($on{$_} // 0) } keys %now;

    return if !defined $slot;
    push @witness, $ws if !$on{$slot};
    $ws->drop if $on{$slot};
    $on{$slot} = 1;
    return wait_until(sub { $edge->status->{connections} == @witness })
        && @witness == $workers;
});
is(scalar @witness, $workers, 'a client on each worker');
my @pids = sort $edge->workers;
$memory->watch(@pids);

# --- one connection's life ----------------------------------------------------

my $round = 0;

sub open_ws {
    my ($user, %o) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
    my $ws = eval { Push::WebSocket->new(
        url => "ws://127.0.0.1:$port/?user=$user", socket => $s,
        timeout => 1, %o) };
    return $ws && $ws->status == 101 ? $ws : undef;
}

# Everything that happens to a connection, as far as it comes.
sub live {
    my ($user) = @_;
    my $log = "user:$user";
    my $big = '"' . 'x' x 60000 . '"';
    my $text = '"' . 'a' x 30000 . '"';

    $tip{$log} = 1;

    my $hello = '{"type":"hello","device":"d1","epoch":"e1",'
        . '"cursors":{"user":0},"window":8}';
    my $ws = open_ws($user, early => Push::WebSocket::frame(1, $hello));
    my $raw = open_ws($user, raw => 1);
    my $slow = open_ws('slow', raw => 1);

    setsockopt($slow->{socket}, SOL_SOCKET, SO_RCVBUF, 4096) if $slow;
    wait_until(sub { answer()->{$user} }, 0.2) if $ws;

    # a message in pieces, around what makes its worker read them apart
    my $ping = Push::WebSocket::frame(1, '{"type":"ping","token":"t"}');
    my $control = Push::WebSocket::frame(9, 'cut');
    $ws->write_raw(substr($ping, 0, 12)) if $ws;
    $raw->write_raw(substr($control, 0, 8)) if $raw;

    $tip{$log} = 2;
    $tip{all}++;
    deliver($e . item('user', $user, 2, 2)
        . item('all', '', $tip{all}, $text) . item('all', '', 0, '0'));

    $ws->write_raw(substr($ping, 12)) if $ws;
    $raw->write_raw(substr($control, 8)) if $raw;
    $ws->ack('user', 1) if $ws;
    $ws->write_raw(Push::WebSocket::frame(1, '{"type":"send"', fin => 0))
        if $ws;

    $tip{$log} = 4;
    deliver($e . item('user', $user, 4, 4) . "resync $user\n"
        . "check $user\n"
        . join('', map { item('user', 'slow', 0, $big) } 1 .. 6));
    $ws->write_raw(Push::WebSocket::frame(0, ',"id":"c1","data":1}')) if $ws;
    $ws->send_frame(9, 'p') if $ws;
    $slow->send_frame(9, 'blocked') if $slow;
    answer();

    deliver($e . "resync all\npace 0\n" . item('user', $user, 0, '0')
        . join('', map { item('user', 'slow', 0, '1') } 1 .. 10)
        . "kick slow * 4002 2\nno\n");
    $_->drop for grep { defined } $slow;

    return ($ws, $raw);
}

# Reads what has come; dies if a log is not in order.
sub heard {
    my ($ws, $timeout) = @_;
    my $n = 0;

    while (my $m = $ws->next_message($timeout // 0)) {
        if ($m->{type} eq 'message' && $m->{seq}) {
            my $next = $ws->{at}{$m->{log}} // $m->{seq};
            $ws->{wrong} = "$m->{log} $m->{seq}, not $next"
                if $m->{seq} != $next;
            $ws->{at}{$m->{log}} = $m->{seq} + 1;
            $ws->ack($m->{log}, $m->{seq});
        }
        $n++;
    }

    return $n;
}

# One that was not closed gets everything that its user's log has.
sub whole {
    my ($ws, $user) = @_;

    answer();
    heard($ws, 0.01);
    return $ws->{eof} || defined $ws->{close_code}
        || ($ws->{at}{user} // 0) == $tip{"user:$user"} + 1;
}

# A question that was lost is asked again after some seconds: who waits for
# that is looked at once more in the end.
my %waits;

sub leave {
    my ($user, $ws) = @_;

    delete $waits{$user};
    deliver($e . "kick $user * 4002 0\n\n");
    $ws->wait_close(1) if $ws && !$ws->{eof};
    $ws->drop if $ws;
}

# What is not as it was before a life; undef if all is.
sub wrong {
    my ($ws, $raw, $user) = @_;
    deliver($_) for splice @again;
    $waits{$user} = $ws if $ws;
    $raw->drop if $raw;
    leave($user, $ws) if !$ws || wait_until(sub { whole($ws, $user) }, 0.1);

    return "out of order: $ws->{wrong}" if $ws && $ws->{wrong};
    return 'a worker died' if "@pids" ne join(' ', sort $edge->workers);

    whole($waits{$_}, $_) and leave($_, $waits{$_}) for keys %waits;

    my ($s, $here);
    wait_until(sub {
        $s = $edge->status;
        heard($_, 0) for values %waits;
        $here = @witness + (grep { !$_->{eof} } values %waits);
        $s && $s->{connections} == $here && $s->{queue_bytes} == 0
            && $s->{redis_up} == $workers;
    }) or return join(' ', 'left:', map { "$_=$s->{$_}" }
        qw(connections users queue_bytes redis_up));

    my $text = '"w' . ++$round . '"';
    my ($status, $answer) = deliver($e
        . item('user', 'witness', 0, $text));
    return "the others: $status " . ($answer // '')
        if ($answer // '') ne 'ok ' . @witness;

    for (@witness) {
        my $f;
        do { $f = $_->next_frame(2) } while $f && $f->{payload} ne $text;
        return 'the others got nothing' if !$f;
        $_->send_frame(9, 'alive');     # heard before the next fault
        $f = $_->next_frame(2);
        return 'the others are not heard' if !$f || $f->{opcode} != 10;
    }

    return;
}

# --- without a fault: what is made once is made, and what one life takes -------

my @live;
for (1 .. 5) {
    $memory->arm(0);
    my ($ws, $raw) = live("calm$_");
    ok($ws && $raw, 'a life without a fault') if $_ == 1;
    is(wrong($ws, $raw, "calm$_"), undef, '... leaves nothing') if $_ == 1;
    wrong($ws, $raw, "calm$_") if $_ > 1;
    push @live, $memory->live;
}

# --- and with --------------------------------------------------------------------

# All of them take two minutes; every third one, another third each time, is
# what a short test has time for.
my $step = $ENV{PUSH_TEST_STEP} // 3;
my $first = 1 + int(rand($step));
my %failed;

# Lets the n-th allocation fail, and `times` - 1 after it, for one n after the
# other; how many of them were reached.
sub each_n {
    my ($what, $times, $by) = @_;
    my $reached = 0;

    for (my $n = $first; ; $n += $by) {
        $memory->arm($n, $times);
        my ($ws, $raw) = live("$what$n");
        my ($calls, $hits) = $memory->disarm;
        my $wrong = wrong($ws, $raw, "$what$n");

        $failed{"$what$n"} = $wrong if $wrong;
        push @live, $memory->live;
        return $reached if !$hits || keys %failed > 9
            || ($wrong // '') eq 'a worker died';
        $reached++;
    }
}

my $one = each_n('one', 1, $step);
my $all = each_n('all', 10 ** 9, 5 * $step);

# --- those who had to ask again --------------------------------------------------

my $late = keys %waits;
for my $user (sort keys %waits) {
    my $ws = $waits{$user};
    wait_until(sub { whole($ws, $user) }) or $failed{$user} = 'waits for '
        . "$tip{qq(user:$user)}, has " . (($ws->{at}{user} // 1) - 1);
    $failed{$user} = "out of order: $ws->{wrong}" if $ws->{wrong};
    leave($user, $ws);
}

is(join("\n", map { "$_: $failed{$_}" } sort keys %failed), '',
    "$one allocations failed, one by one, $all times all behind one"
        . " ($late clients asked again)");
cmp_ok($one, '>', 80 / $step, '... which are many');

my @end = map { my ($ws, $raw) = live("end$_"); wrong($ws, $raw, "end$_");
                $memory->live } 1 .. 3;
cmp_ok($end[2], '<=', $live[4] + 2, 'nothing has leaked')
    or diag("blocks after each life from $first on: @live, @end");
is($edge->status->{users}, $workers, '... and no user is left');

my @full = grep { defined } map { open_ws("full$_") } 1 .. 61;
is(scalar @full, 60, '... and none is still counted by push_limit_addr');

$_->drop for @witness, @full;
$edge->stop('QUIT');
$edge->logs_ok_now(qr/failed \(12: Cannot allocate memory\)/);

done_testing();
