#!/usr/bin/perl

# More workers than slots: reload after reload, while each old worker is kept by
# a request that does not end.  The one that finds no slot takes no WebSockets, serves the rest, and
# goes on as soon as a slot is free.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Push::Edge;

my $edge = Push::Edge->new(workers => 1, redis => 0);
my (@half, %seen);
my $new = 0;

# A body that is not sent to its end.
sub half {
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                  PeerPort => $edge->{deliver_port})
        or die "connect: $!";

    $s->print("POST /deliver HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
              . "Push-Secret: $Push::Edge::secret\r\nExpect: 100-continue\r\n\r\n");
    my $go = <$s>;
    die 'not accepted' unless $go =~ / 100 /;

    return $s;
}

sub newest {
    my @new = grep { !$seen{$_} } $edge->workers;
    $seen{$_} = 1 for @new;
    return @new;
}

Push::Edge::wait_until(sub { newest() });

# 64 slots with one worker
for my $n (1 .. 64) {
    push @half, half();
    $edge->signal('HUP');

    # the old one has stopped listening: the next request is the new one's
    Push::Edge::wait_until(sub {
        newest() && ++$new;
        $new == $n && `grep -c 'gracefully shutting' $edge->{dir}/logs/error.log` == $n;
    });
}

is(scalar $edge->workers, 65, 'each old worker stays for its request');
is($edge->ws('late')->status, 503, 'no slot: 503 instead of a WebSocket');
like(`cat $edge->{dir}/logs/error.log`, qr/\[error\].*all 64 worker slots are taken/,
    'and the log says why');

undef $half[0];

Push::Edge::wait_until(sub { $edge->ws('again')->status == 101 }, 15);
is($edge->ws('new')->status, 101, 'its slot is taken at once');

undef @half;
$edge->logs_ok_now;

done_testing();
