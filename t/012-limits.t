#!/usr/bin/perl

# Limits: connections of a user and of an address on the whole node, of a
# worker; whoever is one too many hears it before the 101.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use IO::Socket::UNIX;
use Push::Edge;
use Push::WebSocket;

*wait_until = \&Push::Edge::wait_until;

my ($second, $third) = (Push::Edge::free_ports(10))[6, 7];

# A connection to a path of the second server.
sub at {
    my ($path, $user, %o) = @_;
    my $args = $o{limit} ? "&limit=$o{limit}" : '';
    my $port = $o{port} // $second;

    return Push::WebSocket->new(
        url => "ws://127.0.0.1:$port$path?user=$user$args",
        headers => [map { "X-Real-IP: $_" } grep { defined } $o{from}],
        socket => $o{socket});
}

# Connects until one is refused, at most n times: those that are connected.
sub fill {
    my ($n, $connect) = @_;
    my @ws;

    for (1 .. $n) {
        my $ws = $connect->();
        last if $ws->status != 101;
        push @ws, $ws;
    }

    return @ws;
}

sub edge {
    my (%o) = @_;
    my $v6 = $o{v6} ? "listen [::1]:$third;" : '';

    return Push::Edge->new(redis => 0, workers => $o{workers} // 1,
        main => $o{main} // '',
        http => ($o{http} // '') . "
        server { listen 127.0.0.1:$second; $v6
            listen unix:$o{unix};
            set_real_ip_from 127.0.0.0/8; set_real_ip_from unix:;
            real_ip_header X-Real-IP;
            location /three { push_websocket; push_user \$arg_user;
                              push_limit_user 3; }
            location /given { push_websocket; push_user \$arg_user;
                              push_limit_user \$arg_limit; }
            location /two { push_websocket; push_user \$arg_user;
                            push_limit_addr 2; }
            location /both { push_websocket; push_user \$arg_user;
                             push_limit_user 5; push_limit_addr 5; }
            location /free { push_websocket; push_user \$arg_user; } }");
}

my $unix = File::Temp::tempdir('push-limit-XXXXXX', TMPDIR => 1, CLEANUP => 1)
    . '/socket';

# --- users, over several workers --------------------------------------------

my $have_v6 = do {
    require IO::Socket::IP;
    IO::Socket::IP->new(LocalHost => '::1', Listen => 1) ? 1 : 0;
};

my $edge = edge(workers => 4, unix => $unix, v6 => $have_v6,
    http => 'push_drain_time 1s;');
ok(wait_until(sub { my $s = $edge->status; $s && @{$s->{workers}} == 4 }),
    'four workers');

my @ws = fill(10, sub { at('/three', 'u1') });
is(scalar @ws, 3, 'a user has as many connections as push_limit_user says');

my $no = at('/three', 'u1');
is($no->status, 429, 'one more is 429');
like($no->body, qr/"status":429,"detail":"this user has/, '... says why');
is($no->header('Content-Type'), 'application/problem+json', '... as json');
is($no->header('Retry-After'), 10, '... and when to come again');
is($edge->status->{handshakes_limited}, 2, '... and is counted');
is(at('/three', 'u2')->status, 101, 'another user has its own');
is(at('/free', 'u1')->status, 101, 'a location without the directive is free');

$ws[0]->send_close;
is($ws[0]->wait_close, 1000, 'one leaves');
$ws[0] = at('/three', 'u1');
is($ws[0]->status, 101, '... and at once another may come');
$ws[1]->drop;
ok(wait_until(sub {
    $ws[1] = at('/three', 'u1'); $ws[1]->status == 101
}), '... and after one was lost');
is(at('/three', 'u1')->status, 429, '... but only one');

# handshakes at once: never more than the limit, and not less

my $all = 0;
for my $round (1 .. 20) {
    my @sockets = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $second) } 1 .. 12;
    my @open = map { Push::WebSocket->new(url => "ws://127.0.0.1:$second/",
        socket => $_, no_handshake => 1) } @sockets;
    $_->write_raw("GET /three?user=race$round HTTP/1.1\r\nHost: x\r\n"
        . "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        . "Sec-WebSocket-Version: 13\r\n"
        . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n") for @open;
    $_->read_head for @open;
    $all += grep { $_->status == 101 } @open;
}
is($all, 60, 'of 12 handshakes at once 3 are taken, 20 times');

# by variable

my @given = fill(10, sub { at('/given', 'v1', limit => 2) });
is(scalar @given, 2, 'the limit may be a variable');
push @given, fill(3, sub { at('/given', 'v1') });
is(scalar @given, 5, '... where it is empty there is none');
push @given, fill(2, sub { at('/given', 'v1', limit => 0) });
is(scalar @given, 7, '... and where it is 0');
is(at('/given', 'v1', limit => 7)->status, 429, '... but they are counted');
push @given, fill(2, sub { at('/given', 'v1', limit => 8) });
is(scalar @given, 8, '... by the same user with another limit');
is(at('/given', 'v2', limit => 99999999)->status, 101, 'a very high limit');
is(at('/given', 'v2', limit => 'many')->status, 500, 'no number: 500');
is(at('/given', 'v2', limit => '-1')->status, 500, 'a negative one: 500');

# --- addresses ----------------------------------------------------------------

my $n = 0;
my @addr = fill(10, sub { at('/two', 'a' . $n++) });
is(scalar @addr, 2, 'an address has as many as push_limit_addr says');
like(at('/two', 'a')->body, qr/this address has/, 'one more is 429');

push @addr, fill(10, sub { at('/two', 'a', from => '192.0.2.1') });
is(scalar @addr, 4, 'the address is what realip found');
push @addr, fill(10, sub { at('/two', 'a', from => '192.0.2.2') });
is(scalar @addr, 6, '... another has its own');
pop(@addr)->drop;
ok(wait_until(sub {
    $addr[5] = at('/two', 'a', from => '192.0.2.2');
    $addr[5]->status == 101
}), '... and gets it back when it goes, though realip has undone its work');
is(at('/two', 'a', from => '192.0.2.2')->status, 429, '... but no more');

push @addr, fill(10, sub { at('/two', 'a', from => '2001:db8:1:2::' . ++$n) });
is(scalar @addr, 8, 'of IPv6 the first 64 bits count');
push @addr, fill(10, sub { at('/two', 'a', from => '2001:db8:1:3::1') });
is(scalar @addr, 10, '... another /64 has its own');
is(at('/two', 'a', from => '::ffff:192.0.2.1')->status, 429,
    'IPv4 in IPv6 is IPv4');

SKIP: {
    skip('no ::1 here', 2) unless $have_v6;
    my $six = sub {
        at('/two', 'six', port => $third, socket => IO::Socket::IP->new(
            PeerHost => '::1', PeerPort => $third) || die "::1: $!");
    };
    my @six = fill(5, $six);
    is(scalar @six, 2, 'IPv6 for real');
    is($six->()->status, 429, '... and one too many');
}

my $local = sub { at('/two', 'local', @_, socket => IO::Socket::UNIX->new(
    Peer => $unix) || die "$unix: $!") };
my @local = fill(5, $local);
is(scalar @local, 5, 'a unix socket has no address and no limit');
push @local, fill(5, sub { $local->(from => '192.0.2.7') });
is(scalar @local, 7, '... unless realip finds one');

# one limit refuses: the other has not been counted

my @both = fill(5, sub { at('/both', 'b1', from => '192.0.2.30') });
is(scalar @both, 5, 'both limits in one location');
at('/both', 'b2', from => '192.0.2.30') for 1 .. 6;
push @both, fill(6, sub { at('/both', 'b2', from => '192.0.2.31') });
is(scalar @both, 10, 'refused for one limit, not counted for the other');

# --- reload -------------------------------------------------------------------

my @old = $edge->workers;
my $four = at('/three', 'r1');
my @stay = fill(5, sub { at('/three', 'r1') });
is(@stay + 1, 3, 'three before a reload');
$edge->signal('HUP');
wait_until(sub { my %now = map { $_ => 1 } $edge->workers;
                 (grep { !$now{$_} } @old) || keys %now == 8 });
is($four->wait_close(8), 1012, 'reload: old workers send them away');
$_->wait_close(8) for @stay;
my @again;
ok(wait_until(sub {
    push @again, fill(5, sub { at('/three', 'r1') }); @again == 3
}), 'reload: as many come again');
is(at('/three', 'r1')->status, 429, '... and no more');

undef @ws; undef @addr; undef @given; undef @local; undef @both;
ok(wait_until(sub {
    my %now = map { $_ => 1 } $edge->workers; !grep { $now{$_} } @old
}, 20), 'reload: the old workers have gone');
is(at('/three', 'r1')->status, 429, '... which changes nothing for the new');

# --- kill -9 ------------------------------------------------------------------

my %before = map { $_ => 1 } $edge->workers;
kill('KILL', keys %before);
is($_->wait_close, 1006, 'kill -9: the connection is lost') for @again;
ok(wait_until(sub {
    my @now = $edge->workers; @now == 4 && !grep { $before{$_} } @now
}), 'kill -9: four new workers');
@again = ();
ok(wait_until(sub {
    push @again, fill(5, sub { at('/three', 'r1') }); @again == 3
}), 'the counts of killed workers are gone');
is(at('/three', 'r1')->status, 429, '... and the new ones count');
@again = ();

ok($edge->stop('QUIT'), 'nginx leaves');
$edge->logs_ok_now(qr/exited on signal 9/);

# an old worker that is killed has no successor in its slot

$edge = edge(workers => 1, unix => $unix, http => 'push_drain_time 1h;');
@stay = fill(5, sub { at('/three', 'k1') });
is(scalar @stay, 3, 'three of an old worker');
my ($leaving) = $edge->workers;
$edge->signal('HUP');
wait_until(sub { grep { $_ != $leaving } $edge->workers });
wait_until(sub {
    my $s = $edge->status;
    $s && grep { $_->{pid} == $leaving && $_->{state} eq 'drain' }
        @{$s->{workers}}
});
my @new = fill(5, sub { at('/three', 'k1') });
cmp_ok(scalar @new, '<', 3, '... count while it leaves');
kill('KILL', $leaving);
ok(wait_until(sub {
    push @new, fill(5, sub { at('/three', 'k1') }); @new == 3
}), '... and not when it was killed');
is(at('/three', 'k1')->status, 429, '... but those of the new one do');
@stay = @new = ();
$edge->stop;
$edge->logs_ok_now(qr/exited on signal 9/);

# without a master

$edge = edge(unix => $unix, main => 'master_process off; daemon on;');
wait_until(sub { $edge->status });
@ws = fill(5, sub { at('/three', 's1') });
is(scalar @ws, 3, 'without a master: as many');
undef @ws;
$edge->stop;
$edge->logs_ok_now;

# --- a worker's connections ---------------------------------------------------

$edge = edge(unix => $unix, http => 'push_limit_connections 5;');
@ws = fill(10, sub { at('/free', 'c' . $n++) });
is(scalar @ws, 5, 'a worker has as many as push_limit_connections says');
$no = at('/free', 'c');
is($no->status, 503, 'one more is 503');
is($no->header('Retry-After'), 5, '... with Retry-After');
like($no->body, qr/as many connections as it takes/, '... says why');
is(at('/three', '%20')->status, 503, '... before anybody asks who it is');
my $status = $edge->status;
is($status->{handshakes_full}, 3, '... and is counted');
is($status->{handshakes_failed} + $status->{handshakes_limited}, 0,
    '... as nothing else');
$ws[0]->drop;
ok(wait_until(sub {
    $ws[0] = at('/free', 'c'); $ws[0]->status == 101
}), 'when one has gone another may come');

undef @ws;
ok(wait_until(sub { $edge->status->{connections} == 0 }), 'all have gone');

# at once

my @half = map {
    my $ws = Push::WebSocket->new(url => "ws://127.0.0.1:$second/",
        no_handshake => 1);
    $ws->write_raw("GET /free?user=h HTTP/1.1\r\nHost: x\r\n");
    $ws
} 1 .. 8;
$_->write_raw("Upgrade: websocket\r\nConnection: Upgrade\r\n"
    . "Sec-WebSocket-Version: 13\r\n"
    . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n") for @half;
$_->read_head for @half;
is(join(' ', sort map { $_->status } @half),
    '101 101 101 101 101 503 503 503', 'of eight at once five are taken');

@half = ();
ok($edge->stop('QUIT'), 'nginx leaves');
$edge->logs_ok_now;

# --- a limit that comes and goes with a reload -------------------------------

$edge = Push::Edge->new(redis => 0, http => 'push_drain_time 0;');

for my $round ('push_limit_user 1;', '') {
    my ($was) = $edge->workers;

    $edge->write_conf(http => 'push_drain_time 0;', location => $round);
    $edge->signal('HUP');
    ok(wait_until(sub {
        my @now = $edge->workers; @now == 1 && $now[0] != $was
    }), 'reload: ' . ($round || 'no limit'));
    @ws = fill(3, sub { $edge->ws('u1') });
    is(scalar @ws, $round ? 1 : 3, '... counts');
}

@ws = ();
ok($edge->stop('QUIT'), 'nginx leaves');
$edge->logs_ok_now;

done_testing();
