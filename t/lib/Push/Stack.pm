package Push::Stack;

# The whole stack, as ./run up makes it, for one test; ended with the object.
#
#     my $stack = Push::Stack->new(edges => 2, workers => 2);
#     $stack->publish({ to => { user => 'u1' }, data => 1 })->{status};
#     $stack->kill9('collector'); $stack->up;

use warnings;
use strict;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use Push::Logs qw(logs_ok_after);
use Push::Token qw(jwt hs256_key);
use Push::WebSocket;
use Time::HiRes qw(sleep time);

# A test that is ended by a time limit still ends what it started.
$SIG{$_} = sub { exit(1) } for qw(INT TERM HUP);

our $root = abs_path(dirname(__FILE__) . '/../../..');

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

# Tests have ports 21600 to 21800, a stack takes 20 of them, and with MongoDB the
# next one.  Two tests that run at once begin their search at different places.
sub free_base {
    BASE: for my $i (0 .. 9) {
        my $base = 21600 + ($$ + $i) % 10 * 20;

        for my $port ($base .. $base + 20) {
            IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1',
                LocalPort => $port, ReuseAddr => 1) or next BASE;
        }

        return $base;
    }

    die "no 20 free ports between 21600 and 21799\n";
}

sub new {
    my ($class, %o) = @_;

    my $self = bless {
        dir => tempdir('push-XXXXXX', TMPDIR => 1, CLEANUP => 0), options => \%o, owner => $$,
        http => HTTP::Tiny->new(timeout => 15), allow => [],
    }, $class;

    chmod(0755, $self->{dir});

    my @options = map { ("--$_" => $o{$_}) } grep { exists $o{$_} }
        qw(edges workers store);

    # Somebody else may take a port in the meantime.
    for my $left (reverse 0 .. 4) {
        $self->{base} = free_base();
        return $self if eval { $self->up(@options) };
        die $@ unless $left && $@ =~ /is in use/;
        $self->down;
    }
}

sub run {
    my ($self, @args) = @_;
    my @quoted = map { s/'/'\\''/gr =~ s/(.*)/'$1'/sr } @args;
    my $out = `$root/run @quoted 2>&1`;

    return ($? >> 8, $out);
}

# Starts whatever is missing.
sub up {
    my ($self, @options) = @_;
    my ($code, $out) = $self->run('up', '--dir', $self->{dir},
        '--port', $self->{base}, @options);

    die "./run up: $out" if $code;

    open(my $fh, '<', "$self->{dir}/env") or die "env: $!";
    $self->{env} = { map { /^(\w+)=(.*)$/ ? ($1, $2) : () } <$fh> };

    return $out;
}

sub down {
    my ($self) = @_;
    my ($code, $out) = $self->run('down', '--dir', $self->{dir});

    return $out;
}

sub env { $_[0]{env}{$_[1]} }
sub dir { $_[0]{dir} }

sub pid {
    my ($self, $name) = @_;
    open(my $fh, '<', "$self->{dir}/pids/$name.pid") or return;
    chomp(my $pid = <$fh>);
    return $pid;
}

# Ends a process at once and waits until it has gone.
sub kill9 {
    my ($self, $name) = @_;
    my $pid = $self->pid($name) or die "no process $name\n";

    kill('KILL', $pid);
    wait_until(sub { gone($pid) }) or die "$name lives\n";

    return $pid;
}

# No such process, or one that only waits to be reaped.
sub gone {
    my ($pid) = @_;
    open(my $fh, '<', "/proc/$pid/stat") or return 1;
    return (<$fh> // ') Z ') =~ /\) Z /;
}

# The pids of an nginx's workers.
sub workers {
    my ($self, $name) = @_;
    my $pid = $self->pid($name // 'nginx-1');
    my @all = `cat /proc/$pid/task/$pid/children`;

    return split ' ', join ' ', @all;
}

sub wait_until {
    my ($test, $timeout) = @_;
    my $until = time() + ($timeout // 10);

    while (1) {
        my $result = $test->();
        return $result if $result || time() > $until;
        sleep(0.02);
    }
}

sub token {
    my ($self, $user, %o) = @_;
    return jwt(user => $user, key => hs256_key($self->env(
        'PUSH_JWT_SECRET_FILE')), %o);
}

# A client of an edge (1 is the first), past the 101.
sub ws {
    my ($self, $user, %o) = @_;
    my $edge = delete $o{edge} // 1;

    return Push::WebSocket->new(
        url => $self->env($edge == 1 ? 'PUSH_WS' : "PUSH_WS_$edge"),
        token => $self->token($user), %o);
}

# method, path, body: data or text.  { status, headers, content, json }
sub request {
    my ($self, $method, $path, $body, %headers) = @_;

    my $r = $self->{http}->request($method, $self->env('PUSH_URL') . $path, {
        headers => {
            authorization => 'Bearer ' . $self->env('PUSH_API_KEY'), %headers
        },
        (defined $body ? (content => ref $body ? $json->encode($body) : $body)
                       : ())
    });

    $r->{json} = eval { $json->decode($r->{content}) };
    return $r;
}

sub publish {
    my ($self, $message) = @_;
    return $self->request('POST', '/v1/messages', $message);
}

# Publishes until it is stored, as a business does after a 502 or 503.
sub publish_surely {
    my ($self, $message, $timeout) = @_;

    return wait_until(sub {
        my $r = $self->publish($message);
        return $r->{status} =~ /^20[01]$/ ? $r : undef;
    }, $timeout);
}

# What an edge's push_status says.
sub status {
    my ($self, $edge) = @_;
    my $url = $self->env('PUSH_DELIVER_' . ($edge // 1)) =~ s{/deliver$}{/status}r;

    return eval { $json->decode($self->{http}->get($url)->{content}) };
}

# A directive of all edges, in `main` or in `http`, from their next start or
# reload on; `up` writes the files anew.
sub configure {
    my ($self, $context, $directive) = @_;
    my ($name) = $directive =~ /^(\w+)/;
    my $head = $context eq 'main' ? '' : "http {\n";

    for my $file (glob("$self->{dir}/etc/nginx-*.conf")) {
        open(my $in, '<', $file) or die "$file: $!";
        my $text = join('', <$in>);

        $text =~ s/^\s*$name\s.*;$/$directive/m
            or $text =~ s/^\Q$head\E/$head$directive\n/m
            or die "$file: no $context\n";

        open(my $out, '>', $file) or die "$file: $!";
        print $out $text;
        close($out) or die "$file: $!";
    }
}

# The end of all processes, which say what was leaked, and then their logs.
sub logs_ok_now {
    my ($self, @allow) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    logs_ok_after("$self->{dir}/logs", sub { $self->down }, @allow);
}

sub DESTROY {
    my ($self) = @_;

    return if $$ != $self->{owner};

    local ($?, $@);
    $self->down;

    if ($ENV{PUSH_TEST_LEAVE}) {
        print STDERR "# left: $self->{dir}\n";
    } else {
        system('rm', '-rf', $self->{dir});
    }
}

1;
