#!/usr/bin/perl

# Another binary takes over while clients are connected: USR2 starts a second
# nginx on the same sockets, WINCH sends the first one's workers away, QUIT ends
# it; or HUP brings them back, and QUIT ends the second one.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Push::Edge;
use Time::HiRes qw(time sleep);

my $clients = 12;

# What sanitizers are told goes on to the second nginx too.
my $edge = Push::Edge->new(workers => 2, main => 'env ASAN_OPTIONS;',
    http => 'push_drain_time 2s;');

# --- helpers ----------------------------------------------------------------

sub children {
    my ($master) = @_;
    return split ' ', join ' ', `cat /proc/$master/task/$master/children`;
}

# A master's workers; the other master may be a child of it.
sub workers_of {
    my ($master) = @_;
    return grep { cmdline($_) =~ /worker process/ }
        children($master);
}

sub cmdline {
    my ($pid) = @_;
    open(my $fh, '<', "/proc/$pid/cmdline") or return '';
    return <$fh> // '';
}

# Several masters share the port: ask on new connections until the answer is of
# the one that is wanted.
sub instance_not {
    my ($other) = @_;
    my $found;

    Push::Edge::wait_until(sub {
        $edge->{http} = HTTP::Tiny->new(timeout => 10, keep_alive => 0);
        my $status = $edge->status or return;
        $found = $status->{instance};
        $found ne $other;
    });

    return $found;
}

sub lease { $edge->redis('HGET', "push:node:edge-1/$_[0]", 'draining') }

# Members of all bindings.
sub bindings {
    return map { $edge->redis('ZRANGE', $_, 0, -1) }
        grep { length } $edge->redis('KEYS', 'push:{*');
}

sub connect_all {
    my @ws = map { $edge->ws("u$_") } 1 .. $clients;
    my %by;

    for my $ws (@ws) {
        $ws->hello(device => 'd');
        my $welcome = $ws->wait_for('welcome') or next;
        my ($instance) = $welcome->{conn} =~ /^(\w+)\./;
        push @{$by{$instance}}, $ws;
    }

    return %by;
}

# A second nginx on the same sockets; its master and its instance.
sub usr2 {
    my ($old, $instance) = @_;

    kill('USR2', $old);
    Push::Edge::wait_until(sub {
        ($edge->pid // $old) != $old && workers_of($edge->pid) == 2
    }) or return;

    my $new = $edge->pid;
    my $its = instance_not($instance);
    Push::Edge::wait_until(sub { lease($its) eq '0' });

    return ($new, $its);
}

# All of them hear bye and 1012.
sub all_leave {
    my ($name, @ws) = @_;
    my @codes = map { $_->wait_close(15) } @ws;

    is_deeply([grep { ($_ // 0) != 1012 } @codes], [], "$name: 1012");
    is_deeply([grep { my $ws = $_;
                      !grep { $_->{type} eq 'bye' } @{$ws->seen} } @ws], [],
        '... and bye before it');
}

sub deliver_ok {
    my ($name) = @_;
    my ($status, @answers) = $edge->deliver(join '', "epoch e1\n",
        map { Push::Edge::item('user', "u$_", 0, '1') } 1 .. $clients);

    is("@answers", join(' ', ('ok 1') x $clients),
        "$name: deliver reaches all");
}

# --- forward ----------------------------------------------------------------

my $first = $edge->pid;
my $first_id = $edge->status->{instance};
my %by = connect_all();

is_deeply([keys %by], [$first_id], 'all are on the first nginx');
ok(Push::Edge::wait_until(sub { bindings() == $clients }), '... and bound');

my ($second, $second_id) = usr2($first, $first_id);
isnt($second, $first, 'USR2: a second nginx runs');
isnt($second_id, $first_id, '... as an instance of its own');
is(lease($first_id), '0', '... and none of them is draining');

# A body may reach either: `none` holds for the one that says it alone.
my %answers;
for (1 .. 40) {
    my $r = HTTP::Tiny->new(timeout => 10, keep_alive => 0)->request('POST',
        "http://127.0.0.1:$edge->{deliver_port}/deliver", {
            content => "epoch e1\n" . Push::Edge::item('user', 'u1', 0, '1'),
            headers => { 'Push-Secret' => $Push::Edge::secret } });
    $answers{"$r->{headers}{'push-instance'} $r->{content}"}++;
}
is_deeply([grep { $_ !~ /^(?:$first_id ok 1|$second_id none)\n\z/ }
           keys %answers], [], 'both deliver what they have, and say who '
    . 'they are');

kill('WINCH', $first);
ok(Push::Edge::wait_until(sub { lease($first_id) eq '1' }),
    "WINCH: the first one's lease says draining");
is(lease($second_id), '0', "... the second one's does not");

all_leave('clients of the first', map { @$_ } values %by);
%by = ();
ok(Push::Edge::wait_until(sub { !workers_of($first) }),
    '... its workers leave');
ok(!Push::Stack::gone($first), '... its master waits');
is_deeply([grep { m{/$first_id/} } bindings()], [],
    '... its bindings are gone');
is(lease($first_id), '', '... so is its lease');
is_deeply([grep { m{/$first_id$} } $edge->redis('SMEMBERS', 'push:nodes')], [],
    '... and its name');

%by = connect_all();
is_deeply([keys %by], [$second_id], 'all come back to the second');
deliver_ok('the second');
ok(Push::Edge::wait_until(sub { bindings() == $clients }), '... and are bound');

kill('QUIT', $first);
ok(Push::Edge::wait_until(sub { Push::Stack::gone($first) }),
    'QUIT: the first one has gone');
is($edge->pid, $second, '... and the pid file is the second one\'s');
deliver_ok('without the first');

# --- and back ---------------------------------------------------------------

my ($third, $third_id) = usr2($second, $second_id);
isnt($third, $second, 'USR2: a third one runs');
kill('WINCH', $second);
ok(Push::Edge::wait_until(sub { lease($second_id) eq '1' }),
    'WINCH: the second one is draining');
all_leave('clients of the second', map { @$_ } values %by);
ok(Push::Edge::wait_until(sub { !workers_of($second) }),
    '... its workers leave');

%by = connect_all();
is_deeply([keys %by], [$third_id], 'all are on the third');

kill('HUP', $second);
ok(Push::Edge::wait_until(sub { workers_of($second) == 2 }),
    'HUP: the second one has workers again');
ok(Push::Edge::wait_until(sub { lease($second_id) eq '0' }),
    '... and a lease that does not say draining');

kill('QUIT', $third);
ok(Push::Edge::wait_until(sub { lease($third_id) eq '1' }),
    'QUIT: the third one is draining');
all_leave('clients of the third', map { @$_ } values %by);
ok(Push::Edge::wait_until(sub { Push::Stack::gone($third) }),
    '... and has gone');
is_deeply([grep { m{/$third_id/} } bindings()], [], '... with its bindings');
ok(Push::Edge::wait_until(sub { ($edge->pid // 0) == $second }),
    '... and the pid file is the second one\'s again');

%by = connect_all();
is_deeply([keys %by], [$second_id], 'all are back on the second, which is the '
    . 'instance it was');
deliver_ok('back');

my $status = $edge->status;
is($status->{connections}, $clients, 'it counts them');
is($status->{handshakes_ok}, 2 * $clients, '... and those of before');
is(scalar @{$status->{workers}}, 2, '... in two workers');

# --- a second one that does not start ---------------------------------------

my $log = "$edge->{dir}/logs/error.log";

$edge->write_conf(workers => 2, http => 'push_drain_time never;');
kill('USR2', $second);
ok(Push::Edge::wait_until(sub { `cat $log` =~ /\[emerg\].*push_drain_time/ }),
    'USR2 with a fault in the configuration: the new one ends');
ok(Push::Edge::wait_until(sub { ($edge->pid // 0) == $second }),
    '... and the pid file is again of the one that runs');

# nginx ends there with what it has read: a leak, says a sanitizer
my ($rest) = `cat $log` =~ /(\[emerg\].*push_drain_time.*)/s;
my @own = map { qr/^\Q$_\E$/ } grep { /LeakSanitizer|\(s\) leaked/ }
    split /\n/, $rest;

deliver_ok('... which keeps its clients');
is($edge->status->{connections}, $clients, '... all of them');

ok($edge->stop('QUIT'), 'nginx ends');
is(scalar(bindings()), 0, '... and no binding is left');
$edge->logs_ok_now(qr/\[emerg\].*push_drain_time/, @own);

done_testing();
