#!/usr/bin/perl

# push-auth as a daemon: keys by file, reload, drain, -t.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::UNIX;
use MIME::Base64 qw(encode_base64url);
use Push::Auth;
use Push::Token qw(jwt);
use Socket qw(SOCK_DGRAM);
use Test::More;

# as systemd would listen

my $notices = tempdir('push-auth-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $systemd = IO::Socket::UNIX->new(Type => SOCK_DGRAM,
                                    Local => "$notices/notify") or die;
$ENV{NOTIFY_SOCKET} = "$notices/notify";

sub notice {
    my $text = '';
    $systemd->recv($text, 100) if IO::Select->new($systemd)->can_read(5);
    return $text;
}

my $t = Push::Auth->new;
my $dir = $t->{dir};
is(notice(), 'READY=1', 'systemd is told when it is ready');

my $old = jwt(key => $t->{key});
my $new_key = 'another-key-of-at-least-32-bytes!';
my $new = jwt(key => $new_key);

sub status { return $t->verify(Authorization => "Bearer $_[0]")->{status} }

# reload

is(status($old), 204, 'the first key');

$t->write('hs.key', "short\n", 0600);
$t->signal('HUP');
ok($t->wait_log(qr/event=reload_failed reason=".*hs\.key must have at least 32/),
    'a bad key file is refused at reload');
is(status($old), 204, 'the old key stays');

$t->write('hs.key', "$new_key\n", 0644);
$t->signal('HUP');
ok($t->wait_log(qr/event=reload_failed reason=".*must not be accessible/),
    'so is one that others may read');
is(status($old), 204, 'the old key stays');

$t->write('hs.key', "$new_key\r\n", 0600);
$t->write('auth.conf', $t->conf(qq(audience = "other"\n)));
$t->signal('HUP');
ok($t->wait_log(qr/event=reloaded keys=1/), 'a good one is taken');
is(status($old), 401, 'the old key is gone');
is(status($new), 401, 'so is the old audience');
is(status(jwt(key => $new_key, claims => { aud => 'other' })), 204,
    'the new ones count');

# public keys made and used by openssl

sub sign {
    my ($alg, $pem, %header) = @_;
    my $text = jwt(key => 'x', header => { alg => $alg, %header },
                   claims => { aud => 'other' });
    $text =~ s/\.[^.]*\z//;
    $t->write('text', $text);
    my $signature = `openssl dgst -sha256 -sign $pem -binary $dir/text`;

    if ($alg eq 'ES256') {          # DER to R and S, 32 bytes each
        my ($r, $s) = unpack('x[2] x C/a x C/a', $signature);
        $signature = join('', map { substr("\0" x 32 . $_, -32) } $r, $s);
    }

    return "$text." . encode_base64url($signature);
}

system("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048"
    . " -out $dir/r.key 2>/dev/null"
    . " && openssl pkey -in $dir/r.key -pubout -out $dir/r.pem"
    . " && openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"
    . " -out $dir/e.key 2>/dev/null"
    . " && openssl pkey -in $dir/e.key -pubout -out $dir/e.pem") == 0
    or die "openssl failed";

$t->write('auth.conf', $t->conf(qq(audience = "other"\n)
    . qq(key r { algorithm = RS256\n file = "$dir/r.pem"\n kid = "k1" }\n)
    . qq(key e { algorithm = ES256\n file = "$dir/e.pem" }\n)));
$t->signal('HUP');
ok($t->wait_log(qr/event=reloaded keys=3/), 'three keys');

is(status(sign('RS256', "$dir/r.key")), 204, 'RS256');
is(status(sign('RS256', "$dir/r.key", kid => 'k1')), 204, 'RS256 with kid');
is(status(sign('RS256', "$dir/r.key", kid => 'k2')), 401, 'another kid');
is(status(sign('ES256', "$dir/e.key")), 204, 'ES256');
is(status(sign('RS256', "$dir/e.key")), 401, 'an EC signature as RS256');

open(my $fh, '<', "$dir/r.pem") or die;
my $pem = do { local $/; <$fh> };
is(status(jwt(key => $pem, claims => { aud => 'other' })), 401,
    'HS256 signed with the RSA public key');
is(status(jwt(key => $pem, claims => { aud => 'other' },
              header => { kid => 'k1' })), 401, 'and by its kid');

# -t names file, line and option

my $listen = qq(listen = "127.0.0.1:1"\n);
my $good = qq(key a { algorithm = HS256\n file = "$dir/hs.key" }\n);

my ($status, $output) = $t->test_conf($listen . $good);
is($status, 0, '-t of a good file');
is($output, "push-auth: configuration $dir/test.conf is ok\n", 'says so');

for my $case (
    [ $good, qr/conf: option "listen": is needed$/ ],
    [ $listen, qr/conf: option "key": at least 1 such section/ ],
    [ "listen = 80\n$good", qr/conf:1: option "listen": must be "ip:port"/ ],
    [ "$listen$listen$good", qr/conf:2: option "listen": is given twice/ ],
    [ "$listen\nx = 1\n$good", qr/conf:3: no such option 'x'/ ],
    [ "${listen}leeway = 31s\n$good",
      qr/conf:2: option "leeway": must be a time .* to 30s, not "31s"/ ],
    [ "${listen}leeway = \n$good", qr/conf:\d: / ],
    [ "${listen}log_level = loud\n$good",
      qr/conf:2: option "log_level": must be one of error, warn, info, debug/ ],
    [ "${listen}audience = \"x\n$good", qr/conf:\d: string without its end/ ],
    [ "${listen}audience = \${NOT_SET_}\n$good",
      qr/conf:2: \$\{NOT_SET_\} is not set/ ],
    [ "${listen}key a { algorithm = none\nfile = /x }\n",
      qr/conf:2: option "algorithm": must be one of HS256, RS256, ES256/ ],
    [ "${listen}key a { file = /x }\n",
      qr/conf:2: option "algorithm": is needed in section a$/ ],
    [ "${listen}key a { algorithm = HS256\nfile = /nowhere }\n",
      qr/conf:2: option "file": key a: cannot open \/nowhere/ ],
    [ "$listen$good$good", qr/conf:\d: found duplicate title 'a'/ ],
) {
    my ($text, $pattern) = @$case;

    ($status, $output) = $t->test_conf($text);
    is($status, 1, '-t fails');
    like($output, $pattern, 'and says where and why');
}

is(system(Push::Auth::binary() . " >/dev/null 2>&1") >> 8, 2,
    'no -c is a wrong command line');
like(`${\Push::Auth::binary()} -V`, qr/^push-auth \d+\.\d+/, '-V');

# drain

$t->signal('TERM');
is(notice(), 'STOPPING=1', 'systemd is told that it stops');
is($t->ended, 0, 'TERM ends it with 0');
like($t->log, qr/event=drain timeout_ms=10000\n.*event=exit status=0/,
    'after a drain');

$t->logs_ok_now;
done_testing();
