#!/usr/bin/perl

# What stands at the http level holds for servers and locations that say
# nothing else; what they say wins, the values that turn something off too.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Push::Edge;
use Push::WebSocket;

my ($one, $two) = (Push::Edge::free_ports(6))[4, 5];

my $edge = Push::Edge->new(redis => 0, http => <<CONF);
    push_user              \$arg_user;
    push_expires           \$arg_expires;
    push_origins           https://a.example;
    push_heartbeat_timeout 20s;
    push_hello_timeout     1m;
    push_max_message_size  300;
    push_limit_user        \$arg_limit;
    push_limit_addr        off;
    push_message_rate      1/s burst=2;
    push_drain_time        0;

    server {
        listen 127.0.0.1:$one;
        location /http { push_websocket; }
        location /location {
            push_websocket;
            push_user              loc-\$arg_user;
            push_expires           "";
            push_origins           any;
            push_heartbeat_timeout 40s;
            push_hello_timeout     100ms;
            push_max_message_size  4k;
            push_limit_user        off;
            push_message_rate      off;
            location /location/inner { push_websocket; }
        }
    }
    server {
        listen 127.0.0.1:$two;
        push_user              srv-\$arg_user;
        push_origins           https://b.example https://c.example;
        push_heartbeat_timeout 30s;
        push_message_rate      1000/s;
        push_limit_user        2;
        push_max_message_size  1k;
        push_expires           4102444800;
        location /server { push_websocket; }
        location /last { push_websocket; push_heartbeat_timeout 50s; }
    }
CONF

sub at {
    my ($port, $path, %o) = @_;
    my $args = delete $o{args} // '';
    return Push::WebSocket->new(
        url => "ws://127.0.0.1:$port$path?user=u1$args", %o);
}

sub welcome {
    my $ws = at(@_);
    $ws->hello(device => 'd');
    return $ws->wait_for('welcome') // {};
}

# How many pings are answered before a Close, and its code; at most n.
sub flood {
    my ($n, @where) = @_;
    my $ws = at(@where);
    $ws->hello(device => 'd');
    $ws->wait_for('welcome');
    $ws->send_json({ type => 'ping' }) for 1 .. $n;
    for (1 .. $n) {
        return $ws->close_code unless $ws->wait_for('pong');
    }
    return 'all';
}

sub too_big {
    my ($len, @where) = @_;
    my $ws = at(@where);
    $ws->hello(device => 'd');
    $ws->wait_for('welcome');
    $ws->send_text('{"type":"ping","x":"' . 'x' x $len . '"}');
    return $ws->wait_for('pong') ? 'no' : $ws->close_code;
}

my %want = (
    # port, path         user       origins           heartbeat  flood  300 B
    "$one /http"           => ['u1',     [1, 0, 0], 10, 4009,  1009],
    "$one /location"       => ['loc-u1', [1, 1, 1], 20, 'all', 'no'],
    "$one /location/inner" => ['loc-u1', [1, 1, 1], 20, 'all', 'no'],
    "$two /server"         => ['srv-u1', [0, 1, 0], 15, 'all', 'no'],
    "$two /last"           => ['srv-u1', [0, 1, 0], 25, 'all', 'no'],
);

for my $where (sort keys %want) {
    my ($user, $origins, $heartbeat, $flood, $big) = @{$want{$where}};
    my ($port, $path) = split / /, $where;

    $path = "$path";
    my $welcome = welcome($port, $path);
    is($welcome->{user}, $user, "$path: push_user");
    is($welcome->{heartbeat}, $heartbeat, "$path: push_heartbeat_timeout");

    my @names = qw(a b z);
    for my $i (0 .. 2) {
        is(at($port, $path, origin => "https://$names[$i].example")->status,
            $origins->[$i] ? 101 : 403, "$path: push_origins, $names[$i]");
    }

    is(flood(8, $port, $path), $flood, "$path: push_message_rate");
    is(too_big(300, $port, $path), $big, "$path: push_max_message_size");
}

is(at($one, '/http', args => '&expires=1')->status, 401,
    'push_expires of http');
is(at($one, '/location', args => '&expires=1')->status, 101,
    'push_expires "" turns it off');
is(at($one, '/location/inner', args => '&expires=1')->status, 101,
    '... for what is inside, too');
is(at($two, '/server', args => '&expires=1')->status, 101,
    'push_expires of the server');

my @held = map { at($one, '/http', args => '&limit=1&user=x') } 1;
is(at($one, '/http', args => '&limit=1')->status, 429, 'push_limit_user of http');
is(at($one, '/location', args => '&limit=1')->status, 101,
    'push_limit_user off');
push @held, at($two, '/server'), at($two, '/last');
is(at($two, '/last')->status, 429, 'push_limit_user of the server');

my $begin = Time::HiRes::time();
ok(at($one, '/location')->wait_for('welcome'), 'push_hello_timeout: soon');
cmp_ok(Time::HiRes::time() - $begin, '<', 3, '... it is');

undef @held;
$edge->logs_ok_now;

done_testing();
