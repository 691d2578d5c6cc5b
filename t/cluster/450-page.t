#!/usr/bin/perl

# The demo page and push.js in a real browser, on the real stack.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Push::Browser;
use Push::Stack;

my $why = Push::Browser::missing();

plan(skip_all => $why) if $why;

my $stack = Push::Stack->new;
my $browser = Push::Browser->new;

# Whether a row of the table has the log, seq and data.
sub row {
    my ($log, $seq, $data) = @_;

    return $browser->wait_script(sprintf(q{
        return [...document.querySelectorAll('#messages tr.message')].filter(
            (tr) => [...tr.cells].slice(1).map((td) => td.textContent).join()
                    === %s).length;
    }, JSON::PP->new->allow_nonref->encode("$log,$seq,$data")));
}

sub state {
    my ($state) = @_;
    return $browser->wait_script(
        "return document.querySelector('#state').dataset.state === '$state'",
        20);
}

sub click { $browser->script("document.querySelector('#$_[0]').click()") }

sub post { $stack->publish({ to => { user => 'u1' }, data => $_[0] }) }

$browser->open($stack->env('PUSH_URL') . '/');
ok($browser->wait_script("return document.body.dataset.ready === 'yes'"),
    'the page is there');

click('connect');
ok(state('open'), 'it connects');

post({ hello => 1 });
is(row('user', 1, '{"hello":1}'), 1, 'what a backend posts appears');

$browser->script(q{document.querySelector('#text').value = 'from the page'});
click('post');
is(row('user', 2, '{"text":"from the page"}'), 1, 'what the page posts as well');
ok($browser->wait_script(
    q{return /^201 /.test(document.querySelector('#answer').textContent)}),
    'with the answer of the API');

$browser->script(q{document.querySelector('#to').value = '(all)'});
click('post');
is(row('all', 1, '{"text":"from the page"}'), 1, 'a message to all');

click('disconnect');
ok(state('idle'), 'it disconnects');
post("away $_") for 1 .. 3;
click('connect');
ok(state('open'), 'and comes back');
is(row('user', $_ + 2, "\"away $_\""), 1, "what was posted meanwhile: $_")
    for 1 .. 3;

# Loaded anew: the cursors are in the storage, so nothing comes twice.
$browser->open($stack->env('PUSH_URL') . '/');
$browser->wait_script("return document.body.dataset.ready === 'yes'");
post('after the reload');
click('connect');
is(row('user', 6, '"after the reload"'), 1, 'a reload goes on where it was');
is($browser->script(
    q{return document.querySelectorAll('#messages tr.message').length}), 1,
    'nothing is shown again');

# The edge dies under it.
my @workers = $stack->workers;

kill('KILL', @workers);
$stack->publish_surely({ to => { user => 'u1' }, data => 'while it was lost',
    key => 'lost' });
ok(row('user', 7, '"while it was lost"'), 'it comes back by itself');
ok(state('open'), 'and is open');

is_deeply([ grep { /SEVERE/ && !/WebSocket|net::|Failed to load/ }
            $browser->console ], [], 'no error on the console');

$stack->logs_ok_now(qr/worker process \d+ exited on signal 9/);

done_testing();
