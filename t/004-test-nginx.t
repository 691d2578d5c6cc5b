#!/usr/bin/perl

# What is answered without a WebSocket, in the words of Test::Nginx: blocks of
# configuration, request and answer, as operators write them for their own
# locations.

use warnings;
use strict;

use Test::More;

my $port;

BEGIN {
    use FindBin;
    use lib "$FindBin::Bin/lib";
    require Push::Edge;
    require File::Temp;

    ($port) = Push::Edge::free_ports(1);

    $ENV{TEST_NGINX_SERVER_PORT} = $port;
    $ENV{TEST_NGINX_SERVROOT} = File::Temp::tempdir(CLEANUP => 1) . '/servroot';
    $ENV{TEST_NGINX_BINARY} = Push::Edge::nginx();
    $ENV{TEST_NGINX_LOAD_MODULES} = "$FindBin::Bin/../build/ngx_http_push_module.so"
        unless $ENV{PUSH_NGINX};

    # it reads the environment when it is loaded
    eval { require Test::Nginx::Socket }
        or plan(skip_all => 'Test::Nginx is not installed (./run deps)');
}

use Test::Nginx::Socket;

no_shuffle();
run_tests();
done_testing();

__DATA__

=== no Upgrade: 426 and the version that is meant
--- config
    location /ws { push_websocket; push_user $arg_user; }
--- request
GET /ws?user=u1
--- error_code: 426
--- response_headers
Sec-WebSocket-Version: 13
--- no_error_log
[alert]


=== another method: 405
--- config
    location /ws { push_websocket; push_user $arg_user; }
--- request
POST /ws?user=u1
x
--- error_code: 405
--- response_headers
Allow: GET
--- no_error_log
[alert]


=== nobody says who it is: 401
--- config
    location /ws { push_websocket; push_user $arg_user; }
--- request
GET /ws
--- more_headers
Upgrade: websocket
Connection: Upgrade, close
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
--- error_code: 401
--- no_error_log
[alert]


=== another origin: 403
--- config
    location /ws {
        push_websocket;
        push_user    $arg_user;
        push_origins https://app.example.com;
    }
--- request
GET /ws?user=u1
--- more_headers
Upgrade: websocket
Connection: Upgrade, close
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
Origin: https://app.example.com.evil
--- error_code: 403
--- no_error_log
[alert]


=== the status as JSON
--- config
    location /ws { push_websocket; push_user $arg_user; }
    location /status { push_status; }
--- request
GET /status
--- error_code: 200
--- response_body_like: "connections": *0
--- no_error_log
[alert]
