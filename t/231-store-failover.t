#!/usr/bin/perl

# Two collectors on a replica set of three, whose primary steps down, dies, is
# alone, rolls back, and does not notice that it is none any more: what was
# answered 201 is there once, in order, at the number that was said; what was
# not is told, and can be repeated; nobody is reset by an old view.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use POSIX ();
use Push::Collector qw(wait_until);
use Push::Mongo;
use Test::More;
use Time::HiRes qw(time);

my $set = eval { Push::Mongo->new(members => 3) };
plan(skip_all => $@ =~ s/\n//gr) unless $set;

my @t = map { Push::Collector->new(conf => { node => "collector-$_",
    store => $set->url('push') }) } 1, 2;

is($t[0]->epoch, $t[1]->epoch, 'both collectors have the epoch of the store');

# As a publisher: the same key until it is stored, or known to be.
sub insist {
    my ($t, $to, $key, $data) = @_;
    my $until = time() + 40;

    while (time() < $until) {
        my $r = $t->publish($to, $data // $key, key => $key);
        return $r if $r->{http} == 201 || $r->{http} == 200;
        return $r if $r->{http} != 503 && $r->{http} != 599;
        select(undef, undef, undef, 0.05);
    }

    return { http => 'never' };
}

# A process that publishes N messages through a collector, keys NAME-1 ..., and
# writes its answers.
sub publisher {
    my ($t, $name, $n) = @_;

    my $pid = open(my $out, '-|') // die "fork: $!";

    if ($pid == 0) {
        $| = 1;

        for my $i (1 .. $n) {
            my $to = $i % 3 ? { user => 'u' . $i % 3 } : { all => JSON::PP::true };
            my $r = insist($t, $to, "$name-$i");
            print "$name-$i $r->{http} ", $r->{id} // '-', "\n";
        }

        POSIX::_exit(0);
    }

    return $out;
}

# Where each key is, when the publishers have ended; undef: one has given up.
sub answers {
    my %id;

    for my $out (@_) {
        while (<$out>) {
            my ($key, $http, $id) = split;

            if ($http ne '201' && $http ne '200') {
                diag("$key: $http");
                return undef;
            }

            $id{$key} = $id;
        }

        close($out);
    }

    return \%id;
}

# Everything in a log, as a collector reads it: [seq, data]...
sub log_of {
    my ($t, $user) = @_;
    my ($after, @all) = (0);

    while (1) {
        my $page = $t->json("/v1/users/$user/messages?after=$after&limit=500");
        return undef unless ref $page;
        push @all, map { [$_->{seq}, $_->{data}] } @{ $page->{messages} };
        return \@all if $page->{last} >= $page->{tip};
        $after = $page->{last};
    }
}

# Each user's log is dense, has each key once, where it was said to be.
sub check_logs {
    my ($name, $id) = @_;

    for my $user ('u1', 'u2') {
        my %there;
        my $log = wait_until(sub { log_of($t[0], $user) });

        is_deeply([map { $_->[0] } @$log], [1 .. @$log],
            "$name: the log of $user is dense");
        is_deeply(log_of($t[1], $user), $log, "$name: both read the same");
        $there{$_->[1]}++ for @$log;
        is_deeply([grep { $there{$_} > 1 } keys %there], [],
            "$name: nothing is there twice");

        my @wrong = grep {
            my ($seq) = $id->{$_} =~ /^user:\Q$user\E\@(\d+)$/;
            $seq && ($log->[$seq - 1][1] // '') ne $_;
        } keys %$id;
        is_deeply(\@wrong, [], "$name: all is where it was said to be");
    }
}

my %all;

sub under_load {
    my ($name, $n, $nemesis) = @_;
    my @out = map { publisher($t[$_], $name =~ s/\W+/-/gr . "-$_", $n) } 0, 1;

    $nemesis->();
    my $id = answers(@out);
    ok($id, "$name: every message was stored in the end") or return;
    is(scalar(keys %$id), 2 * $n, "$name: and answered");
    %all = (%all, %$id);
    check_logs($name, \%all);
}

under_load('step-down', 60, sub {
    my $k = $set->primary;
    wait_until(sub { (log_of($t[0], 'u1') // [])->[4] });
    $set->command($k, replSetStepDown => 3, force => JSON::PP::true);
    isnt($set->primary, $k, 'another member is the primary');
});

under_load('kill -9', 60, sub {
    my $k = $set->primary;
    my $had = @{ log_of($t[0], 'u1') };
    wait_until(sub { @{ log_of($t[0], 'u1') // [] } > $had + 3 });
    $set->signal($k, 'KILL');
    isnt($set->primary, $k, 'another member is the primary');
    $set->start;
});

# No majority, and nobody has what the primary still takes.

my $k = $set->primary;
my @others = grep { $_ != $k } 1 .. 3;
$set->signal($_, 'KILL') for @others;

my $began = time();
my $r = $t[0]->publish({ user => 'u1' }, 'alone', key => 'alone');
is($r->{http}, 503, 'without a majority a publish is refused');
cmp_ok(time() - $began, '<', 12, 'within the time-outs');
like($r->{detail}, qr/majority|primary|unknown/, 'with the reason');
ok(wait_until(sub { $t[0]->get('/readyz')->{status} == 503 }),
    'it is not ready');
like($t[0]->get('/readyz')->{content}, qr/majority|primary/, 'and says why');
ok(wait_until(sub { $t[1]->get('/readyz')->{status} == 503 }, 20),
    'nor is the other one, which nobody asked');

# It dies, the others make a primary that never heard of the message, and it
# has to roll back when it returns.

$set->signal($k, 'KILL');
$set->start_member($_) for @others;
isnt($set->primary, $k, 'the others have a primary');

$r = insist($t[1], { user => 'u1' }, 'instead');
is($r->{http}, 201, 'it takes messages');
my $seq = $r->{seq};
$set->start_member($k);

ok(wait_until(sub { $t[$_]->get('/readyz')->{status} == 200 }, 20),
    'ready again by itself') for 0, 1;

$r = insist($t[0], { user => 'u1' }, 'alone');
is($r->{http}, 201, 'the one without an answer was rolled back, and is stored');
is($r->{seq}, $seq + 1, 'behind the one that took its number');

my $log = log_of($t[0], 'u1');
is($log->[$seq - 1][1], 'instead', 'which is there');
is_deeply([map { $_->[0] } @$log], [1 .. @$log], 'no hole');
is_deeply(log_of($t[1], 'u1'), $log, 'both read the same');

# what was handed over has been committed: no number had another message

for my $i (0, 1) {
    my %handed;

    for my $body ($t[$i]->mock->bodies) {
        while ($body =~ /\G([^\n]*)\n/gc) {
            my ($to, $seq, $len) = $1 =~ /^(user \S+|all) (\d+) \d+ (\d+) \d+$/
                or next;
            my $payload = substr($body, pos($body), $len);
            pos($body) += $len + 1;
            $handed{"$to $seq"}{ decode_json($payload)->{data} } = 1;
        }
    }

    ok(scalar(keys %handed), "collector $i: messages were handed over");
    is_deeply([grep { keys %{ $handed{$_} } > 1 } keys %handed], [],
        '... and no number with two of them');
    is_deeply([grep { $handed{"user u1 $_->[0]"}
                      && !$handed{"user u1 $_->[0]"}{$_->[1]} } @$log], [],
        '... nor with another one than the log has');
}

# A primary that the others have replaced, and that hears nothing of it: it
# still answers majority reads, from before.  What reached it while it was
# stopped is refused, and when it goes on the others are stopped.

my $primary = $set->primary;
my ($old, $new, $third) = ((grep { $_ != $primary } 1 .. 3), $primary);
$set->signal($old, 'KILL');
push @{ $set->{started}{$old} }, '--setParameter', 'enableTestCommands=1';
$set->start_member($old);

sub is_primary {
    my ($k) = @_;
    return wait_until(sub {
        my $hello = $set->command($k, hello => 1);
        return 1 if $hello && $hello->{isWritablePrimary};
        $set->command($k, replSetStepUp => 1);
        return;
    }, 30);
}

ok(is_primary($old), 'one is the primary');

my $settings = $set->command($old, replSetGetConfig => 1)->{config};
$settings->{version}++;
$settings->{settings}{electionTimeoutMillis} = 60000;
$settings->{settings}{catchUpTimeoutMillis} = 500;
ok($set->command($old, replSetReconfig => $settings),
    'in a set that takes its time');

my $source = '127.0.0.1:' . ($set->{port} + $new - 1);
ok(wait_until(sub {
    my $status = $set->command($third, replSetGetStatus => 1) or return;
    return 1 if $status->{syncSourceHost} eq $source;
    $set->command($third, replSetSyncFrom => $source);
    return;
}, 30), 'the others keep in step without it');

my $lonely = Push::Collector->new(conf => { node => 'collector-3',
    store => 'mongodb://127.0.0.1:' . ($set->{port} + $old - 1)
             . '/push?replicaSet=push&directConnection=true' });

sub ask {
    my ($t, $after) = @_;
    return $t->resync(uid => 'u3', first => 1, epoch => $t->epoch,
        logs => "user:u3 $after 64");
}

sub answered {
    my ($t, $rid) = @_;
    return [map { s/^(\w+) \S+ \S+ (?:\d+ )?(\d+).*/$1 $2/r }
            @{ $t->answer($rid, 0, 10) // [] }];
}

is(insist($t[0], { user => 'u3' }, 'first')->{seq}, 1, 'stored on it');
is(@{ log_of($lonely, 'u3') // [] }, 1, 'and read there');
like(answered($lonely, ask($lonely, 2))->[0], qr/^reset /,
    'a cursor above the tip is reset, as the others confirm the tip');

ok($set->command($old, configureFailPoint => 'failCommand',
    mode => 'alwaysOn', data => { failInternalCommands => JSON::PP::true,
        closeConnection => JSON::PP::true, failCommands => [qw(
            replSetHeartbeat replSetRequestVotes replSetUpdatePosition)] }),
    'it hears nothing');
$set->signal($old, 'STOP');
ok(is_primary($new), 'another one is the primary');
is(insist($t[0], { user => 'u3' }, 'second')->{seq}, 2, 'and takes messages');
$set->signal($_, 'STOP') for $new, $third;
$set->signal($old, 'CONT');

my $resets = () = grep { /^reset /m } $lonely->mock->bodies;
is_deeply(wait_until(sub { log_of($lonely, 'u3') }), [[1, 'first']],
    'the old one reads on, from before');
my $rid = ask($lonely, 2);
ok(wait_until(sub { $lonely->log =~ /event=resync_forgotten user=u3 /
    }, 20), 'its collector says nothing of a tip that nobody confirms');
like($lonely->log, qr/event=resync_forgotten .* reason=.*majority/,
    '... because of that');
is($lonely->answer($rid, 0, 0.1), undef, '... no answer');
is((() = grep { /^reset /m } $lonely->mock->bodies), $resets, '... no reset');
ok($set->command($old, hello => 1)->{isWritablePrimary},
    'the old one was a primary all the time');
$lonely->kill;

$set->signal($_, 'CONT') for $new, $third;
$set->command($old, configureFailPoint => 'failCommand', mode => 'off');
ok(wait_until(sub { log_of($t[0], 'u3') }, 20), 'the others are back');
is_deeply(answered($t[0], ask($t[0], 2)), ['begin 2', 'tip 2'],
    'with them there is nothing to reset');

$_->end('collector', 'TERM') for @t;
undef $set;

done_testing();
