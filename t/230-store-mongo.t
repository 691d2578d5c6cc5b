#!/usr/bin/perl

# The store's contract on a real MongoDB: the programs of t/unit that take a
# set, all at once, each case in a database of its own.  Servers that a
# collector cannot work with.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Push::Collector;
use Push::Mongo;
use Test::More;

my $set = eval { Push::Mongo->new };
plan(skip_all => $@ =~ s/\n//gr) unless $set;

my $root = $Push::Mongo::root;
my @programs = grep { -x } map { ("$root/build/unit/$_", "$root/build/san/unit/$_") }
    qw(test_store test_store_keep test_store_mongo);

plan(skip_all => 'not built: make unit') unless @programs;

$ENV{PUSH_TEST_MONGO} = "mongodb://127.0.0.1:$set->{port}/?replicaSet=push";

my %job;

for my $program (@programs) {
    open($job{$program}, '-|', "timeout -k 5 200 $program 2>&1")
        or die "$program: $!";
}

for my $program (@programs) {
    my $said = do { local $/; readline($job{$program}) } // '';
    my $ok = close($job{$program});
    my $name = $program =~ s{^\Q$root/build/}{}r;

    ok($ok, "$name passes") or diag($said);
    like($said, qr/^\[  PASSED  \].*?^\[  PASSED  \]/ms,
        '... with the cases of MongoDB');
}

# a server that is in no set; one that is not there

my $t = Push::Collector->new(start => 0);

sub refused {
    my ($name, $port, $reason) = @_;

    $t->conf(store => "mongodb://me:geheim\@127.0.0.1:$port/x?replicaSet=push"
        . '&serverSelectionTimeoutMS=1000');

    my $said = `timeout 20 $root/build/bin/push-collector -c $t->{conf} 2>&1`;
    is($? >> 8, 1, "$name: the start fails");
    like($said, $reason, '... with a clear line');
    unlike($said, qr/geheim/, '... and no password');
}

my ($mongod) = @{ $set->argv(1) };
my $port = Push::Collector::free_port();
mkdir("$t->{dir}/alone");
$t->spawn('alone', $mongod, '--dbpath', "$t->{dir}/alone", '--port', $port,
    '--bind_ip', '127.0.0.1', '--nounixsocket');
Push::Collector::wait_until(sub { $set->hello($port) }, 20)
    or diag('no standalone mongod');

refused('standalone', $port,
    qr/127\.0\.0\.1:$port is no member of a replica set/);
$t->end('alone');
refused('nobody', $port, qr/no primary .* can be reached.*127\.0\.0\.1:$port/);

undef $t;
undef $set;
done_testing();
