package Push::Crash;

# A stack of `make FAULTS=1` in which one process at a time dies at a fault
# point, is started again, and nothing may be missing.
#
#     my $crash = Push::Crash->new(store => 'mongo', workers => 2);
#                                      dies with 'no mongod' if there is none
#     my $died = $crash->run('collector', 'store-acked', 3);
#
# A run: the process is started so that it dies in the n-th passage of the
# point, clients connect, messages are published, each again and again until
# its outcome is known; whoever died is started again at once, without a fault.
# Each other n the log falls silent then, so that a missing end is not repaired
# by the next message; an edge dies with the connect of its clients, too.  Then
# it is looked at what clients, the API and a device that reads from the
# beginning have.  What is wrong is a failed test.  Redis, mongod, auth and who
# did not die live on.

use warnings;
use strict;

use Fcntl qw(O_CREAT O_EXCL O_WRONLY);
use JSON::PP;
use POSIX ();
use Push::Mongo;
use Push::Reader;
use Push::Stack;
use Test::More;
use Time::HiRes qw(sleep time);

use constant { BEFORE => 6, BATCH => 40, AFTER => 8, LAGS_AT => 10 };

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

sub build { $ENV{PUSH_BUILD} // "$Push::Stack::root/build/faults" }

sub new {
    my ($class, %o) = @_;
    my $store = delete $o{store};
    my $self = bless { all => [], store => $store }, $class;

    $self->{set} = Push::Mongo->new if $store eq 'mongo';
    local $ENV{PUSH_BUILD} = $self->{build} = build();
    $self->{stack} = Push::Stack->new(%o);
    $self->{dir} = $self->{stack}->dir;

    $self->{stack}->configure('main', 'env PUSH_FP;');
    $self->{stack}->configure('http', 'push_ack_interval 100ms;');
    $self->on_mongo if $self->{set};
    $self->restart($_) for qw(collector nginx-1);

    return $self;
}

sub on_mongo {
    my ($self) = @_;
    my $file = "$self->{dir}/etc/collector.conf";
    my $url = $self->{set}->url('crash');

    open(my $in, '<', $file) or die "$file: $!";
    my $text = join('', <$in>);
    $text =~ s/^store\s*=.*/store = "$url"/m or die "$file: no store\n";
    open(my $out, '>', $file) or die "$file: $!";
    print $out $text;
    close($out) or die "$file: $!";
}

# --- processes --------------------------------------------------------------

# Starts it; spec is its PUSH_FP.
sub start {
    my ($self, $name, $spec) = @_;
    my ($stack, $dir) = @$self{qw(stack dir)};

    local $ENV{PUSH_FP} = $spec // '';

    if ($name =~ /^nginx/) {
        my $nginx = -x '/usr/sbin/nginx' ? '/usr/sbin/nginx' : 'nginx';

        unlink("$dir/pids/$name.pid");
        system($nginx, '-e', "$dir/logs/$name.error.log", '-p',
            "$dir/tmp/$name/", '-c', "$dir/etc/$name.conf") == 0
            or die "$name does not start\n";
        Push::Stack::wait_until(sub { $stack->pid($name)
            && $stack->workers($name) && $stack->status(1) })
            or die "$name is not there\n";
        return;
    }

    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        POSIX::setsid();
        open(STDIN, '<', '/dev/null');
        open(STDOUT, '>>', "$dir/logs/$name.log");
        open(STDERR, '>&', \*STDOUT);
        { exec("$self->{build}/bin/push-$name", '-c', "$dir/etc/$name.conf") }
        POSIX::_exit(127);
    }

    $self->{children}{$name} = $pid;
    open(my $fh, '>', "$dir/pids/$name.pid") or die "pid: $!";
    print $fh "$pid\n";
    close($fh);
}

# A good end, then the start.  What ./run started is no child of ours.
sub restart {
    my ($self, $name, $spec) = @_;
    my $pid = $self->{stack}->pid($name) or die "no process $name\n";
    my @workers = $name =~ /^nginx/ ? $self->{stack}->workers($name) : ();

    kill('TERM', $pid);
    Push::Stack::wait_until(sub {
        !grep { !Push::Stack::gone($_) } $pid, @workers
    }, 20) or die "$name does not end\n";
    $self->reap($name);
    $self->start($name, $spec);
}

sub reap {
    my ($self, $name) = @_;
    my $pid = delete $self->{children}{$name} or return;
    waitpid($pid, 0);
}

# Starts who has died.  nginx does it by itself for a worker.
sub heal {
    my ($self) = @_;
    my $run = $self->{run};

    return if $run->{died} || $run->{disarmed} || !-e $run->{mark};

    $run->{died} = 1;
    return if $run->{name} =~ /^nginx/;

    my $pid = $self->{stack}->pid($run->{name});
    Push::Stack::wait_until(sub { Push::Stack::gone($pid) })
        or die "$run->{name} lives on after its fault\n";
    $self->reap($run->{name});
    $self->start($run->{name});
}

# Nobody dies any more in this run.
sub disarm {
    my ($self) = @_;

    $self->heal;
    return if $self->{run}{died};

    $self->{run}{disarmed} = sysopen(my $fh, $self->{run}{mark},
        O_CREAT | O_EXCL | O_WRONLY);
    $self->heal;
}

# --- a run ------------------------------------------------------------------

sub wait_until {
    my ($self, $test, $timeout) = @_;
    return Push::Stack::wait_until(sub { $self->heal; $test->() },
        $timeout // 30);
}

# Each until it is stored; what the business believes is in {want}, with the
# number that it was told.
sub publish {
    my ($self, @messages) = @_;
    my $run = $self->{run};
    my $user = $run->{user};
    my @open = map { { to => { user => $user }, data => $_, key => "k-$_" } }
        @messages;

    for my $m (@open) {
        return if $run->{died} && $run->{silent};

        my $r = $self->wait_until(sub {
            my $r = $self->{stack}->publish($m);
            return $r->{status} =~ /^20[01]$/ ? $r : undef;
        }) or die "not stored: $m->{data}\n";
        $self->stored($m, $r->{json});
        $self->follow if $run->{silent};
    }
}

# Until the first device has what was published, or somebody has died.
sub follow {
    my ($self) = @_;
    my $run = $self->{run};
    my $r = $run->{first};

    $self->wait_until(sub {
        $r->step(0.02);
        return $run->{died} || @{$r->{got}} >= @{$run->{want}};
    });
}

sub stored {
    my ($self, $m, $said) = @_;
    my $run = $self->{run};

    if ($m->{to}{user}) {
        push @{$run->{want}}, $m->{data};
        push @{$run->{seqs}}, $said->{seq};
    } else {
        push @{$self->{all}}, $m->{data};
    }
}

# One body: a log that is hot, and `all`.
sub publish_batch {
    my ($self, $from, $count) = @_;
    my $run = $self->{run};

    return if $run->{died} && $run->{silent};

    my @lines = ((map { { to => { user => $run->{user} }, data => $_,
                          key => "k-$_" } } $from .. $from + $count - 1),
        (map { { to => { all => JSON::PP::true }, data => "$run->{user}-$_",
                 key => "$run->{user}-$_" } } 1 .. 3));
    my $body = join('', map { $json->encode($_) . "\n" } @lines);

    my $said = $self->wait_until(sub {
        my $r = $self->{stack}->request('POST', '/v1/messages/batch', $body);
        return unless $r->{status} == 200;
        my @said = map { eval { $json->decode($_) } }
            split /\n/, $r->{content};
        return (grep { $_->{status} =~ /^20[01]$/ } @said) == @lines
            ? \@said : undef;
    }) or die "the batch is not stored\n";

    $self->stored($lines[$_], $said->[$_]) for 0 .. $#lines;
}

sub reader {
    my ($self, $device, %o) = @_;
    return Push::Reader->new($self->{stack}, $self->{run}{user},
        device => $device, %o);
}

sub synced {
    my ($self, $r) = @_;

    return $self->wait_until(sub {
        $r->step(0.02);
        return $r->{ws} && exists $r->{synced}{user}
            && exists $r->{synced}{all};
    });
}

# Until each has all; false: not within the time.
sub collected {
    my ($self, @readers) = @_;
    my $n = @{$self->{run}{want}};
    my $until = time() + 45;

    for my $r (@readers) {
        until (@{$r->{got}} >= $n && $r->{ws}
            && exists $r->{synced}{user} && exists $r->{synced}{all})
        {
            return if time() > $until;
            $self->heal;
            $r->step(0.05);
        }
    }

    return 1;
}

# Returns whether the process died.  wait: seconds in which the point may come
# after all messages have arrived.
sub run {
    my ($self, $name, $point, $n, $wait) = @_;
    my $title = "$self->{store} $name $point:$n";
    my $mark = "$self->{dir}/mark-$name-$point-$n";

    my $run = $self->{run} = {
        name => $name, mark => $mark, user => "$name-$point-$n", want => [],
        seqs => [],
    };

    my @spec = ($name, "$point:$n:kill:$mark");
    my @readers = map { $self->reader("d$_", hello => { window => 8 }) } 1, 2;
    my $lags = $self->reader('lags', acks_to => LAGS_AT);

    eval {
        $self->restart(@spec) if $name =~ /^nginx/;
        $self->synced($_) or die "$_->{device} is not served"
            for @readers, $lags;
        $self->restart(@spec) unless $name =~ /^nginx/;
        $run->{silent} = $n % 2 && !$run->{died};
        $run->{first} = $readers[0];
        $self->publish(1 .. BEFORE);
        $readers[1]->lose;
        $self->publish_batch(BEFORE + 1, BATCH);
        $self->publish(BEFORE + BATCH + 1 .. BEFORE + BATCH + AFTER);
        1;
    } or fail("$title: $@");

    ok($self->collected(@readers, $lags), "$title: all is given");
    $self->wait_until(sub { $_->step(0.02) for @readers; $run->{died} },
        $wait // 0.3);
    $self->disarm;
    $self->verify($title, @readers, $lags);
    $_->lose for @readers, $lags;
    diag("$title: " . ($run->{died} ? "died" : "not reached") . ", "
        . @{$run->{want}} . " messages")
        if $ENV{PUSH_CRASH_VERBOSE};

    return $run->{died};
}

sub verify {
    my ($self, $title, @readers) = @_;
    my $run = $self->{run};
    my $user = $run->{user};
    my @want = @{$run->{want}};

    is_deeply($run->{seqs}, [ 1 .. @want ], "$title: numbered without a hole");

    for my $r (@readers) {
        is_deeply([ $r->data, $r->faults ], [ \@want, [] ],
            "$title: $r->{device} has all, once, in order");
        is($r->{cursors}{all}, scalar @{$self->{all}},
            "$title: ... and of all");
    }

    # who reads from the beginning
    my $referee = $self->reader('referee');
    $referee->{cursors} = { user => 0 };
    $self->collected($referee);
    is_deeply([ $referee->data, $referee->seqs, $referee->faults ],
        [ \@want, [ 1 .. @want ], [] ], "$title: so has a new device");
    $referee->lose;

    my $list = $self->{stack}->request('GET',
        "/v1/users/$user/messages?after=0&limit=1000")->{json};
    is_deeply([ $list->{tip}, map { $_->{data} } @{$list->{messages}} ],
        [ scalar @want, @want ], "$title: the store has each once");

    # a key's second copy has the number of the first, which is its data
    my @some = grep { $_ <= @want } 1, BEFORE, BEFORE + 1, scalar @want;
    my @again = map { $self->{stack}->publish({ to => { user => $user },
        data => $_, key => "k-$_" }) } @some;
    is_deeply([ map { [ $_->{status}, $_->{json}{seq} ] } @again ],
        [ map { [ 200, $_ ] } @some ], "$title: keys are known");

    $self->verify_acks($title, $user, scalar @want, @readers);
}

# --- the GC -----------------------------------------------------------------

# Messages expire and are made old in the store; the collector dies between
# two steps of taking them away.  Numbers are never given twice, and a key that
# is younger than a day is known.
sub run_gc {
    my ($self, $point, $n, $wait) = @_;
    my $title = "$self->{store} collector $point:$n";
    my $mark = "$self->{dir}/mark-$point-$n";
    my ($some, $gone) = ("$point-some-$n", "$point-gone-$n");
    my $run = $self->{run} = {
        name => 'collector', mark => $mark, user => $some,
    };

    $self->restart('collector', "$point:$n:kill:$mark");

    my $say = sub {
        my ($user, $i, %o) = @_;
        return $self->wait_until(sub {
            my $r = $self->{stack}->publish({ to => { user => $user },
                data => $i, %o });
            return $r->{status} =~ /^20[01]$/ ? $r->{json}{seq} : undef;
        });
    };

    $say->($some, $_, ttl => 3600, $_ > 1 ? (key => "k-$_") : ()) for 1 .. 3;
    $say->($some, $_, key => "k-$_") for 4, 5;
    $say->($gone, $_, ttl => 3600, key => "k-$_") for 1, 2;
    $self->age($some, 1, 48);
    $self->age($some, 2, 2);
    $self->age($some, 3, 48);
    $self->age($gone, $_, 48) for 1, 2;

    $self->wait_until(sub { $run->{died} }, $wait);
    $self->disarm;

    for my $row ([ $some, 3, 5 ], [ $gone, 2, 2 ]) {
        my ($user, $floor, $tip) = @$row;
        my $list;

        $self->wait_until(sub {
            $list = $self->{stack}->request('GET',
                "/v1/users/$user/messages?after=0")->{json};
            return ($list->{floor} // -1) == $floor;
        }, 20);
        is_deeply([ $list->{floor}, $list->{tip},
                map { $_->{seq} } @{$list->{messages}} ],
            [ $floor, $tip, $floor + 1 .. $tip ], "$title: what stays");
        is($say->($user, $tip + 1, key => 'k-new'), $tip + 1,
            "$title: no number is given twice");

        my $r = Push::Reader->new($self->{stack}, $user, device => 'd1');
        $r->{cursors} = { user => 0 };
        $r->collect($tip + 1 - $floor);
        is_deeply($r->seqs, [ $floor + 1 .. $tip + 1 ],
            "$title: a device hears the rest");
        like(join(' ', @{$r->faults}),
            qr/^void: \{[^ ]*"from":1,"to":$floor,[^ ]* user: [^ ]+ after 0$/,
            "$title: and what is void");
        $r->lose;
    }

    is($say->($some, 2, ttl => 3600, key => 'k-2'), 2,
        "$title: a young key is known");

    return $run->{died};
}

# So many hours ago it was stored, and now it has expired.
sub age {
    my ($self, $user, $seq, $hours) = @_;
    my $now = int(time());
    my ($ts, $expires) = (($now - 3600 * $hours) * 1000, $now - 1);

    if ($self->{set}) {
        my $port = $self->{set}{port};
        my $update = $json->encode({ q => {
                '_id.log' => "user:$user", '_id.seq' => $seq + 0 },
            u => { '$set' => { map { ($_->[0] => { '$numberLong' => "$_->[1]" })
                } [ ts => $ts ], [ expires => $expires ],
                  [ collect => $expires ] } } });

        open(my $out, '-|', "$Push::Stack::root/build/bin/mongo_command",
            "mongodb://127.0.0.1:$port/?directConnection=true", 'crash',
            qq({"update":"messages","updates":[$update]}))
            or die "mongo_command: $!";
        my $said = do { local $/; <$out> } // '';
        die "not aged: $said" unless $said =~ /"nModified" : 1\b/;
        return;
    }

    my @args = ($self->{dir}, "user:$user", $seq, $ts, $expires);

    system('python3', '-c', <<'END', @args) == 0 or die "not aged\n";
import glob, sqlite3, sys
folder, log, seq, ts, expires = sys.argv[1:]
db = sqlite3.connect(glob.glob(folder + "/data/*.db")[0], timeout=20)
n = db.execute("UPDATE messages SET ts = ?, expires = ?, collect = ? WHERE"
               " seq = ? AND log = (SELECT id FROM logs WHERE name = ?)",
               (int(ts), int(expires), int(expires), int(seq), log)).rowcount
db.commit()
assert n == 1
END
}

# A cursor is what was acked, at most.  Acks that died with an edge come again
# with the cursor in the client's next hello.
sub verify_acks {
    my ($self, $title, $user, $tip, @readers) = @_;
    my $acked = sub {
        my $r = $self->{stack}->request('GET',
            "/v1/messages/user:$user\@$_[0]");
        return { map { $_ => 1 } @{$r->{json}{acked} // []} };
    };

    ok(!$acked->(LAGS_AT + 1)->{lags},
        "$title: no cursor is above what was acked") if $tip > LAGS_AT;
    ok(Push::Stack::wait_until(sub {
        my $a = $acked->($tip);
        $_->step(0.02) for @readers;
        return $a->{d1} && $a->{d2};
    }), "$title: acks arrive");
}

sub done {
    my ($self) = @_;
    my $all = Push::Reader->new($self->{stack}, 'referee-of-all', log => 'all');

    $all->{cursors} = { all => 0 };
    $all->collect(scalar @{$self->{all}}, 60);
    is_deeply([ $all->data, $all->faults ], [ $self->{all}, [] ],
        "$self->{store}: all has each once, in order");
    $all->lose;

    $self->{stack}->logs_ok_now(qr/worker process \d+ exited on signal 9/);
    $self->reap($_) for keys %{$self->{children}};
}

1;
