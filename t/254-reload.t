#!/usr/bin/perl

# HUP: another secret, other dispatchers; what waits goes on waiting.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";

use Push::Collector qw(wait_until);
use Test::More;

my $t = Push::Collector->new(dispatchers => 2);
my ($one, $two) = @{ $t->{mocks} };

sub reload {
    my $before = () = $t->log =~ /event=reload /g;
    kill('HUP', $t->{children}{collector});
    return wait_until(sub {
        (() = $t->log =~ /event=reload /g) > $before });
}

# another list, while messages wait and one body is under way

$_->say('hang') for $one, $two;
$t->publish({ users => [ map { "u$_" } 1 .. 40 ] }, 1);
ok(wait_until(sub { $one->lines && $two->lines }), 'both have work');
$t->publish({ users => [ map { "u$_" } 1 .. 40 ] }, 2);

$t->{mocks} = [ $two ];
$t->conf;
$two->forget;
ok(reload(), 'one dispatcher has gone from the file');
$two->say('ok 1');

ok(wait_until(sub { my %seen; $seen{join(' ', (split)[1, 2])} = 1
    for $two->lines; keys %seen == 80 }), 'the other one gets all messages');
ok(wait_until(sub { $t->metric('hand_over_waiting_items') == 0 }),
    'and nothing waits for the one that has gone');

$one->forget;
$t->publish({ users => [ map { "u$_" } 1 .. 40 ] }, 3);
ok(wait_until(sub { (grep { / 3 0 / } $two->lines) == 40 }), 'new ones too');
is(scalar($one->bodies), 0, 'it hears nothing any more');

# another secret

$t->file('edge.secret', "another-secret-of-16\n$Push::Collector::secret\n",
    0600);
ok(reload(), 'a new secret');
$two->forget;
$t->publish({ user => 'u1' }, 4);
ok(wait_until(sub { $two->bodies }), 'a body');
like($two->heard->[0]{headers}, qr/^Push-Secret: another-secret-of-16\r$/m,
    'has the first line of the file');

# a file that is wrong changes nothing

$t->file('edge.secret', "short\n", 0600);
ok(reload(), 'a bad secret');
like($t->log, qr/event=reload error=.*secret/, 'is refused');
$two->forget;
$t->publish({ user => 'u1' }, 5);
ok(wait_until(sub { $two->bodies }), 'a body');
like($two->heard->[0]{headers}, qr/^Push-Secret: another-secret-of-16\r$/m,
    'has the old one');

$t->file('edge.secret', "another-secret-of-16\n", 0600);
$one->end;
$t->done_ok;
done_testing();
