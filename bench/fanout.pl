#!/usr/bin/perl

# A fan-out and unicast beside it, in one edge and its Redis; this script plays
# dispatcher and collector, fanload (make bench) the clients.
#
#     perl bench/fanout.pl [CLIENTS [WORKERS [BROADCASTS [RATE]]]]
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

my ($clients, $workers, $broadcasts, $rate) = @ARGV;
$clients //= 100000;
$workers //= 6;
$broadcasts //= 20;
$rate //= 1000;

my $idle_seconds = 10;
my $every = 1;                  # seconds between two broadcasts
my $bytes = 300;                # of a broadcast's data
my $sample = 1000;              # users that get unicast
my $files = 20000;              # descriptors of a worker

my $fanload = "$FindBin::Bin/../build/bench/fanload";

sub spawn {
    my $pid = open2(my $out, my $in, $fanload, @_);
    return { pid => $pid, in => $in, out => $out };
}

sub answer {
    my ($p) = @_;
    my $line = readline($p->{out}) // die "fanload has failed\n";
    return $line eq "ready\n" ? 1 : decode_json($line);
}

sub ask {
    my ($p) = @_;
    syswrite($p->{in}, "?\n");
    return answer($p);
}

sub finish {
    my ($p) = @_;
    close($p->{in});
    my $line = readline($p->{out});
    waitpid($p->{pid}, 0);
    return $line && decode_json($line);
}

# What a histogram of the status has more than it had before.
sub since {
    my ($before, $after, $name) = @_;
    my ($old, $new) = map { $_->{$name}{buckets} } $before, $after;
    my %n = map { $_ => $new->{$_} - ($old->{$_} // 0) } keys %$new;
    my @bounds = sort { $a <=> $b } grep { $n{$_} } keys %n;
    my ($count, $seen, %is) = (0, 0);

    $count += $_ for values %n;

    for my $bound (@bounds) {
        $seen += $n{$bound};
        for my $q (50, 99) {
            $is{$q} //= $bound if $seen >= $count * $q / 100;
        }
    }

    # a bound may lie above what was ever seen
    my $max = $after->{$name}{max};
    $is{max} = @bounds && $bounds[-1] < $max ? $bounds[-1] : $max;
    $_ = ($_ // 0) < $max ? $_ // 0 : $max for @is{50, 99};

    return { %is, count => $count };
}

sub ms { sprintf('%.2f', $_[0] / 1000) }

sub line {
    my ($title, $s) = @_;
    printf "%-34s p50 %s ms, p99 %s ms, max %s ms%s\n", $title,
        (map { ms($_) } @$s{qw(50 99 max)}), " ($s->{count})";
}

sub client {
    my ($s) = @_;
    return { 50 => $s->{p50}, 99 => $s->{p99}, max => $s->{max},
             count => $s->{received} };
}

# --- the edge

my $edge = Push::Edge->new(workers => $workers, start => 0,
    main => "worker_rlimit_nofile $files;",
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

# The workers' own questions after `all`: it begins now.

my %follows;
Push::Edge::wait_until(sub {
    my %asked = map { $_->{conn} => $_ } grep { $_->{uid} eq '-' }
        $edge->stream('push:ev:resync');

    for my $rq (grep { !$follows{$_->{conn}} } values %asked) {
        my $about = "$rq->{inst}.$rq->{conn} all $rq->{rid}";
        my @answers = $edge->deliver("epoch bench\n"
            . "begin $about 0\ntip $about 0\n");
        $follows{$rq->{conn}} = 1 if "@answers" eq '200 ok 1 ok 1';
    }

    return keys %follows == $workers;
}, 15) or die "the workers do not follow the log\n";

# --- unicast alone

sleep(2);
ask($users);
my $before = $edge->status;
sleep($idle_seconds);
my $idle = ask($users);
my $after = $edge->status;

line('idle: unicast in the edge', since($before, $after, 'unicast_us'));
line('      at the client', client($idle));

# --- beside a fan-out

my $fill = 'x' x ($bytes - 12);
my $next = time;
my $late = 0;
$before = $edge->status;

for my $seq (1 .. $broadcasts) {
    $edge->deliver("epoch bench\n"
        . Push::Edge::item('all', '', $seq, "\"b$seq:$fill\""));
    $next += $every;
    $next > time ? sleep($next - time) : $late++;
}

my $busy = ask($users);

my $wanted = ($clients + $sample) * $broadcasts;
Push::Edge::wait_until(sub {
    $after = $edge->status;
    return $after->{messages_out} - $before->{messages_out} >= $wanted;
}, 60) or print "not all was written within 60 s\n";
$after = $edge->status;

my $walk = since($before, $after, 'fan_out_us');

line('fan-out: unicast in the edge', since($before, $after, 'unicast_us'));
line('         at the client', client($busy));
line('         a slice', since($before, $after, 'fan_out_slice_us'));
line('         a turn of the loop', since($before, $after, 'fan_out_turn_us'));
line('         all of a worker', $walk);

printf "%s messages/s in a walk, %d broadcasts of %d bytes, %d late\n",
    $walk->{50} ? int($clients / ($walk->{50} / 1e6)) : '-', $broadcasts,
    $bytes, $late;

# --- what the clients have

sleep(2);
my $sum = finish($crowd);
finish($users);

printf "%d clients: %d broadcasts, %d to %d each, %d faults; "
    . "unicast: %d of %d read\n", @$sum{qw(clients messages least most faults)},
    $busy->{received} + $idle->{received}, $busy->{sent};
