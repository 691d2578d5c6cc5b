#!/usr/bin/perl

# The dynamic module exports what nginx looks up and nothing else: another
# module's redis* symbols cannot bind to ours, nor ours to theirs.  And no fault
# point is in what is installed.

use warnings;
use strict;

use Test::More;

use FindBin;

my $module = "$FindBin::Bin/../build/ngx_http_push_module.so";

plan(skip_all => 'the module is not built (make module)') unless -f $module;
plan(tests => 3);

my @names = sort map { /^\S+ [A-Z] (\S+)$/ ? $1 : () }
    split /\n/, `nm -D --defined-only '$module'`;

is_deeply(\@names, [ qw(ngx_http_push_module ngx_module_names
                        ngx_module_order ngx_modules) ],
    'the module exports just the four names of nginx');

my @wanted = `nm -D --undefined-only '$module'` =~ /^\s+U (redis\S+|sds\S+)/mg;

is_deeply(\@wanted, [], 'no symbol of hiredis is left to the loader');

# a build of `make FAULTS=1` has the name of the variable in it
my @binaries = grep { -f } $module,
    map { "$FindBin::Bin/../build/bin/push-$_" } qw(auth collector dispatcher);
my @found = grep {
    open(my $fh, '<:raw', $_) or die "$_: $!";
    local $/;
    <$fh> =~ /PUSH_FP|store-acked|edge-enqueued/;
} @binaries;

is_deeply(\@found, [], 'no fault point in module and daemons');
