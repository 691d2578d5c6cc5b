#!/usr/bin/perl

# What Redis hears of an edge, and what happens while it does not listen.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Push::Edge;
use Test::More;
use Time::HiRes qw(time);

*item = \&Push::Edge::item;
*wait_until = \&Push::Edge::wait_until;

my $edge = Push::Edge->new(
    location => 'push_ack_interval 100ms;');
my $e = "epoch e1\n";

sub up { wait_until(sub { $edge->status->{redis_up} }) }
sub asked { my ($user) = @_;
    return grep { $_->{uid} eq $user } $edge->stream('push:ev:resync') }
sub events { my ($user) = @_;
    return grep { $_->{uid} eq $user } $edge->stream('push:ev:conn') }
sub members {
    my @members = grep { length } $edge->redis('ZRANGE', "push:{$_[0]}", 0, -1);
    return @members;
}

# The first of a list, once there is one.
sub first_of {
    my ($list) = @_;
    my @found;
    wait_until(sub { @found = $list->() });
    return $found[0];
}

# A client with its request answered: nothing is missing.
sub client {
    my ($user, %hello) = @_;
    my $ws = $edge->ws($user);

    $ws->hello(cursors => { user => 0, all => 0 }, %hello);
    my $conn = $ws->wait_for('welcome')->{conn};
    settle($user, $ws->{conn} = $conn);
    return $ws;
}

sub settle {
    my ($user, $conn) = @_;

    wait_until(sub {
        my ($last) = reverse grep { "$_->{inst}.$_->{conn}" eq $conn }
            asked($user);
        return unless $last;

        my @lines = map { /^(\S+) / } split /\n/, $last->{logs};
        $edge->deliver($e . join('', map {
            "begin $conn $_ $last->{rid} 0\ntip $conn $_ $last->{rid} 0\n"
        } @lines));
    });
}

ok(up(), 'connected to Redis');

# --- lease

my ($key) = grep { /^push:node:/ } $edge->redis('KEYS', '*');
my $instance = $edge->status->{instance};
is($key, "push:node:edge-1/$instance", 'the lease names node and instance');

my %lease = $edge->redis('HGETALL', $key);
is_deeply([ @lease{qw(deliver connections draining workers)} ],
    [ "http://127.0.0.1:$edge->{deliver_port}/deliver", 0, 0, 1 ],
    'it says where to deliver');
cmp_ok($lease{capacity}, '==', 4096, 'and how many connections fit');
my $ttl = $edge->redis('PTTL', $key);
ok($ttl > 9000 && $ttl <= 15000, 'it lives 15 s');
is(scalar($edge->redis('SMEMBERS', 'push:nodes')), "edge-1/$instance",
    'the node is in the set');

# --- binding

my $t = time() * 1000;
my $ws = $edge->ws('u1');
$ws->hello(device => 'd1', epoch => 'e0', cursors => { user => 17 },
    window => 8);
my $conn = $ws->wait_for('welcome')->{conn};
ok(wait_until(sub { asked('u1') }), 'a hello asks');

my %m = $edge->redis('ZRANGE', 'push:{u1}', 0, -1, 'WITHSCORES');
my ($member, $score) = %m;
my ($node, $inst, $id, $device, $since) = split m{/}, $member;
is("$node $inst.$id $device", "edge-1 $conn d1", 'the binding names all');
ok(abs($since - $t) < 2000, 'and since when');
ok(abs($score - $t - 90000) < 2000, 'it expires after 90 s');
$ttl = $edge->redis('PTTL', 'push:{u1}');
ok($ttl > 80000 && $ttl <= 90000, 'its key too');

my ($rq) = asked('u1');
my $due = delete $rq->{due_ms};
my $bytes = delete $rq->{bytes};
ok($bytes > 65000 && $bytes <= 65536, 'the request says what the queue takes');
ok($due - $t >= 1000 && $due - $t < 5000, 'the request says until when');
is_deeply($rq, {
    v => 1, node => 'edge-1', inst => $instance, conn => $id, uid => 'u1',
    dev => 'd1', epoch => 'e0', rid => $rq->{rid}, first => 1,
    groups => '', logs => "user:u1 17 8\nall - 8",
}, 'and what the client has');
cmp_ok($rq->{rid}, '>', 0, 'under a number');

my ($worker) = asked('-');
is_deeply([ @$worker{qw(first dev groups logs)}, substr($worker->{conn}, 6) ],
    [ 0, '-', '', 'all - 256', '0000000000' ],
    'the worker asks for the shared log') or diag(explain($worker));

my ($open) = events('u1');
is_deeply([ @$open{qw(event code dev conn inst since_ms)} ],
    [ 'open', 0, 'd1', $id, $instance, $since ], 'event open');

my $again = first_of(sub { my @asked = asked('u1'); @asked[1 .. $#asked] });
isnt($again->{rid}, $rq->{rid}, 'no answer: it asks again');
is($again->{first}, 1, 'still as for the first time');
like(join(' ', grep { /^cmdstat_zadd:/ } $edge->redis('INFO', 'commandstats')),
    qr/^cmdstat_zadd:calls=1,/, 'bound once, by one command');

settle('u1', $conn);

# --- acks

$edge->deliver($e . item('user', 'u1', 1, '"a"'));
my $u2 = client('u2', device => 'dev');
$edge->deliver($e . item('user', 'u2', 1, '"a"'));
$u2->ack('user', $u2->wait_for('message')->{seq});
ok(wait_until(sub { $edge->stream('push:ev:ack') }), 'an ack is told');
is_deeply([ map { "$_->{node} $_->{epoch} $_->{acks}" }
        $edge->stream('push:ev:ack') ],
    [ 'edge-1 e1 u2 dev user:u2 1' ], 'with user, device, log and seq');

# --- close

$u2->send_close(1000);
ok(wait_until(sub { (events('u2'))[1] }), 'a close is told');
is_deeply([ map { "$_->{event} $_->{code}" } events('u2') ],
    [ 'open 0', 'close 1000' ], 'with its code');
is_deeply([ members('u2') ], [], 'and the binding has gone');

# --- a device connects again

my $new = client('u1', device => 'd1');
is($ws->wait_close, 4003, 'the older connection of a device is replaced');
ok(wait_until(sub { 1 == members('u1') }), 'one binding stays');
my $none = client('u1');
is(scalar(members('u1')), 2, 'no device replaces nobody');

$edge->redis('ZADD', 'push:{u3}', ($t + 60000),
    "edge-9/00000000000000aa/0000010000000001/d1/" . int($t - 5000));
$edge->redis('ZADD', 'push:{u3}', ($t - 60000),
    "edge-9/00000000000000bb/0000010000000001/d1/" . int($t - 90000));
my $u3 = client('u3', device => 'd1');
my $replace = first_of(sub { grep { $_->{event} eq 'replace' }
    events('u3') });
is_deeply([ @$replace{qw(node inst conn dev code)} ],
    [ 'edge-9', '00000000000000aa', '0000010000000001', 'd1', 4003 ],
    'one at another node is told to the collector');
is(scalar(members('u3')), 1, 'its binding goes, an expired one too');

# --- Redis forgets everything

$edge->redis('FLUSHALL');
ok(wait_until(sub { 1 == members('u3') }, 15),
    'FLUSHALL: all bindings are made again');
ok(wait_until(sub { asked('u3') }, 15), 'and all are asked for');
is(scalar(events('u3')), 0, 'nothing has opened');
settle('u3', $u3->{conn});

# --- Redis dies

my $errors = $edge->status->{redis_errors};
$edge->stop_redis('KILL');
ok(wait_until(sub { !$edge->status->{redis_up} }), 'Redis is killed');

my $u4 = $edge->ws('u4');
$u4->hello(device => 'd4', cursors => { user => 0, all => 0 });
ok($u4->wait_for('welcome'), 'a hello is welcome all the same');
$u3->send_text('{"type":"ping"}');
ok($u3->wait_for('pong'), 'others stay');
my ($status, @answers) = $edge->deliver($e . item('user', 'u3', 1, '"live"'));
is("$status @answers", '200 ok 1', 'messages are delivered');

$edge->start_redis;
ok(up(), 'it is back: connected again');
ok(wait_until(sub { 1 == members('u3') && 1 == members('u4') }, 15),
    'another start of it: all bindings are made again');
my $first = first_of(sub { asked('u4') });
is($first->{first}, 1, 'who came meanwhile asks now');
is((events('u4'))[0]{event}, 'open', 'its open is told now');
cmp_ok($edge->status->{redis_errors}, '>', $errors, 'faults are counted');

# --- Redis stands still

$errors = $edge->status->{redis_errors};
$edge->redis('CLIENT', 'PAUSE', 60000, 'ALL');
my $u5 = $edge->ws('u5');
$u5->hello(device => 'd5');
ok($u5->wait_for('welcome'), 'Redis stands still: a hello is welcome');
$t = time();
ok(wait_until(sub { $edge->status->{redis_errors} > $errors }),
    'no reply: the connection is given up');
cmp_ok(time() - $t, '<', 4, 'after 2 s');
$edge->stop_redis('KILL');
$edge->start_redis;
ok(up(), 'connected again');
ok(wait_until(sub { 1 == members('u5') }, 15), 'what was lost is told again');

# --- the worker leaves

my $redis_keys = sub { join ' ', sort grep { !/^push:ev:/ }
    $edge->redis('KEYS', '*') };
$edge->stop('TERM');
is($redis_keys->(), '', 'TERM: bindings, lease and node have gone');
is_deeply([ map { $_->{event} } events('u5') ], [ 'open', 'close' ],
    'the closes are told');
$edge->logs_ok_now;
undef $edge;

# --- all workers leave

$edge = Push::Edge->new(workers => 2, http => 'push_drain_time 3s;');
wait_until(sub { $edge->status->{redis_up} == 2 });
$key = "push:node:edge-1/" . $edge->status->{instance};
my @stay = map { $edge->ws("s$_", raw => 1) } 1 .. 20;
my %old = map { $_ => 1 } $edge->workers;
$edge->signal('HUP');
ok(wait_until(sub { 2 == grep { !$old{$_} } $edge->workers }), 'reload');
ok(wait_until(sub { !grep { $old{$_} } $edge->workers }, 15),
    'the old workers leave');
ok(wait_until(sub { $edge->redis('HGET', $key, 'workers') == 2 }, 10),
    'the lease stays');
is($edge->redis('HGET', $key, 'draining'), 0, 'and says nothing of draining');
@stay = map { $edge->ws("s$_", raw => 1) } 1 .. 20;
my $master = $edge->pid;
$edge->signal('QUIT');
ok(wait_until(sub { ($edge->redis('HGET', $key, 'draining') || 0) == 1 }),
    'QUIT: the lease says draining');
ok(wait_until(sub { !-e "/proc/$master" }, 15), 'all leave');
is($redis_keys->(), '', 'the last one takes lease and node along');
$edge->logs_ok_now;
undef $edge;

# --- a server that refuses us, and one that is none

$edge = Push::Edge->new(start => 0);
$edge->redis('CONFIG', 'SET', 'requirepass', 'right');
$edge->write_conf();
system('sed', '-i', "s,redis://,redis://:wr0ngpass\@,",
    "$edge->{dir}/nginx.conf");
$edge->start;
ok(wait_until(sub { $edge->status->{redis_errors} >= 2 }),
    'a wrong password is tried again');
is($edge->status->{redis_up}, 0, 'and gives no connection');
my $log = `cat $edge->{dir}/logs/error.log`;
like($log, qr/answers WRONGPASS/, 'the log says why');
unlike($log, qr/wr0ngpass|right/, 'without the password');
is(scalar(() = $log =~ /\[error\].*answers WRONGPASS/g), 1,
    'once for an outage');
$edge->stop;

system('sed', '-i', "s,wr0ngpass,right,", "$edge->{dir}/nginx.conf");
$edge->start;
ok(up(), 'the right password is taken');
$edge->stop;

$edge->redis('-a', 'right', '--no-auth-warning', 'ACL', 'SETUSER', 'edge',
    'on', '>p@ss', '~*', '+@all', '-info', '-client');
system('sed', '-i', "s,redis://:right\@127.0.0.1:$edge->{redis_port},"
    . "redis://edge:p%40ss\@127.0.0.1:$edge->{redis_port}/3,",
    "$edge->{dir}/nginx.conf");
$edge->start;
ok(up(), 'a user with a database, and without the right to ask INFO');
ok(wait_until(sub { grep { /^push:node:/ }
    $edge->redis('-a', 'right', '--no-auth-warning', '-n', '3', 'KEYS', '*')
}), 'writes into that database');
$edge->stop;
$edge->stop_redis;

my $sock = "$edge->{dir}/redis.sock";
$edge->write_conf();
system('sed', '-i', "s,push_redis .*,push_redis unix:$sock;,",
    "$edge->{dir}/nginx.conf");
$edge->start;
ok(wait_until(sub { $edge->status->{redis_errors} >= 2 }),
    'a unix socket that is not there');
my $pid = fork() // die "fork: $!";
exec('redis-server', '--port', 0, '--unixsocket', $sock, '--save', '', '--dir',
    $edge->{dir}, '--logfile', "$edge->{dir}/logs/redis.log") if $pid == 0;
$edge->{redis_pid} = $pid;
ok(up(), 'and then is');
$edge->stop;
$edge->stop_redis;
$edge->write_conf();

my $fake = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1',
    LocalPort => $edge->{redis_port}, ReuseAddr => 1) or die "listen: $!";
$edge->start;

for my $nonsense (
    ["+OK\r\n" x 40, 'more replies than questions'],
    ["HTTP/1.1 400 Bad Request\r\n\r\n", 'another protocol'],
    ["*1000000000\r\n:1\r\n", 'an array without end'],
    ["*-1\r\n\$-1\r\n:0\r\n*0\r\n*2\r\n*0\r\n:1\r\n", 'wrong types'],
    ["", 'nothing, and the end'],
) {
    my ($bytes, $what) = @$nonsense;
    $fake->blocking(1);
    my $c = $fake->accept;
    print $c $bytes;
    $c->flush;
    close($c);
    my $n = $edge->status->{redis_errors};
    ok(wait_until(sub { $edge->status->{redis_errors} > $n
                        || $edge->status->{redis_errors} }), $what);
}

ok($edge->ws('u1', raw => 1)->status == 101, 'the worker lives');
$edge->logs_ok_now;

done_testing();
