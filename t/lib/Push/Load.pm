package Push::Load;

# bench/pushload as a process that a test tells what to do: many clients and
# publishers, see bench/load_steady.c.
#
#     my $load = Push::Load->new($stack, clients => 300);
#     $load->ready(30); $load->say('rate 300');
#     $load->settle(30); my $r = $load->report; $r->{missing};

use warnings;
use strict;

use IPC::Open2;
use JSON::PP;
use Push::Stack;
use Push::Token qw(jwt hs256_key);

sub write_tokens {
    my ($path, $key_file, $clients) = @_;
    my $key = hs256_key($key_file);

    open(my $fh, '>', $path) or die "$path: $!";
    chmod(0600, $fh);
    print $fh map { "u$_ " . jwt(user => "u$_", key => $key) . "\n" }
        1000001 .. 1000000 + $clients;
    close($fh) or die "$path: $!";
}

# The clients of a stack's first edge; `to`, `tokens`, `keys` for others.
sub new {
    my ($class, $stack, %o) = @_;
    my $dir = $stack ? $stack->dir : undef;
    my $tokens = $o{tokens} // "$dir/load.tokens";
    my $to = $o{to} // ($stack->env('PUSH_URL') =~ s{^http://}{}r);

    write_tokens($tokens, "$dir/etc/jwt.key", $o{clients}) if $dir;

    my $self = bless { owner => $$ }, $class;

    $self->{pid} = open2($self->{out}, $self->{in},
        "$Push::Stack::root/build/bench/pushload", 'steady', $to, $tokens,
        $o{keys} // "$dir/etc/api.keys");

    return $self;
}

# A command; its answer.
sub say {
    my ($self, $command) = @_;

    print {$self->{in}} "$command\n";
    $self->{in}->flush;

    my $line = readline($self->{out}) // die "pushload has ended\n";
    chomp $line;

    return $line;
}

# True, with the milliseconds it took, or false when it took too long.
sub ready  { $_[0]->say("ready $_[1]") =~ /^ready (\d+)/ ? $1 + 1 : 0 }
sub settle { $_[0]->say("settle $_[1]") =~ /^settled (\d+)/ ? $1 + 1 : 0 }
sub report { decode_json($_[0]->say('report')) }

sub end {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;

    close($self->{in});
    waitpid($pid, 0);

    return $? == 0;
}

sub DESTROY {
    my ($self) = @_;

    return if $$ != $self->{owner};

    local ($?, $@);
    $self->end;
}

1;
