#!/usr/bin/perl

# clients/js/push.js against a scripted WebSocket, in a real browser.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Push::Browser;

my $why = Push::Browser::missing();

plan(skip_all => $why) if $why;

# A server of two files and a page that runs the tests.
my %files = (
    '/push.js' => ['text/javascript', slurp('../clients/js/push.js')],
    '/push_client.mjs' => ['text/javascript', slurp('js/push_client.mjs')],
    '/' => ['text/html', <<'HTML'],
<!DOCTYPE html><title>tests</title><link rel="icon" href="data:,">
<script type="module">
    import { run } from './push_client.mjs';
    window.results = await run();
</script>
HTML
);

my $server = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1')
    or die "server: $!";
my $url = 'http://127.0.0.1:' . $server->sockport . '/';
my $pid = fork() // die "fork: $!";

if ($pid == 0) {
    while (my $c = $server->accept) {
        my ($path) = (<$c> // '') =~ m{^GET (\S+)};

        while (my $line = <$c>) {
            last if $line eq "\r\n";
        }

        my $file = $files{$path // ''} // ['text/plain', ''];

        print $c "HTTP/1.1 200 OK\r\nContent-Type: $file->[0]\r\n",
            'Content-Length: ', length $file->[1],
            "\r\nConnection: close\r\n\r\n", $file->[1];
        close($c);
    }
}

my $browser = Push::Browser->new;

$browser->open($url);

my $results = $browser->wait_script('return window.results', 30);

if (ref $results) {
    for my $r (@$results) {
        ok($r->{ok}, $r->{name}) or diag($r->{why});
    }
} else {
    fail('the tests ran');
    diag(join("\n", $browser->console));
}

undef $browser;
kill('TERM', $pid);
waitpid($pid, 0);

done_testing();

sub slurp {
    my ($name) = @_;
    open(my $fh, '<:raw', "$FindBin::Bin/$name") or die "$name: $!";
    local $/;
    return scalar <$fh>;
}
