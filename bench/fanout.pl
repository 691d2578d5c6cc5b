#!/usr/bin/perl

# A fan-out and unicast beside it, in one edge and its Redis; this script plays
# dispatcher and collector, fanload (make bench) the clients.
#
#     perl bench/fanout.pl [CLIENTS [BROADCASTS [RATE [WORKERS]]]]
#
# Figures "in the edge" are differences of push_status: microseconds from the
# moment a worker has a body to the moment the message is written, whichever
# worker that is, the time without a processor included.  Figures "at the
# client" begin when a message is due, so the wait for the body under way
# counts as well.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../t/lib";

use IPC::Open2;
use JSON::PP qw(decode_json);
use Push::Edge;
use Time::HiRes qw(sleep time);

$SIG{$_} = sub { die "ended by SIG$_[0]\n" } for qw(INT TERM HUP);

my ($clients, $broadcasts, $rate, $workers) = @ARGV;
$clients //= 100000;
$broadcasts //= 20;
$rate //= 1000;

my $idle_seconds = 10;
my $every = 2;                  # seconds between two broadcasts
my $bytes = 300;                # of a broadcast's data
my $sample = 1000;              # users that get unicast
my $files = 20000;              # descriptors of a worker, of which some are
my $spare = 2500;               # left: the kernel does not share out exactly

$workers //= int(($clients + $sample) / ($files - $spare)) + 1;

my $fanload = "$FindBin::Bin/../build/bench/fanload";

sub spawn {
    my $pid = open2(my $out, my $in, $fanload, @_);
    return { pid => $pid, in => $in, out => $out };
}

# Within 60 s: what comes at all comes sooner.
sub answer {
    my ($p) = @_;
    local $SIG{ALRM} = sub { die "fanload says nothing\n" };
    alarm(60);
    my $line = readline($p->{out}) // die "fanload has failed\n";
    alarm(0);
    return $line eq "ready\n" ? 1 : decode_json($line);
}

sub finish {
    my ($p) = @_;
    close($p->{in});
    my $line = readline($p->{out});
    waitpid($p->{pid}, 0);
    return $line && decode_json($line);
}

sub order {
    my ($p, $line) = @_;
    syswrite($p->{in}, "$line\n");
}

# --- what happened meanwhile: a period is what the edge counted, and what the
# kernel counted of its workers

my @names = qw(unicast_us fan_out_us fan_out_slice_us fan_out_turn_us);

# Seconds on a processor, seconds waiting for one, times on one.
sub processor {
    my ($edge) = @_;
    my @sum = (0, 0, 0);

    for my $pid ($edge->workers) {
        open(my $fh, '<', "/proc/$pid/schedstat") or next;
        my @n = split(' ', readline($fh));
        $sum[$_] += $n[$_] for 0 .. 2;
    }

    return { ran => $sum[0] / 1e9, waited => $sum[1] / 1e9,
             turns => $sum[2] };
}

sub begin {
    my ($edge) = @_;
    return { status => $edge->status, processor => processor($edge),
             time => time };
}

# Adds to the period $sum what happened since $from.
sub add {
    my ($sum, $edge, $from) = @_;
    my $to = begin($edge);

    for my $name (@names) {
        my ($old, $new) = map { $_->{status}{$name}{buckets} } $from, $to;
        $sum->{$name}{$_} += $new->{$_} - ($old->{$_} // 0) for keys %$new;
    }

    $sum->{$_} += $to->{processor}{$_} - $from->{processor}{$_}
        for qw(ran waited turns);
    $sum->{time} += $to->{time} - $from->{time};
}

# p50, p99 and the largest of a histogram: bounds of buckets, 25 % apart.
sub figures {
    my ($n) = @_;
    my @bounds = sort { $a <=> $b } grep { $n->{$_} } keys %$n;
    my ($count, $seen, %is) = (0, 0);

    $count += $n->{$_} for @bounds;

    for my $bound (@bounds) {
        $seen += $n->{$bound};
        for my $q (50, 99) {
            $is{$q} //= $bound if $seen >= $count * $q / 100;
        }
    }

    return { 50 => $is{50} // 0, 99 => $is{99} // 0,
             max => $bounds[-1] // 0, count => $count };
}

sub ms { sprintf('%.2f', $_[0] / 1000) }

sub line {
    my ($title, $s, $reach) = @_;
    printf "%-9s %-20s p50 %6s, p99 %6s, max %6s ms (%d)%s\n", @$title,
        (map { ms($_) } @$s{qw(50 99 max)}), $s->{count},
        $reach ? ", to reach: $reach" : '';
}

sub waits {
    my ($s) = @_;
    printf "%-9s %-20s %.2f processors in use, %.2f more waited for, "
        . "%.2f ms each time\n", '', 'workers', $s->{ran} / $s->{time},
        $s->{waited} / $s->{time},
        $s->{turns} ? 1000 * $s->{waited} / $s->{turns} : 0;
}

# --- the edge

my $edge = Push::Edge->new(workers => $workers, start => 0,
    main => "worker_rlimit_nofile $files;"
        . ($> ? '' : ' worker_priority -20;'),
    http => 'keepalive_requests 100000000; push_drain_time 0;',
    location => 'push_heartbeat_timeout 1h;');

{
    open(my $fh, '<', "$edge->{dir}/nginx.conf") or die "nginx.conf: $!\n";
    local $/;
    my $conf = <$fh>;

    $conf =~ s/worker_connections \d+/"worker_connections " . ($files - 500)/e;
    $conf =~ s/(listen 127.0.0.1:$edge->{port});/$1 backlog=4096 reuseport;/;
    $conf =~ s/error.log info/error.log notice/;
    $edge->write_file('nginx.conf', $conf);
}

$edge->start;

# A priority counts among the processes of a session alone, where the kernel
# shares the processors out by sessions: nginx has one of its own.
if (!$> && open(my $fh, '>', '/proc/' . $edge->pid . '/autogroup')) {
    syswrite($fh, '-20');
}

my ($to, $deliver) = map { "127.0.0.1:$_" } $edge->{port},
    $edge->{deliver_port};
my $t = time;

my $crowd = spawn('crowd', $to, $clients);
answer($crowd);
my $users = spawn('sample', $to, $deliver, $Push::Edge::secret, $sample,
    $rate);
answer($users);

printf "%d connections in %.0f s, %d workers\n", $clients + $sample,
    time - $t, $workers;

# The workers' questions after `all`, of which $seq is the last message.

my %answered;

sub follow {
    my ($seq) = @_;

    for my $rq (grep { $_->{uid} eq '-' && !$answered{"$_->{conn} $_->{rid}"}++ }
            $edge->stream('push:ev:resync'))
    {
        my $about = "$rq->{inst}.$rq->{conn} all $rq->{rid}";
        $edge->deliver("epoch bench\nbegin $about $seq\ntip $about $seq\n");
    }
}

# True when all workers have it; who had it already says so again.
sub broadcast {
    my ($seq, $data) = @_;
    my $body = "epoch bench\n" . Push::Edge::item('all', '', $seq, $data);

    return Push::Edge::wait_until(sub {
        my ($status, $answer) = $edge->deliver($body);
        return 1 if "$status $answer" =~ /^200 ok /;
        follow($seq - 1);
        return 0;
    }, 30);
}

broadcast(1, '"b1:"') or die "the workers do not follow the log\n";

# --- unicast alone

my ($IDLE, $FAN_OUT, $BETWEEN) = 0 .. 2;

sleep(2);
my ($idle, $busy) = ({}, {});
my $from = begin($edge);
order($users, $IDLE);
sleep($idle_seconds);
order($users, $BETWEEN);
add($idle, $edge, $from);

# --- beside a fan-out: from the broadcast until its last write

my $fill = 'x' x ($bytes - 12);
my $next = time;
my $late = 0;

for my $seq (2 .. $broadcasts + 1) {
    follow($seq - 1);
    $from = begin($edge);
    my $walks = $from->{status}{fan_out_us}{count} + $workers;

    order($users, $FAN_OUT);
    broadcast($seq, "\"b$seq:$fill\"") or die "a broadcast is not taken\n";
    Push::Edge::wait_until(sub {
        $edge->status->{fan_out_us}{count} >= $walks
    }, 30) or die "not all was written within 30 s\n";
    order($users, $BETWEEN);
    add($busy, $edge, $from);

    $next += $every;
    $next > time ? sleep($next - time) : $late++;
}

# --- what the clients have

sleep(2);
order($users, '?');
my $sample_sum = answer($users);
my $sum = finish($crowd);
finish($users);

my @periods = @{$sample_sum->{periods}};
my $received = 0;
$received += $_->{count} for @periods;

line([ 'idle:', 'unicast in the edge' ], figures($idle->{unicast_us}));
line([ '', '... at the client' ], $periods[$IDLE]);
waits($idle);
line([ 'fan-out:', 'unicast in the edge' ], figures($busy->{unicast_us}),
    'p99 < 20');
line([ '', '... at the client' ], $periods[$FAN_OUT]);
waits($busy);
line([ '', 'a slice' ], figures($busy->{fan_out_slice_us}), '5');
line([ '', 'a turn of the loop' ], figures($busy->{fan_out_turn_us}));
line([ '', 'all of a worker' ], figures($busy->{fan_out_us}));

printf "%-9s %d broadcasts of %d bytes, each %d s, %d of them late; %d/s "
    . "written\n", '', $broadcasts, $bytes, $every, $late,
    ($clients + $sample) * $broadcasts / $busy->{time};
printf "%-9s %d broadcasts, %d to %d each, %d faults; unicast: %d of %d "
    . "read\n", 'clients:', @$sum{qw(messages least most)},
    $sum->{faults} + $sample_sum->{faults}, $received, $sample_sum->{sent};

exit($sum->{faults} || $sample_sum->{faults} || $sum->{least} != $broadcasts + 1
    || $received < $sample_sum->{sent} - $rate);
