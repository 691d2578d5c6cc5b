#!/usr/bin/perl

# Workers leave while something is wrong: Redis is gone or hangs, a worker that
# drains is killed, handshakes are under way, or the next reload comes before
# the last has ended.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Push::Edge;
use Time::HiRes qw(time sleep);

my $clients = 10;

sub clients {
    my ($edge, $n) = @_;
    my @ws = map { $edge->ws("u$_") } 1 .. ($n // $clients);

    $_->hello(device => 'd') for @ws;
    $_->wait_for('welcome') for @ws;

    return @ws;
}

sub bindings {
    my ($edge) = @_;
    return map { $edge->redis('ZRANGE', $_, 0, -1) }
        grep { length } $edge->redis('KEYS', 'push:{*');
}

sub only_new {
    my ($edge, $n, @old) = @_;
    my %old = map { $_ => 1 } @old;
    my @now = $edge->workers;

    return @now == $n && !grep { $old{$_} } @now;
}

# --- Redis is gone, or hangs ------------------------------------------------

for my $signal (qw(KILL STOP)) {
    for my $way (qw(QUIT HUP)) {
        my $name = "Redis has got $signal, $way";
        my $edge = Push::Edge->new(http => 'push_drain_time 500ms;');
        my @ws = clients($edge);
        my @old = $edge->workers;
        my $begin = time();

        Push::Edge::wait_until(sub { bindings($edge) == $clients });
        $signal eq 'KILL' ? $edge->stop_redis
                          : kill('STOP', $edge->{redis_pid});
        $edge->signal($way);
        is_deeply([grep { ($_->wait_close(10) // 0) != 1012 } @ws], [],
            "$name: clients leave with 1012");
        ok(Push::Edge::wait_until(sub {
            $way eq 'QUIT' ? !$edge->pid : only_new($edge, 1, @old)
        }, 15), '... and the old worker too');
        cmp_ok(time() - $begin, '<', 8, '... soon');

        if ($way eq 'HUP') {
            is($edge->ws('new')->status, 101, '... and new clients come in');
        }

        kill('CONT', $edge->{redis_pid}) if $signal eq 'STOP';

        if ($signal eq 'STOP' && $way eq 'HUP') {
            my $ws = $edge->ws('after');
            $ws->hello(device => 'd');
            ok(Push::Edge::wait_until(sub {
                grep { length } $edge->redis('KEYS', 'push:{after}')
            }, 20), '... and are bound when Redis goes on');
        }

        undef @ws;
        $edge->logs_ok_now;
    }
}

# --- kill -9 of a worker that drains ----------------------------------------

{
    my $edge = Push::Edge->new(http => 'push_drain_time 20s;', workers => 2);
    my @ws = clients($edge, 30);
    my @old = $edge->workers;
    my $handshakes = $edge->status->{handshakes_ok};

    $edge->signal('HUP');
    Push::Edge::wait_until(sub {
        my $s = $edge->status;
        grep { $_->{state} eq 'drain' } @{$s->{workers} || []};
    });
    kill('KILL', @old);
    ok(Push::Edge::wait_until(sub { only_new($edge, 2, @old) }, 15),
        'kill -9 in the middle of a drain: the new workers are alone');
    $_->wait_close for @ws;

    my $status = $edge->status;
    is($status->{connections}, 0, '... nobody is counted');
    is($status->{users}, 0, '... nor any user');
    is($status->{handshakes_ok}, $handshakes, '... but those who came are');
    is(scalar @{$status->{workers}}, 2, '... two slots are taken');

    @ws = clients($edge);
    my (undef, @answers) = $edge->deliver(join '', "epoch e1\n",
        map { Push::Edge::item('user', "u$_", 0, '1') } 1 .. $clients);
    is("@answers", join(' ', ('ok 1') x $clients), '... and all are served');

    # The lease is of the instance, and lives.
    is($edge->redis('HGET', "push:node:edge-1/$status->{instance}",
        'draining'), '0', '... by an edge that does not drain');
    $edge->logs_ok_now(qr/exited on signal 9/);
}

# --- reload after reload, with handshakes under way -------------------------

{
    my $edge = Push::Edge->new(workers => 2, http => 'push_drain_time 200ms;',
        location => 'push_hello_timeout 200ms;');
    my (@half, @ws);

    for my $round (1 .. 8) {
        # connected and silent; a request cut short; a 101 and no hello
        push @half, IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $edge->{port});
        push @half, IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $edge->{port});
        $half[-1]->print("GET /ws?user=h HTTP/1.1\r\nHost: x\r\nUpgr");
        push @ws, $edge->ws("s$round"), $edge->ws("r$round", raw => 1);
        $edge->signal('HUP');
        Push::Edge::wait_until(sub { $edge->ws('probe')->status == 101 });
    }

    is_deeply([grep { ($_->wait_close(15) // 0) != 1012 } @ws], [],
        'eight reloads: clients without hello leave with 1012');
    undef @half;
    ok(Push::Edge::wait_until(sub {
        my @w = $edge->workers;
        my $s = $edge->status;
        @w == 2 && $s && $s->{connections} == 0 && @{$s->{workers}} == 2;
    }, 70), '... and so do all old workers');
    ok($edge->stop('QUIT'), '... and nginx');
    $edge->logs_ok_now;
}

done_testing();
