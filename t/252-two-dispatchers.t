#!/usr/bin/perl

# A log has its dispatcher; while that one is down another one serves it.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Push::Collector qw(wait_until);
use Test::More;

my $t = Push::Collector->new(dispatchers => 3);

sub count {
    my ($i, $pattern) = @_;
    return scalar(grep { $_ =~ $pattern } $t->mock($i)->lines);
}

# each log goes to one of them, and all of them are used

for my $n (1, 2) {
    $t->publish({ users => [ map { "u$_" } 1 .. 60 ] }, $n);
}

ok(wait_until(sub { count(0, qr/./) + count(1, qr/./) + count(2, qr/./)
    == 120 }), 'all arrive');

my %home;

for my $i (0 .. 2) {
    cmp_ok(count($i, qr/./), '>', 10, "dispatcher $i has its share");
    push @{ $home{(split)[1]} }, $i for $t->mock($i)->lines;
}

is((grep { $_->[0] != $_->[1] } values %home), 0,
    'both messages of a log went the same way');

my ($user) = grep { $home{$_}[0] == 0 } sort keys %home;
my ($other) = grep { $home{$_}[0] == 1 } sort keys %home;

# its dispatcher goes away

$t->mock(0)->end;
$_->forget for $t->mock(1), $t->mock(2);

$t->publish({ user => $user }, $_) for 3 .. 5;
ok(wait_until(sub {
    count(1, qr/^user $user /) + count(2, qr/^user $user /) == 3 }, 5),
    'another one takes its logs at once');
my $stand_in = count(1, qr/^user $user /) ? 1 : 2;
is_deeply([ map { (split)[2] } grep { /^user $user / }
    $t->mock($stand_in)->lines ], [ 3 .. 5 ], 'one other, in order');

$t->publish({ user => $other }, 3);
ok(wait_until(sub { count(1, qr/^user $other 3 /) }), 'other logs stay');

# it comes back

$t->mock(0)->start;
ok(wait_until(sub { $t->metric('dispatchers_up') == 3 }), 'it is up again');
$t->publish({ user => $user }, 6);
ok(wait_until(sub { count(0, qr/^user $user 6 /) }), 'its logs come home');

# it hangs: what it had goes another way after 5 s

$t->mock(0)->say('hang');
$t->publish({ user => $user }, 7);
ok(wait_until(sub { count(0, qr/^user $user 7 /) }), 'a body hangs');
$t->publish({ user => $user }, 8);
ok(wait_until(sub { count($stand_in, qr/^user $user 8 /) }, 8),
    'the next waits no longer than its deadline');
is_deeply([ map { (split)[2] } grep { /^user $user [78] / }
    $t->mock($stand_in)->lines ], [ 7, 8 ], 'behind the one that hung');

# all of them are down

$_->end for @{ $t->{mocks} };
$t->publish({ user => $other }, 4);
ok(wait_until(sub { $t->metric('dispatchers_up') == 0 }, 20), 'all are down');
$t->mock(2)->start;
ok(wait_until(sub { count(2, qr/^user $other 4 /) }, 20),
    'the first that comes back takes what waits');

$t->done_ok;
done_testing();
