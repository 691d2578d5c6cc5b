package Push::Reader;

# A client as push.js is one: acks what it gets, comes back with its cursors
# when its connection is lost, and remembers whatever was wrong.
#
#     my $reader = Push::Reader->new($stack, 'u1', device => 'd1');
#     $reader->collect(3);              # until the user's log has given 3
#     is_deeply($reader->data, [1, 2, 3]);
#     is_deeply($reader->faults, []);

use warnings;
use strict;

use Time::HiRes qw(sleep time);

# log: which log collect() counts (default user).  cursors => 0: never sends
# any, so the server's stored cursor says where to go on.
sub new {
    my ($class, $stack, $user, %o) = @_;

    return bless {
        stack => $stack, user => $user, device => 'd1', edge => 1,
        log => 'user', send_cursors => delete $o{cursors} // 1,
        cursors => {}, got => [], faults => [], connects => 0, %o,
    }, $class;
}

sub faults { $_[0]{faults} }
sub data   { [ map { $_->{data} } @{$_[0]{got}} ] }
sub seqs   { [ map { $_->{seq} } @{$_[0]{got}} ] }

sub connect {
    my ($self) = @_;
    my $ws = eval { $self->{stack}->ws($self->{user}, edge => $self->{edge}) };

    return unless $ws && $ws->status == 101;

    my %hello = %{ $self->{hello} // {} };

    $hello{device} = $self->{device} if defined $self->{device};

    if ($self->{send_cursors} && %{$self->{cursors}}) {
        $hello{cursors} = { %{$self->{cursors}} };
        $hello{epoch} = $self->{epoch} if defined $self->{epoch};
    }

    $ws->hello(%hello);
    $self->{connects}++;
    $self->{synced} = {};

    return $self->{ws} = $ws;
}

sub leave {
    my ($self) = @_;
    my $ws = delete $self->{ws} or return;

    $ws->send_close(1000);
    $ws->wait_close(2);
}

# Loses its connection without a word.
sub lose { my $ws = delete $_[0]{ws} or return; $ws->drop }

sub fault { push @{$_[0]{faults}}, $_[1] }

# One message, if there is one within the time.
sub step {
    my ($self, $timeout) = @_;

    unless ($self->{ws} || $self->connect) {
        sleep(0.1);
        return;
    }

    my $m = $self->{ws}->next_message($timeout);

    unless ($m) {
        $self->{last_close} = $self->{ws}->close_code;
        delete $self->{ws} if $self->{ws}{eof} || $self->{last_close};
        return;
    }

    if ($m->{type} eq 'message' && $m->{seq}) {
        my $had = $self->{cursors}{$m->{log}};

        $self->fault("$m->{log}: $m->{seq} after $had")
            if defined $had && $m->{seq} != $had + 1;

        $self->{cursors}{$m->{log}} = $m->{seq};
        push @{$self->{got}}, $m if $m->{log} eq $self->{log};
        $self->{ws}->ack($m->{log}, $m->{seq})
            unless $m->{seq} > ($self->{acks_to} // $m->{seq});

    } elsif ($m->{type} eq 'message') {
        push @{$self->{ephemeral}}, $m;

    } elsif ($m->{type} eq 'synced') {
        my $had = $self->{cursors}{$m->{log}};

        $self->fault("$m->{log}: synced $m->{seq} after $had")
            if defined $had && $m->{seq} != $had;

        $self->{cursors}{$m->{log}} = $m->{seq};
        $self->{synced}{$m->{log}} = $m->{seq};
        $self->{epoch} = $m->{epoch};

    } elsif ($m->{type} =~ /^(?:void|reset|broken)$/) {
        $self->fault("$m->{type}: $self->{ws}{last_text}");

    } elsif ($m->{type} eq 'welcome') {
        $self->{welcome} = $m;
    }

    return $m;
}

# Until the test is true; whether it became so.
sub read_until {
    my ($self, $test, $timeout) = @_;
    my $until = time() + ($timeout // 10);

    while (!$test->()) {
        return if time() > $until;
        $self->step(0.2);
    }

    return 1;
}

# Until n messages of the log have come in all.
sub collect {
    my ($self, $n, $timeout) = @_;
    return $self->read_until(sub { @{$self->{got}} >= $n }, $timeout);
}

# Until connected, and both logs are synced.
sub ready {
    my ($self, $timeout) = @_;

    return $self->read_until(sub {
        $self->{ws} && exists $self->{synced}{user}
            && exists $self->{synced}{all}
    }, $timeout);
}

# Whatever comes within the time: for what must not come.
sub listen {
    my ($self, $seconds) = @_;
    my $until = time() + $seconds;

    while ((my $left = $until - time()) > 0) {
        $self->step($left);
    }
}

1;
