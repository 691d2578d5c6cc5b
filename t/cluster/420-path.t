#!/usr/bin/perl

# The main path: a message posted by HTTP reaches the user's sockets, now or at
# the next connect, once and in order.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Push::Reader;
use Push::Stack;
use Time::HiRes qw(time);

my $stack = Push::Stack->new(edges => 2, workers => 2);

sub post {
    my ($user, $data, %more) = @_;
    return $stack->publish({ to => { user => $user }, data => $data, %more });
}

# --- now --------------------------------------------------------------------

my $r = Push::Reader->new($stack, 'u1');

ok($r->ready, 'a client connects and both logs are synced');
is_deeply($r->{synced}, { user => 0, all => 0 }, 'empty logs: seq 0');
is($r->{welcome}{user}, 'u1', 'welcome names the user');
is($r->{welcome}{node}, 'edge-1', 'welcome names the node');
is($r->{welcome}{window}, 64, 'welcome has the default window');
ok($r->{welcome}{heartbeat} > 0, 'welcome has the heartbeat');
like($r->{welcome}{conn}, qr/^[0-9a-f]{16}\.[0-9a-f]{16}$/, 'welcome.conn');

my $begin = time();
my $answer = post('u1', { hello => 1 });

is($answer->{status}, 201, 'stored');
is_deeply($answer->{json}, { id => 'user:u1@1', log => 'user:u1', seq => 1,
    duplicate => JSON::PP::false }, 'id, log, seq, duplicate');
ok($r->collect(1, 5), 'it comes');
ok(time() - $begin < 0.5, 'at once');
is_deeply($r->{got}[0]{data}, { hello => 1 }, 'its data');
is($r->{got}[0]{id}, 'user:u1@1', 'its id');
is($r->{got}[0]{log}, 'user', "a client's own log is user");
ok(abs($r->{got}[0]{ts} / 1000 - time()) < 10, 'its time');

my $raw_text = '{"n":1e400,"z":-0,"long":123456789012345678901234567890,'
    . '"u":"\u0000","d":1,"d":2,"w": [ 1 ,2 ] }';

$stack->publish(qq({"to":{"user":"u1"},"data":$raw_text}));
$r->collect(2);
like($r->{ws}{last_text}, qr/"data":\Q$raw_text\E\}$/,
    'data comes as the bytes that were posted');

# --- away -------------------------------------------------------------------

$r->leave;
post('u1', "away $_") for 1 .. 150;

my $away = Push::Reader->new($stack, 'u1', cursors => 0);

ok($away->collect(150), 'what was posted while it was away comes, by the '
    . 'cursor that the server keeps');
is_deeply($away->data, [ map { "away $_" } 1 .. 150 ], 'in order');
is($away->seqs->[0], 3, 'from where the device was');
ok($away->ready, 'and is followed by synced');
$away->listen(0.3);
is(scalar @{$away->{got}}, 150, 'once');
is_deeply($away->faults, [], 'without a gap');
$away->lose;

$r->collect(152);
is_deeply($r->seqs, [ 1 .. 152 ], 'cursors of the client count as well');
is_deeply($r->faults, [], 'no gap there');

# --- several connections ----------------------------------------------------

my @devices = map {
    Push::Reader->new($stack, 'u2', device => "d$_", edge => $_ > 2 ? 2 : 1)
} 1 .. 4;

$_->ready for @devices;
post('u2', $_) for 1 .. 5;
ok($_->collect(5), "$_->{device} on edge $_->{edge} gets all") for @devices;
is_deeply($_->seqs, [ 1 .. 5 ], "$_->{device}: in order") for @devices;

my $again = Push::Reader->new($stack, 'u2', device => 'd1', edge => 1);

$again->ready;
$devices[0]->read_until(sub { !$devices[0]{ws} });
is($devices[0]{last_close}, 4003, 'the same device on a newer connection replaces the old');
$devices[0] = $again;

# --- to all, to some, to nobody in particular -------------------------------

my @all = map { Push::Reader->new($stack, "a$_", log => 'all',
    edge => 1 + $_ % 2) } 1 .. 10;

$_->ready for @all;

my $all = $stack->publish({ to => { all => JSON::PP::true }, data => 'all' });

is($all->{status}, 201, 'a message to all is stored');
is($all->{json}{log}, 'all', 'in the log all');
ok($_->collect(1), "$_->{user} has it") for @all;
is($all[0]{got}[0]{log}, 'all', 'its log');
is($all[0]{got}[0]{id}, 'all@1', 'its id');

$all[0]->leave;
$stack->publish({ to => { all => JSON::PP::true }, data => "all $_" })
    for 2 .. 4;
ok($all[0]->collect(4), 'it is kept for who is away');
is_deeply($all[0]->seqs, [ 1 .. 4 ], 'in order');

my $fresh = Push::Reader->new($stack, 'new-one', log => 'all');

$fresh->ready;
is_deeply($fresh->data, [], 'a new user begins at the tip of all');

my $some = $stack->publish({ to => { users => [ 's1', 's2', 'u1' ] },
    data => 's' });

is($some->{status}, 201, 'a list of users');
is_deeply([ map { $_->{log} } @{$some->{json}} ],
    [ 'user:s1', 'user:s2', 'user:u1' ], 'a list of results, in order');

my $ephemeral = post('u2', 'now or never', ephemeral => JSON::PP::true);

is($ephemeral->{status}, 202, 'an ephemeral message is only accepted');
is_deeply($ephemeral->{json}, { log => 'user:u2' }, 'it has a log, no seq');
ok($devices[2]->read_until(sub { $devices[2]{ephemeral} }), 'it comes');
ok(!exists $devices[2]{ephemeral}[0]{seq}, 'without a seq');

# --- idempotency, batch, reading back ---------------------------------------

is(post('k', 1, key => 'k-1')->{status}, 201, 'a key');

my $twice = post('k', 1, key => 'k-1');

is($twice->{status}, 200, 'the same key and data: 200');
ok($twice->{json}{duplicate}, 'duplicate');
is($twice->{json}{seq}, 1, "the first one's seq");
is(post('k', 2, key => 'k-1')->{status}, 409, 'the same key, other data: 409');

my $batch = $stack->request('POST', '/v1/messages/batch', join("\n",
    '{"to":{"user":"b1"},"data":1}', '', '{"to":{"user":"b1"},"data":',
    '{"to":{"user":"b2"},"data":3}') . "\n");
my @lines = map { JSON::PP->new->decode($_) } split /\n/, $batch->{content};

is($batch->{status}, 200, 'a batch');
is_deeply([ map { $_->{status} } @lines ], [ 201, 400, 201 ],
    'a result a line, in order');
is($lines[2]{id}, 'user:b2@1', 'with ids');

my $list = $stack->request('GET', '/v1/users/u2/messages?after=2&limit=2');

is($list->{status}, 200, "a user's messages");
is_deeply([ map { $_->{seq} } @{$list->{json}{messages}} ], [ 3, 4 ],
    'after and limit');
is($list->{json}{tip}, 5, 'the tip');

ok(Push::Stack::wait_until(sub {
    my $m = $stack->request('GET', '/v1/messages/user:u2@5');
    $m->{json} && $m->{json}{state} eq 'acked'
        && grep { $_ eq 'd3' } @{$m->{json}{acked}};
}, 15), 'a message says who has acked it');
is($stack->request('GET', '/v1/messages/user:u2@99')->{status}, 404,
    'an unknown id: 404');

# --- raw mode, token places -------------------------------------------------

my $raw = $stack->ws('raw', raw => 1);

is($raw->status, 101, 'raw mode: token in the query, no subprotocol');
ok(!defined $raw->header('Sec-WebSocket-Protocol'), 'none is named');

my $text = '';

Push::Stack::wait_until(sub {
    post('raw', { only => 'data' });
    my $frame = $raw->next_frame(0.2) or return;
    $text = $frame->{payload};
});
is($text, '{"only":"data"}', 'a frame is the data alone');

for my $by (qw(protocol header query)) {
    my $ws = $stack->ws('u3', by => $by);

    is($ws->status, 101, "token by $by");
    ok($ws->key_ok, 'the accept key is right');
    is($ws->header('Sec-WebSocket-Protocol'), 'push.v1', 'the subprotocol');
}

# --- slow, and the window ---------------------------------------------------

my $slow = $stack->ws('slow');

$slow->hello(device => 's', window => 4);
is($slow->wait_for('welcome')->{window}, 4, 'a smaller window is granted');
$slow->wait_for('synced', test => sub { $_[0]{log} eq 'user' });
post('slow', $_) for 1 .. 10;

my @got;

while (my $m = $slow->wait_for('message', timeout => 1)) {
    push @got, $m->{seq};
}

is_deeply(\@got, [ 1 .. 4 ], 'without acks just a window comes');
$slow->ack('user', 4);
push @got, $slow->wait_for('message')->{seq} for 5 .. 8;
$slow->ack('user', 8);
push @got, $slow->wait_for('message')->{seq} for 9 .. 10;
is_deeply(\@got, [ 1 .. 10 ], 'acks bring the rest, in order');

$stack->logs_ok_now;

done_testing();
