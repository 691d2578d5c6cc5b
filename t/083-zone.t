#!/usr/bin/perl

# A reload that changes how many workers there are, or what is counted: more
# than 16 workers, or a limit, need another zone, which is another instance. Old
# workers leave the zone they had in order; a reload that is refused changes
# nothing.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Push::Edge;

my $clients = 10;
my $drain = 'push_drain_time 500ms;';
my $edge = Push::Edge->new(workers => 2, http => $drain);

sub lease { $edge->redis('HGET', "push:node:edge-1/$_[0]", 'draining') }

sub bindings {
    return map { $edge->redis('ZRANGE', $_, 0, -1) }
        grep { length } $edge->redis('KEYS', 'push:{*');
}

sub fds { my @fds = glob('/proc/' . $edge->pid . '/fd/*'); scalar @fds }

sub connect_all {
    my ($name) = @_;
    my @ws = map { $edge->ws("u$_") } 1 .. $clients;

    $_->hello(device => 'd') for @ws;
    $_->wait_for('welcome') for @ws;

    my (undef, @answers) = $edge->deliver(join '', "epoch e1\n",
        map { Push::Edge::item('user', "u$_", 0, '1') } 1 .. $clients);
    is("@answers", join(' ', ('ok 1') x $clients), "$name: all are served");
    ok(Push::Edge::wait_until(sub { bindings() == $clients }), '... and bound');
    is($edge->status->{connections}, $clients, '... and counted');

    return @ws;
}

# A reload to another configuration: clients leave with 1012, the old workers
# with all that Redis knew of them.
sub reload {
    my ($name, $workers, $ws, %o) = @_;
    my %old = map { $_ => 1 } $edge->workers;
    my $instance = $edge->status->{instance};

    $edge->write_conf(workers => $workers, %o);
    $edge->signal('HUP');
    is_deeply([grep { ($_->wait_close(10) // 0) != 1012 } @$ws], [],
        "$name: clients leave with 1012");
    ok(Push::Edge::wait_until(sub {
        my @now = $edge->workers;
        @now == $workers && !grep { $old{$_} } @now;
    }, 20), '... and the old workers leave');

    my $now;
    ok(Push::Edge::wait_until(sub {
        $now = $edge->status;
        $now && @{$now->{workers}} == $workers;
    }), "... and $workers have slots");

    return ($instance, $now->{instance});
}

sub same_instance {
    my ($name, @args) = @_;
    my ($old, $now) = reload($name, @args);
    is($now, $old, '... of the same instance');
}

sub other_instance {
    my ($name, @args) = @_;
    my ($old, $now) = reload($name, @args);

    isnt($now, $old, '... of another instance');
    ok(Push::Edge::wait_until(sub { lease($old) eq '' }),
        "... the old one's lease is gone");
    is_deeply([grep { m{/$old$} } $edge->redis('SMEMBERS', 'push:nodes')], [],
        '... and its name');
    is_deeply([grep { m{/$old/} } bindings()], [], '... and its bindings');
    ok(Push::Edge::wait_until(sub { lease($now) eq '0' }),
        '... and the new one is there');
}

my @ws = connect_all('two workers');
my $fds = fds();

# --- as many slots ----------------------------------------------------------

same_instance('four workers', 4, \@ws, http => $drain);
@ws = connect_all('four workers');
same_instance('one worker', 1, \@ws, http => $drain);
@ws = connect_all('one worker');

# --- more slots, and counters of users --------------------------------------

other_instance('twenty workers', 20, \@ws, http => $drain);
@ws = connect_all('twenty workers');
other_instance('a limit', 2, \@ws, http => "$drain push_limit_user 2;");
@ws = connect_all('a limit');

my @more = ($edge->ws('u1'), $edge->ws('u1'));
is($more[0]->status, 101, '... of two connections');
is($more[1]->status, 429, '... and no third one');
push @ws, $more[0];

other_instance('no limit', 2, \@ws, http => $drain);
@ws = connect_all('no limit');
is(fds(), $fds, "the master's descriptors are as many as at first");

# --- refused ----------------------------------------------------------------

my @old = $edge->workers;
my $log = "$edge->{dir}/logs/error.log";

$edge->write_conf(workers => 2, http => 'push_drain_time never;');
$edge->signal('HUP');
ok(Push::Edge::wait_until(sub { `cat $log` =~ /\[emerg\].*push_drain_time/ }),
    'a configuration with a fault is refused');
is_deeply([$edge->workers], \@old, '... the workers stay');
my (undef, @answers) = $edge->deliver("epoch e1\n"
    . Push::Edge::item('user', 'u1', 0, '1'));
is("@answers", 'ok 1', '... and so do their clients');
is($edge->status->{connections}, $clients, '... all of them');

# --- another zone while the last one is still left --------------------------

$edge->write_conf(workers => 20, http => $drain);
$edge->signal('HUP');
Push::Edge::wait_until(sub { $edge->workers == 22 });
$edge->write_conf(workers => 2, http => $drain);
$edge->signal('HUP');
is_deeply([grep { ($_->wait_close(10) // 0) != 1012 } @ws], [],
    'two other zones at once: clients leave with 1012');
ok(Push::Edge::wait_until(sub { $edge->workers == 2 }, 20),
    '... and all old workers leave');
@ws = connect_all('the third zone');

ok($edge->stop('QUIT'), 'nginx ends');
is(scalar(bindings()), 0, '... and no binding is left');
is($edge->redis('SMEMBERS', 'push:nodes'), '', '... and no instance');
$edge->logs_ok_now(qr/\[emerg\].*push_drain_time/);

done_testing();
