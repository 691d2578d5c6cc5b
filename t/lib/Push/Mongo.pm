package Push::Mongo;

# A MongoDB replica set as ./run mongod makes it, for one test, in memory;
# ended with the object.
#
#     my $set = Push::Mongo->new(members => 3);   dies if there is no mongod
#     $set->url('push');                          for collectors
#     my $k = $set->primary;
#     $set->signal($k, 'KILL'); $set->start;      what is missing comes back
#     $set->start_member($k);                     this one only
#     $set->command($k, replSetStepDown => 5);

use warnings;
use strict;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Push::Dispatcher;
use Time::HiRes qw(time);

our $root = abs_path(dirname(__FILE__) . '/../../..');

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my %running;                    # of this process, by their names

# Tests have ports 21500 to 21599.
sub free_base {
    my ($members) = @_;

    BASE: for my $i (0 .. 24) {
        my $base = 21500 + ($$ + $i) % 25 * 4;

        for my $port ($base .. $base + $members - 1) {
            IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1',
                LocalPort => $port, ReuseAddr => 1) or next BASE;
        }

        return $base;
    }

    die "no free ports between 21500 and 21599\n";
}

sub new {
    my ($class, %o) = @_;

    my $self = bless {
        dir => tempdir('push-mongod-XXXXXX', CLEANUP => 1,
                       DIR => -w '/dev/shm' ? '/dev/shm' : '/tmp'),
        members => $o{members} // 1, owner => $$, stopped => {},
    }, $class;

    $self->{port} = free_base($self->{members});
    $running{$self} = $self;
    my $said = $self->start;

    unless (defined $self->{url}) {
        my ($why) = $said =~ /^run: (?:warning: )?(.*)/m;
        die 'no mongod: ' . ($why // $said) . "\n";
    }

    return $self;
}

# Starts whatever is missing, and waits for a primary.  What was said.
sub start {
    my ($self) = @_;

    my $said = `$root/run mongod --dir $self->{dir} --port $self->{port} --members $self->{members} 2>&1 < /dev/null`;
    ($self->{url}) = $said =~ /^url: (\S+)/m if $? == 0;

    return $said;
}

sub url {
    my ($self, $database) = @_;
    return $self->{url} =~ s{/push\?}{/$database?}r;
}

# The reply of member k, or undef.  The command's name comes first.
sub command {
    my ($self, $k, @command) = @_;
    return $self->command_at($self->{port} + $k - 1, @command);
}

sub hello {
    my ($self, $port) = @_;
    return $self->command_at($port, hello => 1);
}

sub command_at {
    my ($self, $port, @command) = @_;
    my @members;

    while (my ($name, $value) = splice(@command, 0, 2)) {
        push @members, $json->encode($name) . ':' . $json->encode($value);
    }

    open(my $err, '>&', \*STDERR);
    open(STDERR, '>', '/dev/null');     # a member that is away is no news
    my $pid = open(my $out, '-|', "$root/build/bin/mongo_command",
        "mongodb://127.0.0.1:$port/?directConnection=true", 'admin',
        '{' . join(',', @members) . '}');
    open(STDERR, '>&', $err);
    die "mongo_command: $!" unless $pid;

    my $reply = do { local $/; <$out> };
    close($out) or return undef;

    return $json->decode($reply);
}

# The number of the member that is the primary, waited for.
sub primary {
    my ($self, $timeout) = @_;

    return Push::Dispatcher::wait_until(sub {
        for my $k (1 .. $self->{members}) {
            next if $self->{stopped}{$k} || !$self->pid($k);
            my $hello = $self->command($k, hello => 1) or next;
            return $k if $hello->{isWritablePrimary};
        }
    }, $timeout // 30) || die "no primary\n";
}

sub pid {
    my ($self, $k) = @_;

    open(my $fh, '<', "$self->{dir}/pids/mongod-$k.pid") or return undef;
    chomp(my $pid = <$fh> // '');
    return undef unless $pid =~ /^[1-9]\d*$/;

    open(my $cmd, '<', "/proc/$pid/cmdline") or return undef;
    local $/;
    return (<$cmd> // '') =~ m{\Q$self->{dir}/data/mongod-$k\E\0} ? $pid : undef;
}

# How member k was started.
sub argv {
    my ($self, $k) = @_;
    my $pid = $self->pid($k) // die "member $k does not run\n";

    open(my $cmd, '<', "/proc/$pid/cmdline") or die "member $k: $!\n";
    return [split(/\0/, do { local $/; <$cmd> })];
}

# KILL, STOP or CONT; after KILL it is gone.
sub signal {
    my ($self, $k, $signal) = @_;
    my $pid = $self->pid($k) // die "member $k does not run\n";

    $self->{started}{$k} = $self->argv($k);
    $self->{stopped}{$k} = $signal eq 'STOP';
    kill($signal, $pid);
    Push::Dispatcher::wait_until(sub { !$self->pid($k) })
        || die "member $k lives on\n" if $signal eq 'KILL';
}

# One that was killed, as it was started; the others stay away.
sub start_member {
    my ($self, $k) = @_;
    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        POSIX::setsid();
        open(STDIN, '<', '/dev/null');
        open(STDOUT, '>>', "$self->{dir}/logs/mongod-$k.log");
        open(STDERR, '>&', \*STDOUT);
        { exec { $self->{started}{$k}[0] } @{ $self->{started}{$k} } }
        POSIX::_exit(127);
    }

    open(my $fh, '>', "$self->{dir}/pids/mongod-$k.pid") or die "pid: $!";
    print $fh "$pid\n";
    close($fh);
    $self->{children}{$pid} = 1;
}

sub end {
    my ($self) = @_;

    for my $k (1 .. $self->{members}) {
        my $pid = $self->pid($k) // next;
        kill('KILL', $pid);             # nobody needs the data any more
        Push::Dispatcher::wait_until(sub { !$self->pid($k) });
    }

    waitpid($_, 0) for keys %{ delete $self->{children} // {} };
    delete $running{$self};
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $@);
    $self->end if $self->{owner} == $$;
}

END {
    my $status = $?;
    $_->{owner} == $$ and $_->end for values %running;
    $? = $status;
}

1;
