#!/usr/bin/perl

# collector.conf and the file of API keys: -t names file, line and option; HUP
# takes what can be taken.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Push::Collector qw(wait_until);
use Test::More;

my $t = Push::Collector->new;
my $build = $ENV{PUSH_BUILD} // "$Push::Collector::root/build";
my $good = do { open(my $fh, '<', $t->{conf}) or die $!; local $/; <$fh> };

# -t of the text: status, what it says
sub test_conf {
    my ($text) = @_;
    my $file = $t->file('test.conf', $text, 0600);
    my $said = `$build/bin/push-collector -t -c $file 2>&1`;
    return ($? >> 8, $said);
}

sub bad {
    my ($name, $option, $what, $from, $to) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $text = $good;
    my ($line) = 1 + (() = substr($good, 0, index($good, $option)) =~ /\n/g);

    $text =~ s/$from/$to/m or die "$name: no $from";
    my ($status, $said) = test_conf($text);
    is($status, 1, "$name: status");
    like($said, qr/test\.conf:$line: .*$what/, "$name: file, line, fault");
}

my ($status, $said) = test_conf($good);
is($status, 0, 'a good file');
like($said, qr/test\.conf is ok/, 'is ok');

bad('unknown option', 'node =', 'colour', qr/^node =/m, "colour = 1\nnode =");
bad('no legal name', 'node =', 'node.*A-Z', qr/^node = .*/m, 'node = "a b"');
bad('unknown store', 'store =', 'store.*sqlite:', qr/^store = .*/m,
    'store = "postgres:x"');
bad('no URL', 'dispatchers =', 'dispatchers', qr/^dispatchers = .*/m,
    'dispatchers = {"localhost"}');
bad('no dispatcher', 'dispatchers =', 'dispatchers', qr/^dispatchers = .*/m,
    'dispatchers = {}');
bad('no key file', 'api_keys =', 'api_keys.*No such file', qr/^api_keys = .*/m,
    "api_keys = \"$t->{dir}/none\"");
bad('no Redis URL', 'redis =', 'redis', qr/^redis = .*/m, 'redis = "http://x"');
bad('a word', 'log_level =', 'log_level', qr/^log_level = .*/m,
    'log_level = "loud"');
bad('short secret', 'secret_file =', 'secret', qr/^secret_file = .*/m,
    'secret_file = "' . $t->file('short.secret', "abc\n", 0600) . '"');

for my $case ([ queue_messages => '5' ], [ queue_messages => '-1' ],
    [ queue_bytes => '1k' ], [ hand_over_bytes => 'many' ])
{
    my ($option, $value) = @$case;
    my ($s, $text) = test_conf("$good$option = $value\n");
    is($s, 1, "$option = $value: status");
    like($text, qr/test\.conf:\d+: .*$option/, "$option = $value: named");
}

(my $twice = $good) =~ s/^dispatchers = .*/dispatchers = {"http:\/\/a:1", "http:\/\/a:1"}/m;
($status, $said) = test_conf($twice);
is($status, 1, 'a dispatcher twice');
like($said, qr/dispatchers.*twice/, 'is told');

(my $missing = $good) =~ s/^node = .*\n//m;
($status, $said) = test_conf($missing);
is($status, 1, 'a missing option');
like($said, qr/node/, 'is named');

# the key file

my %keys = (
    'no colon' => [ "abc\n", qr/:1: expected name:key/ ],
    'second line' => [ "# x\na:0123456789abcdef\nb:short\n",
        qr/:3: the key must have 16 to 256/ ],
    'illegal name' => [ "a b:0123456789abcdef\n", qr/:1: the name must/ ],
    'a space' => [ "a:0123456789 abcdef\n", qr/:1: the key must be printable/ ],
    'twice' => [ "a:0123456789abcdef\na:0123456789abcdeg\n",
        qr/:2: the name a comes twice/ ],
    'nothing' => [ "# nobody\n", qr/has no key/ ],
);

for my $name (sort keys %keys) {
    my ($text, $what) = @{ $keys{$name} };
    my $file = $t->file('bad.keys', $text, 0600);
    (my $conf = $good) =~ s/^api_keys = .*/api_keys = "$file"/m;
    ($status, $said) = test_conf($conf);
    is($status, 1, "keys, $name: status");
    like($said, $what, "keys, $name: place and fault");
    unlike($said, qr/0123456789abcd/, "keys, $name: no key is shown");
}

my $open = $t->file('open.keys', "a:0123456789abcdef\n", 0644);
(my $conf = $good) =~ s/^api_keys = .*/api_keys = "$open"/m;
($status, $said) = test_conf($conf);
is($status, 1, 'a key file that others can read');
like($said, qr/api_keys.*0644.*0600/, 'is refused with its mode');

# HUP

sub status_of {
    my ($key) = @_;
    return $t->{http}->post("http://127.0.0.1:$t->{port}/v1/messages", {
        headers => { Authorization => "Bearer $key" },
        content => '{"to":{"user":"u"},"data":1}' })->{status};
}

my $pid = $t->{children}{collector};
is(status_of('second-key-0123456789'), 401, 'a key that is not there');
$t->file('api.keys', "test:$Push::Collector::api_key\r\n\n"
    . "other:second-key-0123456789", 0600);
kill('HUP', $pid);
ok(wait_until(sub { status_of('second-key-0123456789') == 201 }),
    'works after HUP');
is(status_of($Push::Collector::api_key), 201, 'the old one too');

$t->file('api.keys', "broken\n", 0600);
kill('HUP', $pid);
ok(wait_until(sub { $t->log =~ /event=reload error=.*api\.keys:1: / }),
    'a broken key file is told');
is(status_of('second-key-0123456789'), 201, 'and the old keys stay');

$t->file('api.keys', "test:$Push::Collector::api_key\n", 0600);
$t->conf(node => 'collector-2');
kill('HUP', $pid);
ok(wait_until(sub { $t->log =~ /event=reload restart_needed_for=node/ }),
    'what needs a restart is named');
is(status_of('second-key-0123456789'), 401, 'a key that was taken away');

# -V, -h, no file

like(`$build/bin/push-collector -V 2>&1`, qr/^push-collector .*\d+\.\d+/,
    '-V');
like(`$build/bin/push-collector -t -c /nonexistent 2>&1`,
    qr{/nonexistent}, 'no such file');

$t->done_ok;
undef $t;
done_testing();
