#!/usr/bin/perl

# A device that connects on another edge: its older connection is closed there.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Push::Stack;
use Time::HiRes qw(time);

*wait_until = \&Push::Stack::wait_until;

my $stack = Push::Stack->new(edges => 2, workers => 2);

sub client {
    my ($user, $device, $edge) = @_;
    my $ws = $stack->ws($user, edge => $edge);

    $ws->hello(defined $device ? (device => $device) : ());
    $ws->wait_for('welcome') or die "no welcome for $user\n";
    return $ws;
}

sub members {
    my ($user) = @_;
    my $port = $stack->{base} + 16;
    my @all = `redis-cli -p $port zrange 'push:{$user}' 0 -1`;
    return grep { /\S/ } @all;
}

sub alive {
    my ($ws) = @_;
    $ws->send_json({ type => 'ping' });
    return $ws->wait_for('pong');
}

# Reads of all; those that are not closed.
sub open_ones {
    my @all = @_;
    $_->wait_close(0.01) for grep { !defined $_->close_code } @all;
    return grep { !defined $_->close_code } @all;
}

# --- from edge 1 to edge 2

my $first = client('u1', 'd1', 1);
my $at = time();
my $second = client('u1', 'd1', 2);
is($first->wait_close, 4003, 'the connection on the other edge gets 4003');
cmp_ok(time() - $at, '<', 1, 'within a second');
is($first->close_text, 'replaced by a newer connection', 'it says why');
ok(alive($second), 'the newer one stays');
ok(wait_until(sub { 1 == members('u1') }), 'and alone is bound');

my $sent = $stack->publish({ to => { user => 'u1' }, data => 'x' });
is($sent->{status}, 201, 'a message');
my $m = $second->wait_for('message');
is($m && $m->{data}, 'x', 'comes to it');

# --- back and forth

my @all = map { client('u2', 'd1', 1 + $_ % 2) } 1 .. 20;
ok(wait_until(sub { 1 == open_ones(@all) }), 'twenty in a row: one stays');
is(scalar(grep { $_->close_code == 4003 } @all[0 .. 18]), 19,
    'the others hear 4003');
ok(alive($all[19]), 'it is the last');
ok(wait_until(sub { 1 == members('u2') }), 'one binding');

@all = map { $stack->ws('u3', edge => 1 + $_ % 2) } 1 .. 20;
$_->hello(device => 'd1') for @all;
ok(wait_until(sub { 1 == open_ones(@all) }), 'twenty at once: one stays');
my ($stays) = open_ones(@all);
ok($stays && alive($stays), 'it talks');
is(scalar(grep { ($_->close_code // 0) == 4003 } @all), 19,
    'the others hear 4003');
ok(wait_until(sub { 1 == members('u3') }), 'one binding');

# --- no device, other devices

@all = ((map { client('u4', undef, $_) } 1, 2, 1, 2),
        client('u4', 'd1', 1), client('u4', 'd2', 2));
ok(wait_until(sub { 6 == members('u4') }), 'no device, and different ones');
is(scalar(grep { alive($_) } @all), 6, 'replace nobody');

# --- while no dispatcher is there

$first = client('u5', 'd1', 1);
$stack->kill9('dispatcher');
# the collector hears of it by a message that it cannot hand over
$stack->publish({ to => { user => 'nobody' }, data => 1 });
my $metrics = sub {
    my $port = $stack->{base} + 18;
    $stack->{http}->get("http://127.0.0.1:$port/metrics")->{content} };
ok(wait_until(sub { $metrics->() =~ /^push_collector_dispatchers_up 0$/m }),
    'no dispatcher');
$second = client('u5', 'd1', 2);
is($first->wait_close(1), undef, 'both are open');
$stack->up;
is($first->wait_close(10), 4003, 'the older one is closed when it is back');
ok(alive($second), 'the newer one stays');

$stack->logs_ok_now;
done_testing();
