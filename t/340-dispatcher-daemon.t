# The process: its file, HUP, TERM.

use warnings;
use strict;

use FindBin qw($Bin);
use lib "$Bin/lib";

use Push::Dispatcher;
use Test::More;

*wait_until = \&Push::Dispatcher::wait_until;

my $t = Push::Dispatcher->new(start => 0);
my $build = $ENV{PUSH_BUILD} // "$Push::Dispatcher::root/build";
my $bin = "$build/bin/push-dispatcher";
my $secret = "secret_file = \"$t->{dir}/edge.secret\"\n";
my $base = "listen = \"127.0.0.1:$t->{port}\"\nredis = \"redis://h\"\n$secret";

sub check {
    my ($text) = @_;
    my $file = $t->file('check.conf', $text);
    my $out = `$bin -t -c $file 2>&1`;
    return ($? >> 8) . ' ' . $out =~ s/\Q$t->{dir}\E\///gr;
}

like(check($base), qr/^0 /, '-t with a good file');
like(check("${base}x = 1\n"), qr/^1 .*check\.conf:4: .*x/, 'unknown option');
like(check($secret), qr/^1 .*listen/, 'a missing option');
like(check($base =~ s/redis:/http:/r), qr/^1 .*check\.conf:2: .*"redis"/,
    'no URL of Redis');
like(check("${base}queue_bytes = 1m\n"), qr/^1 .*:4: .*"queue_bytes"/,
    'out of range');
like(check("${base}forget_nodes = soon\n"), qr/^1 .*:4: .*"forget_nodes"/,
    'no time');
like(check($base =~ s/edge\.secret/no.secret/r),
    qr/^1 .*check\.conf:3: .*"secret_file".*cannot open/, 'no secret file');
$t->file('short.secret', "short\n", 0600);
like(check($base =~ s/edge\.secret/short.secret/r),
    qr/^1 .*:3: .*"secret_file".*16/, 'a short secret');
$t->file('open.secret', "$Push::Dispatcher::secret\n", 0644);
like(check($base =~ s/edge\.secret/open.secret/r),
    qr/^1 .*:3: .*"secret_file".*others/, 'a secret that others may read');
like(`$bin -V 2>&1`, qr/^push-dispatcher/, '-V');
`$bin -x 2>&1`;
is($? >> 8, 2, 'an unknown option');

my $sample = "$Push::Dispatcher::root/conf/dispatcher.conf";
my $text = do { open(my $fh, '<', $sample) or die $!; local $/; <$fh> };
like(check($text =~ s{/etc/push/}{$t->{dir}/}r), qr/^0 /,
    'the sample in conf/ is good');

# HUP: another secret; the old one is accepted as long as the file holds it

my $a = $t->edge('edge-1');
$t->start;
$t->wait_ready;
$t->bind('u1', $a);

my $new = 'another-secret-of-the-edge';
my $one = $t->user('u1', 1);

sub hup {
    my ($text) = @_;
    my $before = () = $t->log =~ /event=reload/g;
    $t->file('edge.secret', $text, 0600);
    kill('HUP', $t->{children}{dispatcher});
    wait_until(sub { (() = $t->log =~ /event=reload/g) > $before });
}

is($t->dispatch($one, secret => $new)->[0], 403, 'before: refused');
ok(hup("$new\n$Push::Dispatcher::secret\n"), 'HUP: two secrets');
is($t->dispatch($one, secret => $new)->[0], 200, 'the new one is accepted');
is($t->dispatch($one)->[0], 200, 'and the old one');
like($a->heard->[-1]{headers}, qr/^Push-Secret: $new\r$/m,
    'edges get the first');
hup("short\n");
like($t->log, qr/level=error .*event=reload error=.*secret_file/,
    'HUP with a bad file says so');
is($t->dispatch($one, secret => $new)->[0], 200, 'and changes nothing');
hup("$new\n");
is($t->dispatch($one)->[0], 403, 'the old one is out');
unlike($t->log, qr/$new|$Push::Dispatcher::secret/, 'no secret in the log');

# TERM: what is under way is answered

$Push::Dispatcher::secret = $new;
$a->forget;
$a->say('hang');
my $later = $t->dispatch_later($one);
wait_until(sub { $a->bodies == 1 });
kill('TERM', $t->{children}{dispatcher});
ok(wait_until(sub { $t->log =~ /event=drain/ }), 'TERM drains');
$a->say('ok 1');
is_deeply($later->(), [ 200, "ok 1\n" ], 'what is under way is answered');
waitpid($t->{children}{dispatcher}, 0);
is($?, 0, 'then it ends');
delete $t->{children}{dispatcher};

# twice TERM: now

$t->start;
$t->wait_ready;
$a->say('hang');
$later = $t->dispatch_later($one);
wait_until(sub { $t->metric('push_dispatcher_waiting_items') == 1 });
my $pid = delete $t->{children}{dispatcher};
my $drains = () = $t->log =~ /event=drain/g;
kill('TERM', $pid);
wait_until(sub { (() = $t->log =~ /event=drain/g) > $drains });
kill('TERM', $pid);
waitpid($pid, 0);
is($?, 0, 'a second TERM ends it at once');

# two on one port

$t->start;
my $other = `$bin -c $t->{conf} 2>&1`;
is($? >> 8, 1, 'a port that is taken');
like($other, qr/cannot listen on/, 'is said');

$t->done_ok;
done_testing();
