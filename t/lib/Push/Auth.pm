package Push::Auth;

# push-auth with an HS256 key, in a directory of its own.
#
#     my $t = Push::Auth->new;
#     $t->verify(Authorization => "Bearer $token")     an HTTP::Tiny response
#     $t->write('auth.conf', $text); $t->signal('HUP'); $t->wait_log(qr/…/);

use warnings;
use strict;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Socket::INET;
use Push::Logs qw(logs_ok);
use Time::HiRes qw(sleep time);

my $root = abs_path(dirname(__FILE__) . '/../../..');

sub binary { return ($ENV{PUSH_BUILD} // "$root/build") . "/bin/push-auth" }

sub free_port {
    for my $port (21040 .. 21099) {
        return $port if IO::Socket::INET->new(Listen => 1,
            LocalAddr => '127.0.0.1', LocalPort => $port, ReuseAddr => 1);
    }

    die "no free port between 21040 and 21099\n";
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

sub new {
    my ($class, %o) = @_;

    my $self = bless {
        dir => tempdir('push-auth-XXXXXX', TMPDIR => 1, CLEANUP => 1),
        port => free_port(), key => '0123456789abcdef' x 2, owner => $$,
        http => HTTP::Tiny->new(timeout => 10),
    }, $class;

    $self->write('hs.key', "$self->{key}\n", 0600);
    $self->write('auth.conf', $self->conf);

    $self->{pid} = fork() // die "fork: $!";

    if (!$self->{pid}) {
        open(STDERR, '>>', "$self->{dir}/auth.log") or die;
        exec(binary(), '-c', "$self->{dir}/auth.conf") or exit(127);
    }

    wait_until(sub { $self->get('/readyz')->{status} == 200 })
        or die "push-auth does not start:\n" . $self->log;

    return $self;
}

sub conf {
    my ($self, $more) = @_;

    return qq(listen = "127.0.0.1:$self->{port}"\nlog_level = debug\n)
        . ($more // '')
        . qq(key main { algorithm = HS256\n file = "$self->{dir}/hs.key" }\n);
}

sub write {
    my ($self, $name, $text, $mode) = @_;

    open(my $fh, '>', "$self->{dir}/$name.new") or die "$name: $!";
    print $fh $text;
    close($fh);
    chmod($mode // 0644, "$self->{dir}/$name.new");
    rename("$self->{dir}/$name.new", "$self->{dir}/$name") or die;
}

sub get {
    my ($self, $path, %headers) = @_;

    return $self->{http}->get("http://127.0.0.1:$self->{port}$path",
                              { headers => \%headers });
}

sub verify {
    my ($self, %headers) = @_;

    return $self->get('/verify', %headers);
}

sub signal { my ($self, $name) = @_; kill($name, $self->{pid}) }

sub log {
    my ($self) = @_;

    open(my $fh, '<', "$self->{dir}/auth.log") or return '';
    local $/;
    return <$fh> // '';
}

sub wait_log {
    my ($self, $pattern) = @_;
    return wait_until(sub { $self->log =~ $pattern });
}

# The exit status, or undef: it did not end.
sub ended {
    my ($self) = @_;

    my $done = wait_until(sub { waitpid($self->{pid}, 1) == $self->{pid} });
    delete $self->{pid} if $done;

    return $done ? $? : undef;
}

# (status, output) of push-auth -t
sub test_conf {
    my ($self, $text) = @_;

    $self->write('test.conf', $text);
    my $output = `${\binary()} -t -c $self->{dir}/test.conf 2>&1`;

    return ($? >> 8, $output);
}

# Its end, at which it says what was leaked, and then its log.
sub logs_ok_now {
    my ($self) = @_;

    if ($self->{pid}) {
        $self->signal('TERM');
        $self->ended;
    }

    logs_ok($self->{dir});
}

sub DESTROY {
    my ($self) = @_;
    return if $$ != $self->{owner} || !$self->{pid};

    local $?;
    kill('KILL', $self->{pid});
    waitpid($self->{pid}, 0);
}

1;
