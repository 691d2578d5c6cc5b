#!/usr/bin/perl

# bench/pushload steady finds what it is there to find: beside a server that
# loses, doubles, swaps, exchanges or voids one message it says so, and beside
# one that does not, nothing.

use warnings;
use strict;

use Test::More;

use File::Temp qw(tempdir);
use FindBin;
use IO::Select;
use IO::Socket::INET;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Push::Load;

plan(skip_all => 'bench/pushload is not built: make bench')
    unless -x "$Push::Stack::root/build/bench/pushload";

my $dir = tempdir('push-load-XXXXXX', TMPDIR => 1, CLEANUP => 1);

sub write_file {
    my ($name, $text) = @_;
    open(my $fh, '>', "$dir/$name") or die "$name: $!";
    print $fh $text;
    close($fh);
    return "$dir/$name";
}

sub frame {
    my ($head, $text) = @_;
    return pack('CC', $head, length $text) . $text if length $text < 126;
    return pack('CCn', $head, 126, length $text) . $text;
}

sub text { frame(0x81, $_[0]) }

sub message {
    my ($seq, $n) = @_;
    return text(qq({"type":"message","log":"user","seq":$seq,)
        . qq("data":{"t":1,"n":$n}}));
}

# What a client is sent when message n was published; '' ends the socket. What
# is published while it is away it gets behind the cursor of its next hello.
my %faults = (
    none     => sub { message($_[0], $_[0]) },
    lost     => sub { $_[0] == 3 ? () : message($_[0], $_[0]) },
    doubled  => sub { (message($_[0], $_[0])) x ($_[0] == 3 ? 2 : 1) },
    swapped  => sub { $_[0] == 3 ? () : $_[0] == 4
                      ? (message(4, 4), message(3, 3))
                      : message($_[0], $_[0]) },
    foreign  => sub { message($_[0], $_[0] == 3 ? 2 : $_[0]) },
    void     => sub { (message($_[0], $_[0]), $_[0] == 3
                      ? text('{"type":"void","log":"user"}') : ()) },
    closed   => sub { (message($_[0], $_[0]), $_[0] == 3
                      ? (frame(0x88, pack('n', 4008)), '') : ()) },
    restart  => sub { (message($_[0], $_[0]), $_[0] == 3
                      ? (text('{"type":"bye","code":1012,"retry_ms":300}'),
                         frame(0x88, pack('n', 1012)), '') : ()) },
);

# Stored, lost and told of again.
my %refused;

sub answer_batch {
    my ($fault, $body) = @_;
    my @lines = split /\n/, $body;

    return "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n"
        if $fault eq 'refused' && !$refused{$body}++;

    my $text = join('', map { qq({"status":201,"id":"x"}\n) } @lines);
    return "HTTP/1.1 200 OK\r\nContent-Length: " . length($text)
        . "\r\n\r\n$text";
}

sub close_client {
    my ($client, $all) = @_;
    $all->remove($$client);
    shutdown($$client, 1);
    close($$client);
    undef $$client;
}

# One client, any number of publishers, until somebody ends it.
sub serve {
    my ($listen, $fault) = @_;
    my $all = IO::Select->new($listen);
    my (%in, $client);
    my $published = 0;

    while (my @ready = $all->can_read) {
        for my $s (@ready) {
            if ($s == $listen) {
                $all->add(scalar $listen->accept);
                next;
            }

            if (!sysread($s, $in{$s}, 65536, length($in{$s} // ''))) {
                $all->remove($s);
                close($s);
                delete $in{$s};
                next;
            }

            if ($in{$s} =~ s/\AGET .*?\r\n\r\n//s) {
                syswrite($s, "HTTP/1.1 101 X\r\n\r\n");
                next;
            }

            # the mask is zero
            if ($in{$s} =~ s/.*"hello".*?(?:"user":(\d+).*)?\}\z//s) {
                my $cursor = $1 // $published;
                $client = $s;
                syswrite($s, text(qq({"type":"synced","log":"$_","seq":)
                    . qq($cursor,"epoch":"e"}))) for qw(user all);
                syswrite($s, message($_, $_)) for $cursor + 1 .. $published;
                next;
            }

            next unless $in{$s} =~ /\APOST .*?Content-Length: (\d+)\r\n\r\n/s
                && length($in{$s}) >= $+[0] + $1;

            my $body = substr($in{$s}, $+[0], $1);
            $in{$s} = '';
            my $answer = answer_batch($fault, $body);
            syswrite($s, $answer);
            next if $answer =~ / 503 /;

            for my $n ($body =~ /"n":(\d+)/g) {
                $published = $n;
                next unless $client;

                for my $out (($faults{$fault} // $faults{none})->($n)) {
                    syswrite($client, $out) if length $out;
                    close_client(\$client, $all) unless length $out;
                }
            }
        }
    }
}

# Ten messages to one client of such a server; what pushload says.
sub report {
    my ($fault) = @_;
    my $listen = IO::Socket::INET->new(Listen => 16,
        LocalAddr => '127.0.0.1') or die $!;
    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        serve($listen, $fault);
        POSIX::_exit(0);
    }

    my $load = Push::Load->new(undef, to => '127.0.0.1:' . $listen->sockport,
        tokens => write_file('tokens', "u1 t\n"),
        keys => write_file('keys', "test:key\n"));

    $load->ready(10) or die "not ready\n";
    $load->say('send 10 50');
    my $settled = $load->settle($fault =~ /lost/ ? 1 : 10);
    my $r = $load->report;
    $r->{settled} = $settled;
    ok($load->end, "$fault: pushload ends in order");

    kill('KILL', $pid);
    waitpid($pid, 0);

    return $r;
}

my @counters = qw(missing doubled reordered gaps foreign voids closed restarts
                  repeated reconnects);

my @rows = (
    [ none => {} ],
    [ lost => { missing => 1, gaps => 1 } ],
    [ doubled => { doubled => 1 } ],
    [ swapped => { gaps => 1, reordered => 1 } ],
    [ foreign => { foreign => 1 } ],
    [ void => { voids => 1 } ],
    [ closed => { closed => 1, reconnects => 1 } ],
    [ restart => { restarts => 1, reconnects => 1 } ],
    [ refused => { repeated => 10 } ],
);

for my $row (@rows) {
    my ($fault, $want) = @$row;
    my $r = report($fault);

    is($r->{acked}, 10, "$fault: ten are stored");
    is($r->{received}, 10 - ($want->{missing} // 0), '... and received');
    is_deeply({ map { $_ => $r->{$_} } @counters },
        { (map { $_ => 0 } @counters), %$want }, '... and this is said of it');
    is(!!$r->{settled}, $fault ne 'lost', '... settled, if nothing lacks');
}

done_testing();
