#!/usr/bin/perl

# kill -9 in the middle of publishing, again and again: what was answered 201
# is there, once, each log is dense; what was not answered can be repeated with
# its key.  And the same keys published by many at once.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use HTTP::Tiny;
use JSON::PP;
use Push::Collector qw(wait_until);
use Test::More;
use Time::HiRes qw(sleep time);

my $t = Push::Collector->new;
my $url = "http://127.0.0.1:$t->{port}";
my $publishers = 4;
my $users = 5;

# A child that publishes: each message until it is answered, with its key; says
# "<key> <user> <seq> <duplicate>" of each.  Ends when `stop` is there.
sub publisher {
    my ($n) = @_;
    my $file = "$t->{dir}/said.$n";
    my $pid = fork() // die "fork: $!";
    return $pid if $pid;

    open(my $out, '>', $file) or POSIX::_exit(1);
    my $http = HTTP::Tiny->new(timeout => 10);

    for (my $i = 0; !-e "$t->{dir}/stop"; $i++) {
        my $key = "p$n-$i";
        my $user = 'u' . ($i * 7 + $n) % $users;
        my $until = time() + 30;

        while (time() < $until) {
            my $r = $http->post("$url/v1/messages", {
                headers => { Authorization =>
                    "Bearer $Push::Collector::api_key" },
                content => encode_json({ to => { user => $user },
                    data => $key, key => $key }) });

            if ($r->{success}) {
                my $a = decode_json($r->{content});
                syswrite($out, "$key $user $a->{seq} "
                    . ($a->{duplicate} ? 1 : 0) . "\n");
                last;
            }

            if ($r->{status} != 599 && $r->{status} != 503) {
                syswrite($out, "unexpected $r->{status} $r->{content}\n");
                POSIX::_exit(1);
            }

            sleep(0.01);
        }
    }

    POSIX::_exit(0);
}

sub said {
    my $text = '';
    for my $n (1 .. $publishers) {
        open(my $in, '<', "$t->{dir}/said.$n") or next;
        local $/;
        $text .= <$in>;
    }
    return split(/\n/, $text);
}

my @pids = map { publisher($_) } 1 .. $publishers;

for my $round (1 .. 6) {
    my $count = said();
    ok(wait_until(sub { said() > $count + 40 }), "round $round: they publish");
    $t->kill;
    $t->start;
}

$t->file('stop', '', 0600);
is(waitpid($_, 0) && $?, 0, 'a publisher ends well') for @pids;

# every user's log, whole

my (%where, %last);

for my $user (map { "u$_" } 0 .. $users - 1) {
    my $after = 0;

    while (1) {
        my $page = $t->json("/v1/users/$user/messages?after=$after&limit=1000");
        last unless @{ $page->{messages} };

        for my $m (@{ $page->{messages} }) {
            $last{hole}++ if $m->{seq} != ++$after;
            $last{twice}++ if $where{ $m->{data} };
            $where{ $m->{data} } = "$user $m->{seq}";
        }
    }
}

is($last{hole}, undef, 'each log is dense from 1');
is($last{twice}, undef, 'no message is there twice');

my ($lost, $duplicates, $n) = (0, 0, 0);

for my $line (said()) {
    my ($key, $user, $seq, $duplicate) = split(/ /, $line);
    $lost++ if ($where{$key} // '') ne "$user $seq";
    $duplicates += $duplicate;
    $n++;
}

is($lost, 0, "all $n answered messages are where their answer said");
is(scalar(keys %where), $n, 'and nothing else is there');
note("$duplicates were stored by a collector that died before its answer");

# the same keys from many at once

unlink("$t->{dir}/stop");
@pids = ();

for my $n (1 .. $publishers) {
    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        open(my $out, '>', "$t->{dir}/said.$n") or POSIX::_exit(1);
        my $http = HTTP::Tiny->new(timeout => 10);

        for my $i (0 .. 99) {
            my $r = $http->post("$url/v1/messages", {
                headers => { Authorization =>
                    "Bearer $Push::Collector::api_key" },
                content => qq({"to":{"user":"same"},"data":$i,"key":"k$i"}) });
            my $a = decode_json($r->{content});
            syswrite($out, "$i same $a->{seq} " . ($a->{duplicate} ? 1 : 0)
                . "\n");
        }

        POSIX::_exit(0);
    }

    push @pids, $pid;
}

is(waitpid($_, 0) && $?, 0, 'a publisher ends well') for @pids;

my (%seq, %first, $differs);

for my $line (said()) {
    my ($key, undef, $seq, $duplicate) = split(/ /, $line);
    $differs++ if defined $seq{$key} && $seq{$key} != $seq;
    $seq{$key} = $seq;
    $first{$key}++ unless $duplicate;
}

is($differs, undef, 'all are told the same seq of a key');
is(scalar(grep { $_ == 1 } values %first), 100, 'each key was new to one only');
is($t->json('/v1/users/same/messages')->{tip}, 100, 'and is stored once');

$t->done_ok;
undef $t;
done_testing();
