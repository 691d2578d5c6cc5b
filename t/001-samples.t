#!/usr/bin/perl

# What stands in conf/ is accepted as it stands, but for paths and names.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp qw(tempdir);
use Push::Stack;

my $root = $Push::Stack::root;
my $build = $ENV{PUSH_BUILD} // "$root/build";
my $dir = tempdir(CLEANUP => 1);

my $out = `$root/run conf --dir $dir --port 21780 2>&1`;

is($?, 0, 'the samples have nothing that ./run up does not know')
    or diag($out);

for my $daemon (qw(auth collector dispatcher)) {
    my $says = `$build/bin/push-$daemon -t -c $dir/etc/$daemon.conf 2>&1`;

    is($?, 0, "push-$daemon -t takes conf/$daemon.conf") or diag($says);
}

my $nginx = $ENV{PUSH_NGINX} || (-x '/usr/sbin/nginx' ? '/usr/sbin/nginx'
                                                       : 'nginx');
my $says = `ASAN_OPTIONS=detect_leaks=0 $nginx -t -e $dir/error.log -c $dir/etc/nginx-1.conf 2>&1`;

is($?, 0, 'nginx -t takes conf/nginx.conf') or diag($says);
unlike($says, qr/\[(?:warn|emerg|alert)\]/, 'without a warning');

done_testing();
