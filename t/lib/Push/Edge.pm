package Push::Edge;

# One edge and its Redis, nothing else: the test plays dispatcher and
# collector.  The user's name is ?user= of the handshake, so no auth is needed.
#
#     my $edge = Push::Edge->new(workers => 2);
#     my $ws = $edge->ws('u1');
#     my ($status, @answers) = $edge->deliver("user u1 1 0 13 0\n{\"data\":123}\n");
#     my @asked = $edge->stream('push:ev:resync');

use warnings;
use strict;

use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Socket::INET;
use POSIX ();
use Push::Logs qw(logs_ok_after);
use Push::Stack;
use Push::WebSocket;
use Time::HiRes qw(sleep time);

*wait_until = \&Push::Stack::wait_until;

our $secret = 'test-secret-of-the-edge';

sub free_ports {
    my ($n) = @_;
    my (@ports, @held);

    # each test begins elsewhere: two of them may run at once
    for my $i (0 .. 99) {
        my $port = ($ENV{PUSH_TEST_PORTS} // 21700) + ($$ * 7 + $i) % 100;
        my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1',
            LocalPort => $port, ReuseAddr => 1) or next;
        push @held, $s;
        push @ports, $port;
        last if @ports == $n;
    }

    return @ports;
}

# workers; listen: parameters of the clients' port, such as sndbuf=32k;
# main, http, location: lines of configuration that are added (a line
# of `location` replaces push_origins any); redis => 0: none is started;
# start => 0: only the configuration is written; module: another file.
sub new {
    my ($class, %o) = @_;
    my ($port, $deliver, $redis) = free_ports(3);

    my $self = bless {
        dir => tempdir('push-edge-XXXXXX', TMPDIR => 1, CLEANUP => 0),
        port => $port, deliver_port => $deliver, redis_port => $redis,
        owner => $$, http => HTTP::Tiny->new(timeout => 10),
    }, $class;

    chmod(0755, $self->{dir});
    mkdir("$self->{dir}/logs");
    $self->write_conf(%o);

    $self->start_redis if $o{redis} // 1;
    $self->start if $o{start} // 1;

    return $self;
}

sub write_file {
    my ($self, $name, $text, $mode) = @_;
    open(my $fh, '>', "$self->{dir}/$name") or die "$name: $!";
    chmod($mode, $fh) if $mode;
    print $fh $text;
    close($fh);
}

sub write_conf {
    my ($self, %o) = @_;
    my $dir = $self->{dir};
    my $module = $o{module}
        // "$Push::Stack::root/build/ngx_http_push_module.so";
    my $load = $ENV{PUSH_NGINX} ? '' : "load_module \"$module\";";
    my $user = $> ? '' : 'user root;';
    my $workers = $o{workers} // 1;
    my $temp = join('', map { "    ${_}_temp_path $dir/tmp_$_;\n" }
                    qw(client_body proxy fastcgi uwsgi scgi));
    my ($main, $http, $location, $listen) = map { $o{$_} // '' }
        qw(main http location listen);

    $self->{alone} = $main =~ /master_process\s+off/;
    $location = "push_origins any;\n$location" if $location !~ /push_origins/;

    $self->write_file('edge.secret', "$secret\n", 0600);
    $self->write_file('nginx.conf', <<CONF);
$load
$user
worker_processes $workers;
pid $dir/nginx.pid;
error_log $dir/logs/error.log info;
$main
events { worker_connections 4096; }
http {
    access_log $dir/logs/access.log;
$temp
    push_node edge-1 deliver=http://127.0.0.1:$self->{deliver_port}/deliver;
    push_redis redis://127.0.0.1:$self->{redis_port};
    push_secret_file $dir/edge.secret;
    $http
    server {
        listen 127.0.0.1:$self->{port} $listen;
        location /ws {
            push_websocket;
            push_user \$arg_user;
            push_expires \$arg_expires;
            $location
        }
    }
    server {
        listen 127.0.0.1:$self->{deliver_port};
        location = /deliver { push_deliver; }
        location = /status { push_status; }
    }
}
CONF
}

sub nginx { $ENV{PUSH_NGINX} || (-x '/usr/sbin/nginx' ? '/usr/sbin/nginx'
                                                        : 'nginx') }

sub command {
    my ($self, @args) = @_;
    my $text = join(' ', $self->nginx, '-e', "$self->{dir}/logs/error.log",
        '-p', $self->{dir}, '-c', "$self->{dir}/nginx.conf", @args);

    # nginx leaves its configuration to the end of a process that only reads it
    local $ENV{ASAN_OPTIONS} = join(':', $ENV{ASAN_OPTIONS} // (),
        'detect_leaks=0') if @args;
    my $out = `$text 2>&1`;

    return ($? >> 8, $out);
}

# nginx -t: (exit status, what it says)
sub test { $_[0]->command('-t') }

sub start {
    my ($self) = @_;
    my ($code, $out) = $self->command();

    die "nginx: $out" if $code;
    wait_until(sub { $self->pid }) or die "nginx wrote no pid\n";
    wait_until(sub { $self->{alone} || $self->workers })
        or die "nginx has no workers\n";
}

sub pid {
    my ($self) = @_;
    open(my $fh, '<', "$self->{dir}/nginx.pid") or return;
    chomp(my $pid = <$fh> // '');
    return $pid || undef;
}

sub signal {
    my ($self, $signal) = @_;
    kill($signal, $self->pid);
}

sub workers {
    my ($self) = @_;
    my $pid = $self->pid;
    return split ' ', join ' ', `cat /proc/$pid/task/$pid/children`;
}

# Ends nginx, at once or (QUIT) when its work is done.
sub stop {
    my ($self, $signal) = @_;
    my $pid = $self->pid or return 1;

    kill($signal // 'TERM', $pid);
    wait_until(sub { Push::Stack::gone($pid) }, 15)
        and return 1;
    kill('KILL', $pid);

    return 0;
}

sub start_redis {
    my ($self) = @_;
    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        open(STDIN, '<', '/dev/null');
        open(STDOUT, '>>', "$self->{dir}/logs/redis.log");
        open(STDERR, '>&', \*STDOUT);
        exec('redis-server', '--bind', '127.0.0.1', '--port',
            $self->{redis_port}, '--dir', $self->{dir}, '--save', '',
            '--daemonize', 'no') or POSIX::_exit(127);
    }

    $self->{redis_pid} = $pid;
    wait_until(sub {
        IO::Socket::INET->new(PeerAddr => "127.0.0.1:$self->{redis_port}")
    }) or die "redis-server does not start\n";
}

sub stop_redis {
    my ($self, $signal) = @_;
    my $pid = delete $self->{redis_pid} or return;

    kill($signal // 'KILL', $pid);
    waitpid($pid, 0);
}

# One command, its answer as redis-cli prints it for programs.
sub redis {
    my ($self, @args) = @_;
    open(my $fh, '-|', 'redis-cli', '-p', $self->{redis_port}, @args)
        or die "redis-cli: $!";
    my @lines = <$fh>;
    close($fh);
    chomp @lines;

    return wantarray ? @lines : join("\n", @lines);
}

# The entries of a stream: a list of { field => value }, oldest first.
sub stream {
    my ($self, $name) = @_;
    my $text = $self->redis('--json', 'XRANGE', $name, '-', '+');
    my $list = JSON::PP->new->utf8->decode($text || '[]') || [];

    return map { my %f = @{$_->[1]}; \%f } @$list;
}

sub ws {
    my ($self, $user, %o) = @_;
    my $args = delete $o{args} // '';

    return Push::WebSocket->new(
        url => "ws://127.0.0.1:$self->{port}/ws?user=$user$args",
        %o);
}

# Posts a body; (status, lines of the answer).
sub deliver {
    my ($self, $body, %headers) = @_;
    my $r = $self->{http}->request('POST',
        "http://127.0.0.1:$self->{deliver_port}/deliver", {
            content => $body,
            headers => { 'Push-Secret' => $secret,
                         'Content-Type' => 'text/plain', %headers },
        });

    return ($r->{status}, split(/\n/, $r->{content} // ''));
}

# A line of an item with its payload, lengths filled in: item('user', 'u1', 3,
# '"x"').
sub item {
    my ($kind, $name, $seq, $data) = @_;
    my $log = $kind eq 'user' ? 'user' : $kind eq 'all' ? 'all' : "group:$name";
    my $head = $seq
        ? qq({"type":"message","log":"$log","seq":$seq,"ts":1700000000123,)
          . '"id":"' . ($kind eq 'all' ? 'all' : "$kind:$name") . qq(\@$seq","data":)
        : qq({"type":"message","log":"$log","ts":1700000000123,"data":);

    return join(' ', $kind, ($kind eq 'all' ? () : $name), $seq, 0,
        length("$head$data}"), length($head)) . "\n$head$data}\n";
}

sub status {
    my ($self) = @_;
    my $r = $self->{http}->get("http://127.0.0.1:$self->{deliver_port}/status");

    return eval { JSON::PP->new->utf8->decode($r->{content}) };
}

# The end of nginx, which says what was leaked, and then its logs.
sub logs_ok_now {
    my ($self, @allow) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    logs_ok_after("$self->{dir}/logs", sub { $self->stop }, @allow);
}

sub DESTROY {
    my ($self) = @_;

    return if $$ != $self->{owner};

    local ($?, $@);
    $self->stop;
    $self->stop_redis;

    if ($ENV{PUSH_TEST_LEAVE}) {
        print STDERR "# left: $self->{dir}\n";
    } else {
        system('rm', '-rf', $self->{dir});
    }
}

1;
