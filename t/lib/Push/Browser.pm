package Push::Browser;

# A headless Chromium by chromedriver.
#
#     plan(skip_all => $why) if $why = Push::Browser::missing();
#     my $browser = Push::Browser->new;
#     $browser->open('http://127.0.0.1:7700/');
#     $browser->wait_script('return document.title === "x"');

use warnings;
use strict;

use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Push::Stack;

my $json = JSON::PP->new->utf8->allow_nonref;

sub which {
    for my $name (@_) {
        for my $dir (split(/:/, $ENV{PATH})) {
            return "$dir/$name" if -x "$dir/$name";
        }
    }

    return;
}

# A snap, or a script that only asks for one: Ubuntu has no other.
sub is_snap {
    my $file = abs_path($_[0]) // '';
    my $head = '';

    if (open(my $fh, '<', $file)) {
        read($fh, $head, 4096);
    }

    return $file =~ m{/snap(?:/|\z)} || $head =~ m{^#!.*/snap/bin/}s;
}

# Why there is no browser; undef: there is one.
sub missing {
    my $browser = which('chromium', 'chromium-browser', 'google-chrome')
        or return 'no chromium is installed (package chromium)';
    my $driver = which('chromedriver')
        or return 'no chromedriver is installed (package chromium-driver)';

    return 'chromium is a snap here, and a snap sees another /tmp'
        if is_snap($browser) || is_snap($driver);
    return;
}

sub new {
    my ($class) = @_;
    my $self = bless {
        dir => tempdir('push-browser-XXXXXX', TMPDIR => 1, CLEANUP => 0),
        http => HTTP::Tiny->new(timeout => 60), owner => $$,
    }, $class;

    my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1');
    my $port = $socket->sockport;
    close($socket);

    $self->{url} = "http://127.0.0.1:$port";
    $self->{pid} = fork() // die "fork: $!";

    if ($self->{pid} == 0) {
        POSIX::setsid();
        open(STDIN, '<', '/dev/null');
        open(STDOUT, '>', "$self->{dir}/driver.log");
        open(STDERR, '>&', \*STDOUT);
        @ENV{qw(HOME TMPDIR)} = ($self->{dir}) x 2;
        exec(which('chromedriver'), "--port=$port") or POSIX::_exit(127);
    }

    Push::Stack::wait_until(sub {
        my $r = $self->{http}->get("$self->{url}/status");
        $r->{success};
    }, 20) or die "chromedriver does not start\n";

    my $r = $self->call('POST', '/session', {
        capabilities => { alwaysMatch => {
            browserName => 'chrome',
            'goog:chromeOptions' => {
                binary => which('chromium', 'chromium-browser',
                                'google-chrome'),
                args => [
                    qw(--headless --no-sandbox --disable-gpu
                       --disable-dev-shm-usage --disable-background-networking
                       --disable-component-update --disable-sync
                       --no-first-run),
                    "--user-data-dir=$self->{dir}/profile",
                ],
            },
            'goog:loggingPrefs' => { browser => 'ALL' },
        } },
    });

    $self->{session} = "/session/$r->{sessionId}";

    return $self;
}

sub call {
    my ($self, $method, $path, $body) = @_;
    my $r = $self->{http}->request($method, "$self->{url}$path", {
        defined $body ? (content => $json->encode($body),
            headers => { 'content-type' => 'application/json' }) : ()
    });
    my $value = eval { $json->decode($r->{content})->{value} };

    die "chromedriver: $method $path: "
        . (ref $value ? $value->{message} : $r->{content}) . "\n"
        unless $r->{success};

    return $value;
}

sub open {
    my ($self, $url) = @_;
    $self->call('POST', "$self->{session}/url", { url => $url });
}

# The value of a script's `return`.
sub script {
    my ($self, $text, @args) = @_;
    return $self->call('POST', "$self->{session}/execute/sync",
        { script => $text, args => \@args });
}

# Until the script returns something true.
sub wait_script {
    my ($self, $text, $timeout) = @_;
    return Push::Stack::wait_until(sub { $self->script($text) },
        $timeout // 10);
}

# Lines of the console.
sub console {
    my ($self) = @_;
    return map { "$_->{level} $_->{message}" }
        @{$self->call('POST', "$self->{session}/se/log", { type => 'browser' })};
}

sub DESTROY {
    my ($self) = @_;

    return if $$ != $self->{owner};

    local ($?, $@, $!);

    eval { $self->call('DELETE', $self->{session}) } if $self->{session};

    if ($self->{pid}) {
        kill('TERM', -$self->{pid});
        waitpid($self->{pid}, 0);
    }

    # Processes of the browser may still write for a moment.
    Push::Stack::wait_until(sub { !system("rm -rf '$self->{dir}' 2> /dev/null") });
}

1;
