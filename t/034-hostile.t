#!/usr/bin/perl

# All at once: clients that do not read and are sent much, fragments without an
# end, floods of pings, dribblers, lengths that nobody can mean, half heads,
# silence.  Who behaves does not notice, memory is bounded and comes back, and
# each of the others hears its own code.
#
# PUSH_TEST_HOSTILE=2000 is the long form: so many that do not read (300).

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Handle;
use IO::Select;
use IPC::Open2;
use JSON::PP qw(decode_json);
use POSIX ();
use Push::Edge;
use Push::WebSocket;
use Time::HiRes qw(sleep time);

*wait_until = \&Push::Edge::wait_until;

my $root = $Push::Stack::root;
my $program = "$root/build/bench/hostile";
my $zero = $ENV{PUSH_TEST_HOSTILE} // 300;
my $long = $zero >= 1000;
my $sanitizers = ($ENV{PUSH_NGINX} // '') =~ /asan/;
my ($port) = (Push::Edge::free_ports(8))[6];
my $memory = $long ? 64 : 8;                    # MB

system('make', '-s', '-C', $root, 'build/bench/hostile') == 0
    or BAIL_OUT('bench/hostile.c does not compile');

my $edge = Push::Edge->new(redis => 0, main => 'worker_rlimit_nofile 8192;',
    http => "push_send_memory ${memory}m; push_ring_size 1m;
        push_drain_time 0;
        server { listen 127.0.0.1:$port sndbuf=32k backlog=4096;
            client_header_timeout 3s;
            location / { push_websocket; push_user \$arg_user; } }");

my ($pid) = $edge->workers;

sub rss {
    my ($field) = @_;
    my ($kb) = `cat /proc/$pid/status` =~ /^$field:\s+(\d+) kB/m;
    return $kb / 1024;
}

# Seconds of a processor that the worker has taken.
sub cpu {
    my @field = split / /, `cat /proc/$pid/stat`;
    return ($field[13] + $field[14]) / POSIX::sysconf(&POSIX::_SC_CLK_TCK);
}

# What is most while the others work.
my %most = (rss => 0, queue => 0);

sub look {
    my $rss = rss('VmRSS');
    my $s = $edge->status or return;
    $most{rss} = $rss if $rss > $most{rss};
    $most{queue} = $s->{queue_bytes} if $s->{queue_bytes} > $most{queue};
    return $s;
}

sub honest {
    my ($seconds) = @_;
    open(my $fh, '-|', $program, 'honest', $port, $edge->{deliver_port},
        $Push::Edge::secret, 200, 200, $seconds) or die "$program: $!";
    my $text = '';

    until (eof_of($fh, \$text)) {
        look();
    }

    close($fh);
    return eval { decode_json($text) } // {};
}

# Reads what there is within 0.2 s; true at the end.
sub eof_of {
    my ($fh, $text) = @_;
    return unless IO::Select->new($fh)->can_read(0.2);
    return !sysread($fh, $$text, 65536, length $$text);
}

# --- before -------------------------------------------------------------------

# p99 of some seconds each, in microseconds: a busy machine is seen in all
sub p99 {
    my ($times, $what) = @_;
    my @p99;

    for (1 .. $times) {
        my $r = honest(2);
        is($r->{received}, 400, "$what 200 users get everything")
            or diag(explain($r));
        push @p99, $r->{p99_us} // 1e9;
    }

    return sort { $a <=> $b } @p99;
}

my @calm = p99(2, 'without an attack');
wait_until(sub { ($edge->status->{connections} // 1) == 0 });
my $base = rss('VmRSS');
my $before = $edge->status;

# --- meanwhile ----------------------------------------------------------------

my ($out, $in);
my $attack = open2($out, $in, $program, 'attack', $port,
    $edge->{deliver_port}, $Push::Edge::secret, $zero);
is(scalar <$out>, "ready\n", "$zero that do not read, and others, are there");
my $begin = time();

my ($from, $cpu) = (time(), cpu());
my @attacked = p99($long ? 9 : 3, 'under attack');
diag(sprintf('the worker takes %.0f %% of a processor meanwhile',
    100 * (cpu() - $cpu) / (time() - $from)));

# each is closed 10 s after its socket was full, and gone 2 s later
my $s;
my $log = "$edge->{dir}/logs/error.log";
ok(wait_until(sub {
    look();
    `grep -c 'push close user=zero.*code=4008' $log` >= $zero
}, 30), 'all that do not read are closed');
cmp_ok(time() - $begin, '>', 10, '... but not before 10 s');

cmp_ok($most{queue}, '<=', $memory * 1048576 * 17 / 16,
    sprintf('push_send_memory bounds what waits (%.1f MB of %d MB)',
        $most{queue} / 1048576, $memory));
# per connection: 16 KB of a cut message at most, 4 KB of everything else
my $bound = $memory * 17 / 16 + ($zero * 1.5) * 20 / 1024 + 4;

SKIP: {
    skip('a sanitizer keeps what is freed', 1) if $sanitizers;
    cmp_ok($most{rss} - $base, '<=', $bound,
        sprintf('... and so the worker (%.1f MB more, at most %.1f)',
            $most{rss} - $base, $bound));
}

close($in);
my $closed = decode_json(join('', <$out>));
waitpid($attack, 0);
my $now = $edge->status;

diag(join('; ', map { my $k = $_;
    "$k " . join(' ', map { "$_:$closed->{$k}{$_}" }
        sort keys %{$closed->{$k}}) } sort keys %$closed));

# --- who heard what -------------------------------------------------------------

sub only {
    my ($kind, @codes) = @_;
    my %got = %{$closed->{$kind}};
    my $opened = delete $got{opened};
    my %code = map { $_ => 1 } @codes;

    ok(%got && !grep({ !$code{$_} } keys %got),
        "$kind: " . join(' or ', @codes)) or diag(explain($closed->{$kind}));
}

only('fragments', 1008);
only('pings', 1008);
only('lengths', 1009);
only('dribble', 1008);
only('head', 1006, 408);
only('silent', 1006);
only('zero', 1006);             # it does not hear it, but the log knows

my %reason;
open(my $fh, '<', $log) or die "$log: $!";
while (<$fh>) {
    $reason{$1}{$2}++ if /push close user=([a-z]+)\d+ .*code=(\d+)/;
}
close($fh);
delete $_->{1006} for values %reason;       # the end of the attack
is(join(' ', sort keys %{$reason{zero}}), '4008', 'zero: 4008 in the log');
is(join(' ', sort keys %{$reason{asker}}), '4008', 'asker: likewise');
is(join(' ', sort keys %{$reason{honest}}), '', 'none of the users is closed');

cmp_ok($now->{closed_slow}, '>=', $zero, 'counters know: closed_slow');
cmp_ok($now->{closed_policy}, '>', 10, '... closed_policy');
cmp_ok($now->{closed_too_big}, '>', 10, '... closed_too_big');
cmp_ok($now->{messages_dropped}, '>', 0, '... messages_dropped');

# --- afterwards -----------------------------------------------------------------

ok(wait_until(sub {
    $s = $edge->status;
    $s && $s->{connections} == 0 && $s->{queue_bytes} == 0
}), 'nobody and nothing is left');

# a tick later the heap is trimmed; the slab keeps what connections took
ok($sanitizers || wait_until(sub {
    rss('VmRSS') - $base <= 2 + $memory / 8 + $zero / 500
}, 15), 'memory is given back')
    or diag(sprintf('%.1f MB, before %.1f MB', rss('VmRSS'), $base));

push @calm, p99(1, 'afterwards');

# the middle one of those under attack, of few the best; 5 ms are noise
my $middle = $attacked[$long ? $#attacked / 2 : 0];
my $noise = (sort { $b <=> $a } @calm)[0];
my $limit = 2 * $noise > 5000 ? 2 * $noise : 5000;

SKIP: {
    # beside other work even the quiet second has such a p99
    skip("p99 is $noise us without an attack: too busy to compare", 1)
        if $noise > 8000 || $sanitizers;
    cmp_ok($middle, '<=', $limit, 'their p99 is at most doubled by all that')
        or diag("without it @calm us, under attack @attacked us");
}
diag("p99 without it @calm us, under attack @attacked us") if $long;

is("@{[$edge->workers]}", $pid, 'it was one worker all the time');
$edge->stop('QUIT');
$edge->logs_ok_now;

done_testing();
