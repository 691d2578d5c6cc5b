#!/usr/bin/perl

# Directives: what nginx -t says to each mistake, and that a module which is
# loaded but not used does nothing.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Push::Edge;
use Push::WebSocket;

my $edge = Push::Edge->new(start => 0, redis => 0);
my $dir = $edge->{dir};
my $load = $ENV{PUSH_NGINX} ? ''
    : "load_module \"$Push::Stack::root/build/ngx_http_push_module.so\";";

# A configuration of its own: lines of http, of a location, of another one.
sub says {
    my (%o) = @_;
    my $user = $o{user} // 'push_user $arg_user;';
    my $websocket = $o{websocket} // "push_websocket; $user";
    my $http = $o{http} // '';
    my $location = $o{location} // '';
    my $other = $o{other} // '';

    $edge->write_file('nginx.conf', <<CONF);
$load pid $dir/nginx.pid; error_log $dir/logs/error.log;
events { }
http {
    access_log off;
    $http
    server {
        listen 127.0.0.1:$edge->{port};
        location /ws { $websocket $location }
        location /other { $other }
    }
}
CONF

    return $edge->test;
}

my ($code, $out) = says();
is($code, 0, 'push_websocket and push_user are enough') or diag($out);

$edge->write_file('good', "0123456789abcdef\n", 0600);
$edge->write_file('both', "0123456789abcdef\r\nfedcba9876543210", 0600);
$edge->write_file('open', "0123456789abcdef\n", 0644);
$edge->write_file('short', "0123456789abcdef\nshort\n", 0600);
$edge->write_file('three', "0123456789abcdef\n" x 3, 0600);
$edge->write_file('empty', '', 0600);
$edge->write_file('blank', "0123456789 abcdef\n", 0600);
$edge->write_file('long', 'x' x 5000, 0600);

my $node = 'push_node n deliver=http://127.0.0.1:1/d;';

for my $case (
    ['two secrets', http => 'push_secret_file both;',
        other => 'push_deliver;'],
    ['push_origins any', location => 'push_origins any;'],
    ['two origins',
        location => 'push_origins https://a.example http://b:8080;'],
    ['a queue', location => 'push_send_queue 16 32k;'],
    ['Redis by socket', http => "$node push_redis unix:/none;"],
    ['Redis with password and database',
        http => "$node push_redis redis://u:p%40ss\@127.0.0.1:1/3;"],
    ['Redis without user', http => "$node push_redis redis://:p\@127.0.0.1;"],
    ['no drain time', http => 'push_drain_time 0;'],
    ['all at the http level', http => 'push_user $arg_user;'
        . ' push_expires $arg_e; push_heartbeat_timeout 5s;'
        . ' push_hello_timeout 100ms; push_ack_interval 100ms;'
        . ' push_resync_interval 10s; push_max_message_size 1k;'
        . ' push_send_queue 1 1k; push_origins http://a;'
        . ' push_ring_size 64k; push_drain_time 1h; push_node edge-1;'
        . ' push_limit_user 1; push_limit_addr 65535; push_send_memory 2m;'
        . ' push_limit_connections 1; push_message_rate 1/s;',
        user => ''],
    ['limits that are off', http => 'push_limit_user 3; push_limit_addr 3;'
        . ' push_message_rate 5/s; push_limit_connections off;',
        location => 'push_limit_user off; push_limit_addr off;'
        . ' push_message_rate off;'],
    ['a limit by variable', location => 'push_limit_user $arg_limit;'],
    ['a rate with burst', location => 'push_message_rate 10000/s'
        . ' burst=1000000;'],
) {
    my ($title, %o) = @$case;
    ($code, $out) = says(%o);
    is($code, 0, "$title is accepted") or diag($out);
    unlike($out, qr/\[warn\]/, "$title: no warning");
}

($code, $out) = says(http => 'push_secret_file open;');
is($code, 0, 'a secret that everybody can read is accepted');
like($out, qr/\[warn\].*can be read by everybody/, '... with a warning');

my $file = quotemeta "$dir/nginx.conf";

for my $case (
    [qr/"push_websocket" needs "push_user" in $file:8/, user => ''],
    [qr/"push_deliver" needs "push_secret_file" in $file:9/,
        other => 'push_deliver;'],
    [qr/"push_websocket" directive is duplicate/,
        location => 'push_websocket;'],
    [qr/"push_deliver" directive stands beside another handler/,
        http => 'push_secret_file good;', location => 'push_deliver;'],
    [qr/"push_heartbeat_timeout" directive must be at least 5s.* in $file:8/,
        location => 'push_heartbeat_timeout 4s;'],
    [qr/must be at least 5s, and at most 1h/,
        location => 'push_heartbeat_timeout 2h;'],
    [qr/"push_hello_timeout" directive must be at least 100ms/,
        location => 'push_hello_timeout 0;'],
    [qr/"push_ack_interval" directive must be at least 100ms/,
        location => 'push_ack_interval 99ms;'],
    [qr/"push_resync_interval" directive must be at least 10s/,
        location => 'push_resync_interval 9s;'],
    [qr/"push_max_message_size" directive must be at least 256 bytes/,
        location => 'push_max_message_size 255;'],
    [qr/"push_drain_time" directive must be at most 1h/,
        http => 'push_drain_time 2h;'],
    [qr/"push_ring_size" directive must be 64k to 1g/,
        http => 'push_ring_size 1k;'],
    [qr/"push_heartbeat_timeout" directive invalid value/,
        location => 'push_heartbeat_timeout soon;'],
    [qr/needs a count of 1 to 8192/, location => 'push_send_queue 0 64k;'],
    [qr/needs a count of 1 to 8192/, location => 'push_send_queue x 64k;'],
    [qr/needs a size of 1k to 16m/, location => 'push_send_queue 8 17m;'],
    [qr/invalid number of arguments/, location => 'push_send_queue 8;'],
    [qr/invalid origin "a.example"/, location => 'push_origins a.example;'],
    [qr/invalid origin "https:\/\/A.example"/,
        location => 'push_origins https://A.example;'],
    [qr/invalid origin "https:\/\/a\/"/,
        location => 'push_origins https://a/;'],
    [qr/invalid origin "any"/, location => 'push_origins http://a any;'],
    [qr/invalid origin "https:\/\/\*\.a"/,
        location => 'push_origins https://*.a;'],
    [qr/"push_node" directive needs a name of 1 to 128 bytes/,
        http => 'push_node "a b";'],
    [qr/invalid parameter "deliver" of "push_node"/,
        http => 'push_node n deliver;'],
    [qr/invalid URL "10.0.0.1:80" in "push_node"/,
        http => 'push_node n deliver=10.0.0.1:80;'],
    [qr/"push_redis" needs "push_node NAME deliver=URL".* in $file:5/,
        http => 'push_redis redis://127.0.0.1;'],
    [qr/"push_redis" directive needs redis:/,
        http => "$node push_redis 127.0.0.1:6379;"],
    [qr/"push_redis" directive has a bad database/,
        http => "$node push_redis redis://127.0.0.1/x;"],
    [qr/"push_redis" directive has an empty password/,
        http => "$node push_redis redis://u:\@127.0.0.1;"],
    [qr/invalid port in address "127.0.0.1:99999" of "push_redis"/,
        http => "$node push_redis redis://127.0.0.1:99999;"],
    [qr/host not found in address "no\.such\.host\.invalid" of "push_redis"/,
        http => "$node push_redis redis://u:hidden\@no.such.host.invalid;"],
    [qr/cannot open secret file ".*\/none" .*No such file/,
        http => 'push_secret_file none;'],
    [qr/secret file ".*\/empty" is empty/, http => 'push_secret_file empty;'],
    [qr/line 2 of secret file ".*\/short" has 5 bytes, at least 16/,
        http => 'push_secret_file short;'],
    [qr/secret file ".*\/three" has more than 2 lines/,
        http => 'push_secret_file three;'],
    [qr/line 1 of secret file ".*\/blank" has a byte/,
        http => 'push_secret_file blank;'],
    [qr/secret file ".*\/long" is longer than 4096 bytes/,
        http => 'push_secret_file long;'],
    (map { [qr/"push_limit_user" directive needs a number of 1 to 65535/,
        location => "push_limit_user $_;"] } qw(0 65536 -1 x '' 1x)),
    (map { [qr/"push_limit_addr" directive needs a number of 1 to 65535/,
        location => "push_limit_addr $_;"] } qw(0 65536 $arg_limit)),
    (map { [qr/"push_limit_connections" directive needs a number of 1 to/,
        http => "push_limit_connections $_;"] } qw(0 10000001 all)),
    (map { [qr/"push_$_" directive is duplicate/,
        location => "push_$_ 1; push_$_ 2;"] } qw(limit_user limit_addr)),
    [qr/"push_limit_connections" directive is duplicate/,
        http => 'push_limit_connections 1; push_limit_connections 2;'],
    [qr/"push_message_rate" directive is duplicate/,
        location => 'push_message_rate 1/s; push_message_rate off;'],
    (map { [qr/"push_message_rate" directive needs a rate of 1\/s to 10000/,
        location => "push_message_rate $_;"] }
        qw(5 0/s 10001/s /s off/s 5/m 5r/s), 'off burst=3'),
    [qr/"push_message_rate" directive takes burst=N/,
        location => 'push_message_rate 5/s nodelay;'],
    (map { [qr/"push_message_rate" directive needs a burst of 1 to/,
        location => "push_message_rate 5/s burst=$_;"] } qw(0 1000001 off)),
    (map { [qr/"push_send_memory" directive must be 2m to 1048576m/,
        http => "push_send_memory $_;"] } qw(2047k 1048577m)),
    [qr/"push_send_memory" directive is not allowed here/,
        location => 'push_send_memory 2m;'],
    [qr/"push_limit_connections" directive is not allowed here/,
        location => 'push_limit_connections 5;'],
    [qr/"push_websocket" directive is not allowed here/,
        http => 'push_websocket;'],
    [qr/"push_redis" directive is not allowed here/,
        location => 'push_redis redis://127.0.0.1;'],
) {
    my ($pattern, %o) = @$case;
    ($code, $out) = says(%o);
    isnt($code, 0, "refused: $pattern");
    like($out, $pattern, '... with its sentence');
    like($out, qr/ in $file:\d+$/m, '... and its line');
    unlike($out, qr/0123456789|hidden/, '... and no secret');
}

# who reads a configuration needs neither root nor Redis

SKIP: {
    skip 'only root can become somebody else', 2
        if $> || system('setpriv --version >/dev/null 2>&1') != 0;

    my $own = "$dir/nobody";
    mkdir($own);
    $edge->write_file('nobody/secret', "0123456789abcdef\n", 0600);
    says(http => 'push_node n deliver=http://127.0.0.1:1/d;'
        . ' push_redis redis://127.0.0.1:1; push_secret_file secret;'
        . ' client_body_temp_path b; proxy_temp_path p;'
        . ' fastcgi_temp_path f; uwsgi_temp_path u;'
        . ' scgi_temp_path s;', other => 'push_deliver;');
    my $conf = do { local (@ARGV, $/) = "$dir/nginx.conf"; <> };
    $conf =~ s{$dir/nginx\.pid}{$own/nginx.pid};
    $conf =~ s{$dir/logs/error\.log}{$own/error.log};
    $edge->write_file('nobody/nginx.conf', $conf);
    chown(65534, 65534, $own, glob("$own/*"));

    my $said = `ASAN_OPTIONS=detect_leaks=0 setpriv --reuid 65534 --regid 65534 --clear-groups ${\$edge->nginx} -t -p $own -e $own/error.log -c $own/nginx.conf 2>&1`;
    is($?, 0, 'nobody may test a configuration, and Redis is not there')
        or diag($said);
    unlike($said, qr/\[(?:emerg|alert|crit)\]/, '... without a complaint');
}

# loaded but unused: no descriptors and no shared memory beyond nginx's own

# Sizes of shared mappings larger than the page or two of nginx's own counters.
sub zones {
    my ($pid) = @_;
    no warnings "portable";
    return grep { $_ > 16384 } map {
        /^([0-9a-f]+)-([0-9a-f]+) rw-s/ ? hex($2) - hex($1) : ()
    } split /\n/, `cat /proc/$pid/maps`;
}

sub zone { return scalar(my @all = zones(@_)) }

says(websocket => '', other => 'return 204;');
$edge->start;
my ($worker) = $edge->workers;
my @sockets = grep { (readlink($_) // '') =~ /^socket/ }
              glob("/proc/$worker/fd/*");
cmp_ok(scalar(@sockets), '<', 10, 'unused: no sockets of its own (each of at '
    . 'least 64 slots has two)');
is(zone($worker), 0, 'unused: no zone');

# A timer is the time for which a worker sleeps in epoll_wait, its fourth
# argument; -1 is for ever.
sub sleeps {
    my ($pid) = @_;
    my @call;
    Push::Edge::wait_until(sub {
        @call = split ' ', `cat /proc/$pid/syscall 2>/dev/null`;
        return @call > 4 && $call[0] =~ /^(?:232|281|22)$/;
    }, 5) or return 'nobody knows';
    return hex($call[4]) == 0xffffffff ? 'for ever' : 'for a time';
}

my $fds = sub { my @all = glob("/proc/$_[0]/fd/*"); return scalar @all };
my $unused = [ $fds->($worker), sleeps($worker) ];
$edge->stop;

SKIP: {
    skip 'the kernel does not tell what a worker waits for', 1
        if $unused->[1] eq 'nobody knows';
    is($unused->[1], 'for ever', 'unused: no timer');
}

SKIP: {
    skip 'this nginx has the module linked in', 1 if $ENV{PUSH_NGINX};
    my $conf = do { local (@ARGV, $/) = "$dir/nginx.conf"; <> };
    $conf =~ s/^load_module [^;]*;//;
    $edge->write_file('nginx.conf', $conf);
    $edge->start;
    my ($without) = $edge->workers;
    is($unused->[0], $fds->($without),
        'unused: as many descriptors as without the module');
    $edge->stop;
}

says();
$edge->start;
($worker) = $edge->workers;
is(zone($worker), 1, 'used: one zone');
my $ws = Push::WebSocket->new(url =>
    "ws://127.0.0.1:$edge->{port}/ws?user=u1");
isnt(sleeps($worker), 'for ever', 'used: a timer, while it has a connection');
$ws->drop;
cmp_ok((zones($worker))[0], '<', 1048576, '... of less than 1 MB');
$edge->stop;

says(http => 'push_limit_user 5; push_limit_connections 5;'
    . ' push_message_rate 5/s;', location => 'push_limit_user off;');
$edge->start;
($worker) = $edge->workers;
cmp_ok((zones($worker))[0], '<', 1048576, '... also when limits are off');
$edge->stop;

says(location => 'push_limit_addr 5;');
$edge->start;
($worker) = $edge->workers;
cmp_ok((zones($worker))[0], '>', 64 * 1048576,
    'a limit needs counters for each slot');
my ($rss) = `grep RssShmem /proc/$worker/status` =~ /(\d+) kB/;
cmp_ok($rss, '<', 4096, '... in memory are only those that are used');
$edge->stop;

$edge->logs_ok_now(qr/\[emerg\]/);

done_testing();
