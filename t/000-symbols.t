#!/usr/bin/perl

# The dynamic module exports what nginx looks up and nothing else: another
# module's redis* symbols cannot bind to ours, nor ours to theirs.

use warnings;
use strict;

use Test::More;

use FindBin;

my $module = "$FindBin::Bin/../build/ngx_http_push_module.so";

plan(skip_all => 'the module is not built (make module)') unless -f $module;
plan(tests => 2);

my @names = sort map { /^\S+ [A-Z] (\S+)$/ ? $1 : () }
    split /\n/, `nm -D --defined-only '$module'`;

is_deeply(\@names, [ qw(ngx_http_push_module ngx_module_names
                        ngx_module_order ngx_modules) ],
    'the module exports just the four names of nginx');

my @wanted = `nm -D --undefined-only '$module'` =~ /^\s+U (redis\S+|sds\S+)/mg;

is_deeply(\@wanted, [], 'no symbol of hiredis is left to the loader');
