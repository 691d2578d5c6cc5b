package Push::Dispatcher;

# A dispatcher, a real redis-server, and edges that say what a test tells them.
#
#     my $t = Push::Dispatcher->new;                  redis and the dispatcher
#     my $edge = $t->edge('edge-1');                  with a lease in Redis
#     $t->bind('u1', $edge);
#     $t->dispatch($t->user('u1', 1));                [200, "ok 1\n"]
#     $edge->say('none');                             to all items from now on
#     $edge->bodies;                                  what it has been sent

use warnings;
use strict;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Push::Logs qw(logs_ok);
use Time::HiRes qw(sleep time);

$SIG{$_} = sub { exit(1) } for qw(INT TERM HUP);
$SIG{PIPE} = 'IGNORE';

our $root = abs_path(dirname(__FILE__) . '/../../..');
our $secret = 'test-secret-of-the-edge';

my @held;

# A port of 21100 to 21199 that is free, and ours till the test ends: an
# abstract socket keeps it from other tests.
sub free_port {
    for my $port (21100 .. 21199) {
        my $hold = IO::Socket::UNIX->new(Listen => 1,
            Local => "\0push-test-port-$port") or next;

        IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1',
            LocalPort => $port, ReuseAddr => 1) or next;

        push @held, $hold;
        return $port;
    }

    die "no free port between 21100 and 21199\n";
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

# redis => 0: none is started; conf: more lines of dispatcher.conf
sub new {
    my ($class, %o) = @_;

    my $self = bless {
        dir => tempdir('push-dispatcher-XXXXXX', TMPDIR => 1, CLEANUP => 1),
        port => free_port(), redis_port => free_port(), owner => $$,
        http => HTTP::Tiny->new(timeout => 15), edges => [], children => {},
        instance => 0xa0,
    }, $class;

    mkdir("$self->{dir}/logs");
    $self->file('edge.secret', "$secret\n", 0600);
    $self->conf(%o);

    $self->start_redis if $o{redis} // 1;
    $self->start if $o{start} // 1;

    return $self;
}

sub file {
    my ($self, $name, $text, $mode) = @_;
    open(my $fh, '>', "$self->{dir}/$name") or die "$name: $!";
    chmod($mode, $fh) if $mode;
    print $fh $text;
    close($fh);
    return "$self->{dir}/$name";
}

sub conf {
    my ($self, %o) = @_;
    my %conf = (
        listen => "127.0.0.1:$self->{port}",
        redis => "redis://127.0.0.1:$self->{redis_port}",
        secret_file => "$self->{dir}/edge.secret",
        log_level => 'debug', %{ $o{conf} // {} },
    );

    return $self->{conf} = $self->file('dispatcher.conf',
        join('', map { "$_ = \"$conf{$_}\"\n" } sort keys %conf));
}

sub spawn {
    my ($self, $name, @command) = @_;
    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);
        open(STDOUT, '>>', "$self->{dir}/logs/$name.log");
        open(STDERR, '>&', \*STDOUT);
        exec(@command) or POSIX::_exit(127);
    }

    $self->{children}{$name} = $pid;
    return $pid;
}

# kill -9, or another signal, and its end.
sub end {
    my ($self, $name, $signal) = @_;
    my $pid = delete $self->{children}{$name} // return;

    kill($signal // 'KILL', $pid);
    waitpid($pid, 0);
    return $?;
}

sub start_redis {
    my ($self) = @_;
    $self->spawn('redis', 'redis-server', '--port', $self->{redis_port},
        '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir',
        $self->{dir});
    wait_until(sub { eval { $self->redis('PING') } }) or die "no redis\n";
}

sub start {
    my ($self) = @_;
    my $build = $ENV{PUSH_BUILD} // "$root/build";
    $self->spawn('dispatcher', "$build/bin/push-dispatcher", '-c',
        $self->{conf});
    wait_until(sub { $self->get('/healthz')->{status} == 200 })
        or die "no dispatcher\n";
}

sub get {
    my ($self, $path) = @_;
    return $self->{http}->get("http://127.0.0.1:$self->{port}$path");
}

sub wait_ready {
    my ($self, $status) = @_;
    return wait_until(sub {
        $self->get('/readyz')->{status} == ($status // 200) });
}

sub metric {
    my ($self, $name) = @_;
    return $self->get('/metrics')->{content} =~ /^\Q$name\E ([\d.]+)$/m
        ? $1 : undef;
}

# One command to Redis: a string, a number, undef, or a list by reference.
sub redis {
    my ($self, @command) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $self->{redis_port}, Timeout => 2) or die "redis: $!\n";

    print $s '*' . @command . "\r\n",
        map { '$' . length($_) . "\r\n$_\r\n" } @command;
    $s->flush;

    return resp($s);
}

sub resp {
    my ($s) = @_;
    my $line = <$s> // die "redis: closed\n";
    $line =~ s/\r\n$//;
    my ($type, $rest) = (substr($line, 0, 1), substr($line, 1));

    die "redis: $rest\n" if $type eq '-';
    return [ map { resp($s) } 1 .. $rest ] if $type eq '*';
    return $rest if $type ne '$';
    return undef if $rest < 0;
    read($s, my $value, $rest + 2);
    return substr($value, 0, $rest);
}

sub now_ms {
    my ($self) = @_;
    my ($s, $us) = @{ $self->redis('TIME') };
    return $s * 1000 + int($us / 1000);
}

# A mock edge that listens; lease => 0: Redis does not know it.
sub edge {
    my ($self, $node, %o) = @_;
    my $edge = Push::Dispatcher::Edge->new(node => $node, test => $self,
        instance => sprintf('%016x', $self->{instance}++), %o);

    push @{ $self->{edges} }, $edge;

    if ($o{lease} // 1) {
        $self->lease($edge);
        $self->wait_node($edge) if $self->{children}{dispatcher};
    }

    return $edge;
}

sub lease {
    my ($self, $edge, %o) = @_;
    my $name = $edge->name;
    $self->redis('SADD', 'push:nodes', $name);
    $self->redis('HSET', "push:node:$name", deliver => $o{url} // $edge->url,
        connections => 0, capacity => 1000, draining => 0, version => 't',
        worker => 1);
    $self->redis('PEXPIRE', "push:node:$name", $o{ms} // 600_000);
}

sub nodes { int($_[0]->metric('push_dispatcher_nodes') // -1) }

# The dispatcher has seen the lease.
sub wait_node {
    my ($self, $edge) = @_;
    my $name = $edge->name;
    wait_until(sub { $self->log =~ /event=node_up node=\Q$name\E / })
        or die "the dispatcher does not see $name\n";
}

sub log {
    my ($self) = @_;
    open(my $fh, '<', "$self->{dir}/logs/dispatcher.log") or return '';
    local $/;
    return <$fh>;
}

my $conn = 3;

# Returns the member.
sub bind {
    my ($self, $uid, $edge, %o) = @_;
    my $member = join('/', $edge->name, sprintf('01000200%08x', $conn++),
        $o{device} // 'd1', 1700000000123);
    $self->redis('ZADD', "push:{$uid}", $o{score} // $self->now_ms + 90_000,
        $member);
    return $member;
}

sub bindings {
    my ($self, $uid) = @_;
    return $self->redis('ZRANGE', "push:{$uid}", 0, -1);
}

# Lines of a body.
sub user {
    my ($self, $uid, $seq, $data) = @_;
    $data //= 1;
    my $head = qq({"type":"message","log":"user","seq":$seq,"data":);
    my $json = "$head$data}";
    return "user $uid $seq 0 " . length($json) . ' ' . length($head)
        . "\n$json\n";
}

sub all {
    my ($self, $seq) = @_;
    return "all $seq 0 10 8\n{\"data\":1}\n";
}

# [status, text]
sub dispatch {
    my ($self, $lines, %o) = @_;
    my $r = $self->{http}->post("http://127.0.0.1:$self->{port}/dispatch",
        { headers => { 'Push-Secret' => $o{secret} // $secret },
          content => ($o{epoch} // "epoch e1\n") . $lines });
    return [ $r->{status}, $r->{content} ];
}

# The same without waiting: a sub that gives the answer.
sub dispatch_later {
    my ($self, $lines, %o) = @_;
    my $content = ($o{epoch} // "epoch e1\n") . $lines;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $self->{port}) or die "dispatcher: $!\n";

    print $s "POST /dispatch HTTP/1.1\r\nHost: d\r\nPush-Secret: $secret\r\n",
        'Content-Length: ', length($content), "\r\nConnection: close\r\n\r\n",
        $content;
    $s->flush;

    return sub {
        return $s if @_;
        local $/;
        my $all = <$s> // '';
        return $all =~ m{^HTTP/1.1 (\d+).*?\r\n\r\n(.*)}s ? [ $1, $2 ] : $all;
    };
}

sub done_ok {
    my ($self) = @_;
    my $status = $self->end('dispatcher', 'TERM');
    Test::More::is($status, 0, 'the dispatcher ends well');
    logs_ok("$self->{dir}/logs");
}

sub DESTROY {
    my ($self) = @_;
    return if $$ != $self->{owner};
    local $?;
    $self->end($_) for keys %{ $self->{children} };
    $_ && $_->end for @{ $self->{edges} };
}

package Push::Dispatcher::Edge;

# An edge's deliver location in a process of its own.  What it says is set by
# requests to /say, what it heard is read from /bodies.

use warnings;
use strict;

use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Time::HiRes qw(sleep time);

sub new {
    my ($class, %o) = @_;
    my $self = bless { %o, port => $o{port} // Push::Dispatcher::free_port(),
        http => HTTP::Tiny->new(timeout => 10, keep_alive => 0) }, $class;
    $self->{log} = "$self->{test}{dir}/logs/$self->{node}.log";
    delete $self->{test};
    $self->start unless exists $o{start} && !$o{start};
    return $self;
}

sub name { "$_[0]{node}/$_[0]{instance}" }
sub url { "http://127.0.0.1:$_[0]{port}/deliver" }

sub start {
    my ($self) = @_;
    my $listen = IO::Socket::INET->new(Listen => 64, ReuseAddr => 1,
        LocalAddr => '127.0.0.1', LocalPort => $self->{port})
        or die "edge: $!\n";

    $self->{pid} = fork() // die "fork: $!";

    if ($self->{pid} == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        open(STDOUT, '>>', $self->{log});      # prove waits for its pipe's end
        open(STDERR, '>&', \*STDOUT);
        eval { serve($listen, $self->{instance}, getppid()) };
        print STDERR "edge: $@" if $@;
        POSIX::_exit(0);
    }
}

# kill -9
sub end {
    my ($self) = @_;
    my $pid = delete $self->{pid} // return;
    kill('KILL', $pid);
    waitpid($pid, 0);
}

# What is said to each item: a word, or pairs of pattern and word in a list, or
# one of: hang (nothing is said until the next say), close, cut (one line only),
# status => 500, instance => hex, text => the whole body, delay => seconds.
sub say {
    my ($self, $word, %o) = @_;
    my $r = $self->{http}->post("http://127.0.0.1:$self->{port}/say",
        { content => encode_json({ word => $word, %o }) });
    $r->{success} or die "edge: $r->{content}\n";
}

sub heard {
    my ($self) = @_;
    my $r = $self->{http}->get("http://127.0.0.1:$self->{port}/bodies");
    $r->{success} or die "edge: $r->{content}\n";
    return decode_json($r->{content});
}

sub bodies { map { $_->{body} } @{ $_[0]->heard } }
sub forget { $_[0]{http}->post("http://127.0.0.1:$_[0]{port}/forget") }

# All item heads of all bodies, in order.
sub lines {
    my ($self) = @_;
    return map { heads($_) } $self->bodies;
}

sub heads {
    my ($body) = @_;
    my @heads;

    while ($body =~ /\G([^\n]*)\n/gc) {
        my $head = $1;
        next if $head =~ /^epoch /;
        push @heads, $head;
        my @f = split ' ', $head;
        my $len = $f[0] =~ /^(?:user|group|all|conn)$/ ? $f[-2]
            : $f[0] =~ /^(?:groups|reset|close|kick|extend|sent)$/ ? $f[-1]
            : next;
        pos($body) += $len + 1;
    }

    return @heads;
}

sub serve {
    my ($listen, $instance, $parent) = @_;
    my $select = IO::Select->new($listen);
    my (%in, @heard, @hanging);
    my $say = { word => 'ok 1' };

    while (getppid() == $parent) {
        for my $s ($select->can_read(1)) {
            if ($s == $listen) {
                my $c = $listen->accept or next;
                $select->add($c);
                $in{$c} = '';
                next;
            }

            my $n = sysread($s, $in{$s}, 1 << 20, length($in{$s}));

            if (!$n) {
                $select->remove($s);
                delete $in{$s};
                close($s);
                next;
            }

            while (my ($path, $headers, $body) = request(\$in{$s})) {

                if ($path eq '/bodies') {
                    send_reply($s, 200, encode_json(\@heard));

                } elsif ($path eq '/forget') {
                    @heard = ();
                    send_reply($s, 200, '');

                } elsif ($path eq '/say') {
                    $say = decode_json($body);
                    $instance = $say->{instance} if $say->{instance};
                    send_reply($s, 200, '');

                    for (grep { $_->[0]->opened } splice @hanging) {
                        answer($select, $_->[0], $say, $instance, $_->[1]);
                    }

                } else {
                    push @heard, { body => $body, headers => $headers,
                        at => time() };

                    if ($say->{word} eq 'hang') {
                        push @hanging, [ $s, $body ];

                    } else {
                        answer($select, $s, $say, $instance, $body);
                    }
                }

                last unless exists $in{$s};
            }
        }
    }
}

sub request {
    my ($in) = @_;
    $$in =~ /^(\w+) (\S+) HTTP\/1\.1\r\n(.*?\r\n)\r\n/s or return;
    my ($path, $headers, $head) = ($2, $3, $+[0]);
    my $len = $headers =~ /^content-length: (\d+)/im ? $1 : 0;
    return if length($$in) < $head + $len;
    my $body = substr($$in, $head, $len);
    substr($$in, 0, $head + $len) = '';
    return ($path, $headers, $body);
}

sub answer {
    my ($select, $s, $say, $instance, $body) = @_;
    my @heads = grep { !/^node / } heads($body);
    my $text = '';

    sleep($say->{delay}) if $say->{delay};

    if ($say->{word} eq 'close') {
        $select->remove($s);
        close($s);
        return;
    }

    for my $head (@heads) {
        my $word = $say->{word};

        if (ref $word) {
            for (my $i = 0; $i < @$word; $i += 2) {
                next unless $head =~ /$word->[$i]/;
                $word = $word->[$i + 1];
                last;
            }

            $word = 'ok 1' if ref $word;
        }

        $text .= ($word eq 'cut' ? 'ok 1' : $word) . "\n";
        last if $word eq 'cut';
    }

    $text = $say->{text} if defined $say->{text};
    send_reply($s, $say->{status} // 200, $text, $instance);
}

sub send_reply {
    my ($s, $status, $body, $instance) = @_;
    my $id = defined $instance && length($instance)
        ? "Push-Instance: $instance\r\n" : '';
    my $reply = "HTTP/1.1 $status X\r\nContent-Type: text/plain\r\n$id"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";

    while (length $reply) {
        my $n = syswrite($s, $reply) or last;
        substr($reply, 0, $n) = '';
    }
}

1;
