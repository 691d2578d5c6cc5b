#!/usr/bin/perl

# ./run up, down, token: what they promise to whoever calls them.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::INET;
use MIME::Base64 qw(decode_base64url);
use JSON::PP;
use POSIX ();
use Push::Stack;

# --- the command line -------------------------------------------------------

sub says {
    my ($args, $pattern, $name) = @_;
    my $out = `$Push::Stack::root/run $args 2>&1`;

    ok($? != 0 && $out =~ $pattern, $name) or diag("status $?: $out");
}

says('up --edges 9', qr/--edges must be a number from 1 to 8, not '9'/,
    'too many edges are refused with the bounds');
says('up --port x', qr/--port must be a number/, 'a port is a number');
says('up --dir', qr/--dir needs a value/, 'an option without its value');
says('up --dir /tmp/none --store files', qr/sqlite or mongo, not 'files'/,
    'an unknown store');
says('mongod --dir /tmp/none --members 2', qr/--members is 1 or 3/,
    'two members have no majority without each other');
says('mongod dance', qr/takes no word but stop/, 'mongod dances not');
says('mongod --store mongo', qr/mongod does not take --store/,
    'an option that mongod does not have');
says("up --dir ''", qr/--dir needs a value/, 'an option with an empty value');
says('up --dir /proc', qr{nothing can be written to /proc},
    'a directory where nothing can be written');
says('up --nonsense', qr/unknown option --nonsense/, 'an unknown option');
says('clean --port 1', qr/clean does not take --port/,
    'an option of another command');
says('dance', qr/unknown command 'dance'/, 'an unknown command');
says('token', qr/whose token/, 'a token needs a user');
says('token u1 --dir /tmp/none', qr/no stack in/, 'a token needs a stack');

my $help = `$Push::Stack::root/run --help`;

is($?, 0, 'help is no failure');
like($help, qr/^  $_ /m, "help names $_")
    for qw(deps build demo up down token mongod check bench clean);

is(`cd $Push::Stack::root && bash -euc '
    . run.d/deps.sh; PATH=/none; p=(first \$(deps_clang)); echo "\${p[*]}"'`,
    "first\n", 'deps goes on where there is no clang');

# --- one stack --------------------------------------------------------------

my $one = Push::Stack->new(edges => 2, workers => 2);
my @names = qw(redis auth dispatcher collector nginx-1 nginx-2);
my $base = $one->{base};

is_deeply([ sort map { m{([^/]+)\.pid$} } glob("$one->{dir}/pids/*.pid") ],
    [ sort @names ], 'each process has its pid file');

my %env = %{$one->{env}};

is($env{PUSH_URL}, "http://127.0.0.1:$base", 'PUSH_URL');
is($env{PUSH_WS}, "ws://127.0.0.1:$base/ws", 'PUSH_WS');
is($env{PUSH_WS_2}, 'ws://127.0.0.1:' . ($base + 2) . '/ws', 'PUSH_WS_2');
is($env{PUSH_DELIVER_1}, 'http://127.0.0.1:' . ($base + 1) . '/deliver',
    'PUSH_DELIVER_1');
is($env{PUSH_DELIVER_2}, 'http://127.0.0.1:' . ($base + 3) . '/deliver',
    'PUSH_DELIVER_2');
is($env{PUSH_JWT_AUD}, 'push', 'PUSH_JWT_AUD');
ok(-s $env{PUSH_JWT_SECRET_FILE}, 'PUSH_JWT_SECRET_FILE is there');
ok(-s $env{PUSH_SECRET_FILE}, 'PUSH_SECRET_FILE is there');

for my $file (@env{qw(PUSH_JWT_SECRET_FILE PUSH_SECRET_FILE)},
              "$one->{dir}/etc/api.keys", "$one->{dir}/env")
{
    is((stat($file))[2] & 0777, 0600, "$file is its owner's alone");
}

is(scalar $one->workers('nginx-1'), 2, 'two workers');

is(`sh -c '. $one->{dir}/env; printf %s "\$PUSH_API_KEY"'`,
    $env{PUSH_API_KEY}, 'a shell can source env');

# --- token ------------------------------------------------------------------

my ($code, $token) = $one->run('token', 'u:1@x', '--dir', $one->{dir});
my @parts = split /\./, $token;
my $claims = decode_json(decode_base64url($parts[1]));

is($code, 0, 'a token is printed');
is($claims->{sub}, 'u:1@x', 'sub');
is($claims->{aud}, 'push', 'aud');
ok(abs($claims->{exp} - time() - 3600) < 30, 'exp is in an hour');
ok(abs($claims->{iat} - time()) < 30, 'iat is now');

chomp($token);
is(Push::WebSocket->new(url => $env{PUSH_WS}, token => $token)->status, 101,
    'the edge takes it');

($code, my $out) = $one->run('token', 'no/name', '--dir', $one->{dir});
ok($code && $out =~ /a user is/, 'an illegal user gets none');

# --- up again, side by side, down -------------------------------------------

my %before = map { $_ => $one->pid($_) } @names;

$one->kill9('collector');
$one->kill9('auth');
like($one->up, qr/^started: auth collector$/m, 'up starts what is missing');

for my $name (@names) {
    my $same = $one->pid($name) == $before{$name};

    ok($name =~ /^(?:auth|collector)$/ ? !$same : $same,
        "$name: " . ($same ? 'the same' : 'a new one'));
}

like($one->up, qr/everything runs already/, 'nothing is missing now');

($code, $out) = $one->run('up', '--dir', $one->{dir}, '--port', 29000);
ok($code && $out =~ /runs with --port $base/,
    'another port for a running stack is refused');

my $two = Push::Stack->new;

isnt($two->{base}, $base, 'a second stack stands beside it');
is($two->publish({ to => { user => 'u1' }, data => 2 })->{status}, 201,
    'the second stores');
is($one->publish({ to => { user => 'u1' }, data => 1 })->{json}{seq}, 1,
    'the first has a store of its own');

my $held = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
    or die "socket: $!";
my $port = $held->sockport;
($code, $out) = $one->run('up', '--dir', "$one->{dir}/third", '--port',
    $port - 16);
ok($code && $out =~ /port $port, wanted for redis, is in use/,
    'a port that is taken is named');
close($held);

like($one->down, qr/^ended: nginx-1 nginx-2 collector dispatcher auth redis$/m,
    'down ends all');
ok(Push::Stack::gone($before{$_}), "$_ has gone") for qw(redis nginx-1 dispatcher);
is_deeply([ glob("$one->{dir}/pids/*.pid") ], [], 'no pid file is left');
is($two->publish({ to => { user => 'u1' }, data => 3 })->{status}, 201,
    'the other stack goes on');
like($one->down, qr/nothing was running/, 'down twice is no failure');

$one->up;
is($one->publish({ to => { user => 'u1' }, data => 4 })->{json}{seq}, 2,
    'the store outlives down and up');

# --- demo -------------------------------------------------------------------

# As in a script: what a shell starts with & begins with INT ignored.
$one->down;
my $log = "$one->{dir}/demo.out";
my $pid = fork() // die "fork: $!";

if ($pid == 0) {
    $SIG{INT} = 'IGNORE';
    open(STDOUT, '>', $log);
    open(STDERR, '>&', \*STDOUT);
    exec("$Push::Stack::root/run", 'demo', '--dir', $one->{dir})
        or POSIX::_exit(127);
}

ok(Push::Stack::wait_until(sub { `cat $log` =~ /Ctrl-C ends/ }, 60),
    'demo says what to do') or diag(`cat $log`);
kill('INT', $pid);
waitpid($pid, 0);
is($?, 0, 'Ctrl-C is no failure');
like(`cat $log`, qr/^ended: nginx-1 .*redis$/m, 'and ends all');
is_deeply([ glob("$one->{dir}/pids/*.pid") ], [], 'demo leaves no process');

$_->logs_ok_now for $one, $two;

done_testing();
