package Push::Collector;

# A collector on SQLite, a real redis-server, and dispatchers that say what a
# test tells them.
#
#     my $t = Push::Collector->new;               one dispatcher: $t->{mocks}[0]
#     $t->publish({ user => 'u1' }, { n => 1 });  the answer, decoded
#     $t->mock->say('unknown');                   see Push::Dispatcher::Edge
#     wait_until(sub { $t->mock->lines });
#     $t->resync(uid => 'u1', logs => "user:u1 - 64");
#     $t->ack('u1 d1 user:u1 3');
#     $t->kill; $t->start;

use warnings;
use strict;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Push::Dispatcher;
use Push::Logs qw(logs_ok);
use Time::HiRes qw(time);

our @EXPORT_OK = qw(wait_until);

$SIG{$_} = sub { exit(1) } for qw(INT TERM HUP);

our $root = abs_path(dirname(__FILE__) . '/../../..');
our $secret = 'test-secret-of-the-edge';
our $api_key = 'test-api-key-0123456789';

my $next_port = 21300;
my %running;                    # of this process, by their names

sub free_port {
    for (1 .. 100) {
        my $port = $next_port++;
        $next_port = 21300 if $next_port > 21399;

        return $port if IO::Socket::INET->new(Listen => 1,
            LocalAddr => '127.0.0.1', LocalPort => $port, ReuseAddr => 1);
    }

    die "no free port between 21300 and 21399\n";
}

*wait_until = \&Push::Dispatcher::wait_until;

# dispatchers => how many (1); start => 0: not yet; conf: more options
sub new {
    my ($class, %o) = @_;

    my $self = bless {
        dir => tempdir('push-collector-XXXXXX', TMPDIR => 1, CLEANUP => 1),
        port => free_port(), redis_port => free_port(), owner => $$,
        http => HTTP::Tiny->new(timeout => 15, keep_alive => 0), mocks => [],
        children => {}, log_from => 0, rid => 0,
    }, $class;

    $running{$self} = $self;
    mkdir("$self->{dir}/logs");
    $self->file('edge.secret', "$secret\n", 0600);
    $self->file('api.keys', "test:$api_key\n", 0600);

    push @{ $self->{mocks} }, Push::Dispatcher::Edge->new(node => "d$_",
        instance => '', port => free_port(), test => $self)
        for 1 .. $o{dispatchers} // 1;

    $self->conf(%{ $o{conf} // {} });
    $self->start_redis;
    $self->start if $o{start} // 1;

    return $self;
}

sub file { Push::Dispatcher::file(@_) }
sub spawn { Push::Dispatcher::spawn(@_) }
sub end { Push::Dispatcher::end(@_) }
sub start_redis { Push::Dispatcher::start_redis(@_) }
sub redis { Push::Dispatcher::redis(@_) }
sub now_ms { Push::Dispatcher::now_ms(@_) }
sub mock { $_[0]{mocks}[$_[1] // 0] }

sub conf {
    my ($self, %more) = @_;

    my %conf = (
        listen => "127.0.0.1:$self->{port}",
        redis => "redis://127.0.0.1:$self->{redis_port}",
        secret_file => "$self->{dir}/edge.secret",
        api_keys => "$self->{dir}/api.keys",
        store => "sqlite:$self->{dir}/push.db",
        node => 'collector-1', log_level => 'debug', drain_timeout => '3s',
        %more,
    );

    my @urls = map { "\"http://127.0.0.1:$_->{port}\"" } @{ $self->{mocks} };

    return $self->{conf} = $self->file('collector.conf',
        join('', map { "$_ = \"$conf{$_}\"\n" } sort keys %conf)
        . 'dispatchers = {' . join(', ', @urls) . "}\n");
}

sub start {
    my ($self) = @_;
    my $build = $ENV{PUSH_BUILD} // "$root/build";

    $self->{log_from} = length($self->all_log);
    $self->spawn('collector', "$build/bin/push-collector", '-c',
        $self->{conf});
    wait_until(sub { $self->get('/healthz')->{status} == 200 })
        or die "no collector:\n" . $self->log;
}

# kill -9, no good-bye
sub kill { $_[0]->end('collector') }

sub all_log {
    my ($self) = @_;
    open(my $fh, '<', "$self->{dir}/logs/collector.log") or return '';
    local $/;
    return <$fh> // '';
}

# Since the last start.
sub log {
    my ($self) = @_;
    return substr($self->all_log, $self->{log_from});
}

sub get {
    my ($self, $path) = @_;
    return $self->{http}->get("http://127.0.0.1:$self->{port}$path",
        { headers => { Authorization => "Bearer $api_key" } });
}

sub json {
    my ($self, $path) = @_;
    my $r = $self->get($path);
    return eval { decode_json($r->{content}) } // $r->{content};
}

sub metric {
    my ($self, $name) = @_;
    return $self->get('/metrics')->{content}
        =~ /^push_collector_\Q$name\E ([\d.]+)$/m ? $1 : undef;
}

# The status is in the answer as `http`.
sub publish {
    my ($self, $to, $data, %more) = @_;
    my $r = $self->{http}->post("http://127.0.0.1:$self->{port}/v1/messages",
        { headers => { Authorization => "Bearer $api_key",
                       'Content-Type' => 'application/json' },
          content => encode_json({ to => $to, data => $data, %more }) });
    my $answer = eval { decode_json($r->{content}) } // {};
    $answer = { results => $answer } if ref $answer eq 'ARRAY';
    return { %$answer, http => $r->{status} };
}

# The epoch of the store, as bodies have it.
sub epoch {
    my ($self) = @_;
    return $self->log =~ /event=store_open epoch=(\w+)/ ? $1 : undef;
}

our $instance = 'aaaaaaaaaaaaaaaa';
our $conn = '0100000000000001';

# An entry of push:ev:resync as an edge writes it.  A field that is undef is
# left out.
sub resync {
    my ($self, %o) = @_;

    my %field = (
        v => 1, node => 'edge-1', inst => $instance, conn => $conn,
        dev => 'd1', epoch => '-', rid => ++$self->{rid}, first => 0,
        bytes => 65536, due_ms => $self->now_ms + 2000, groups => '', %o,
    );

    $self->redis('XADD', 'push:ev:resync', '*',
        map { ($_, $field{$_}) } grep { defined $field{$_} } sort keys %field);

    return $self->{rid};
}

# The lines of the answer to this rid, without node lines: those from its
# first begin on, of the body that has it.
sub answer {
    my ($self, $rid, $mock, $timeout) = @_;
    my $tip = qr/^tip \S+ \S+ $rid /;

    return wait_until(sub {
        for my $body ($self->mock($mock)->bodies) {
            my (@block, $in);

            for my $head (Push::Dispatcher::Edge::heads($body)) {
                if ($head =~ /^node /) {
                    last if $in && @block;
                    @block = ();
                    next;
                }

                push @block, $head;
                $in ||= $head =~ $tip;
            }

            return \@block if $in;
        }

        return;
    }, $timeout);
}

sub ack {
    my ($self, $lines, %o) = @_;
    my %field = (v => 1, node => 'edge-1', epoch => $self->epoch,
        acks => $lines, %o);

    return $self->redis('XADD', 'push:ev:ack', '*',
        map { ($_, $field{$_}) } grep { defined $field{$_} } sort keys %field);
}

# Entries of the group that were read and not confirmed.
sub pending {
    my ($self, $stream) = @_;
    my $r = eval { $self->redis('XPENDING', $stream, 'collector') } or return;
    return $r->[0];
}

# Another process holds the store's write lock, until unlock_store.  False: no
# Python with sqlite3 is here to do it.
sub lock_store {
    my ($self) = @_;
    my $pid = open(my $out, '-|', 'python3', '-c', <<'END',
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(60)
END
        "$self->{dir}/push.db") or return;
    $self->{locker} = [ $pid, $out ];       # a close would wait for its end
    return (<$out> // '') =~ /^locked/;
}

sub unlock_store {
    my ($self) = @_;
    my $locker = delete $self->{locker} // return;
    CORE::kill('KILL', $locker->[0]);
    close($locker->[1]);
}

# The last mark that the store has taken since the start.
sub mark {
    my ($self) = @_;
    my @marks = $self->log =~ /event=mark row=(\d+)/g;
    return $marks[-1] // 0;
}

sub done_ok {
    my ($self) = @_;
    my $status = $self->end('collector', 'TERM');
    Test::More::is($status, 0, 'the collector ends well');
    logs_ok("$self->{dir}/logs");
    $self->stop;
}

# Ends whatever was started.
sub stop {
    my ($self) = @_;
    $self->unlock_store;
    $self->end($_) for keys %{ $self->{children} };
    $_->end for @{ $self->{mocks} };
    delete $running{$self};
}

# Before perl takes objects apart in any order.
END {
    local $?;
    $_->{owner} == $$ && $_->stop for values %running;
}

1;
