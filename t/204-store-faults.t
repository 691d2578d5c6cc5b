#!/usr/bin/perl

# The store cannot write: 503 and no 201, /readyz says why, and all goes on by
# itself when the fault is over.  Files that cannot be a store.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Push::Collector qw(wait_until);
use Test::More;

my $t = Push::Collector->new;
my $db = "$t->{dir}/push.db";

plan(skip_all => 'no sqlite3 in this Python, which holds the lock')
    if system('python3 -c "import sqlite3" 2>/dev/null') != 0;

is($t->publish({ user => 'u' }, 1)->{http}, 201, 'it works');
is($t->get('/readyz')->{status}, 200, 'and is ready');

# somebody else holds the write lock

sub lock_db {
    my $pid = open(my $out, '-|', 'python3', '-c', <<'END', $db) or die $!;
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(60)
END
    like(scalar(<$out>), qr/^locked/, 'another process has the lock');
    return ($pid, $out);
}

my ($pid, $out) = lock_db();

my $r = $t->publish({ user => 'u' }, 2);
is($r->{http}, 503, 'a publish is refused');
like($r->{detail}, qr/locked by another process/, 'with the reason');
$r = $t->get('/readyz');
is($r->{status}, 503, 'it is not ready');
like($r->{content}, qr/locked by another process/, 'and says why');
is($t->json('/v1/users/u/messages')->{tip}, 1, 'reading goes on');

kill('KILL', $pid);
waitpid($pid, 0);

ok(wait_until(sub { $t->get('/readyz')->{status} == 200 }),
    'ready again by itself');
is($t->publish({ user => 'u' }, 2)->{seq}, 2, 'without a hole');

# a queue that is full: the writer waits for the lock meanwhile

$t->end('collector', 'TERM');
$t->conf(queue_messages => '100');
$t->start;
($pid, $out) = lock_db();

my $ask = sub {
    my ($content) = @_;
    return $t->{http}->post("http://127.0.0.1:$t->{port}/v1/messages/batch", {
        headers => { Authorization => "Bearer $Push::Collector::api_key" },
        content => $content });
};

my $child = fork() // die "fork: $!";

if ($child == 0) {
    $ask->(qq({"to":{"user":"q"},"data":1}\n) x 150);
    POSIX::_exit(0);
}

ok(wait_until(sub { $t->metric('store_queue_messages') }), 'messages wait');
$r = $ask->(qq({"to":{"user":"q"},"data":1}\n));
is($r->{status}, 503, 'the queue is full');
is($r->{headers}{'retry-after'}, 1, 'try again later');
$r = $t->publish({ user => 'q' }, 1);
is($r->{http}, 503, 'for one message too');
like($r->{detail}, qr/queue is full/, 'says so');

kill('KILL', $pid);
waitpid($pid, 0);
waitpid($child, 0);

ok(wait_until(sub { $t->publish({ user => 'q' }, 1)->{http} == 201 }),
    'it takes again');
$t->end('collector', 'TERM');

# files that cannot be a store: the start fails with a clear line

sub refused {
    my ($name, $text, %conf) = @_;
    my $from = length($t->all_log);
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $t->conf(%conf);
    my $build = $ENV{PUSH_BUILD} // "$Push::Collector::root/build";
    my $said = `$build/bin/push-collector -c $t->{conf} 2>&1`;
    isnt($?, 0, "$name: it does not start");
    like($said, $text, "$name: says why");
}

$t->file('junk.db', 'no database ' x 1000, 0600);
refused('no database', qr/junk\.db: is not an SQLite database/,
    store => "sqlite:$t->{dir}/junk.db");

refused('a directory', qr/logs: Is a directory/,
    store => "sqlite:$t->{dir}/logs");

refused('no such directory', qr/No such file or directory/,
    store => "sqlite:$t->{dir}/none/push.db");

{
    open(my $fh, '+<', $db) or die $!;
    my $size = -s $fh;
    seek($fh, 4096, 0);
    print $fh "\xa5" x ($size - 4096);
}

refused('damaged', qr/push\.db: damaged/);

undef $t;
done_testing();
