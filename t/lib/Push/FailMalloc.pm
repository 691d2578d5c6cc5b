package Push::FailMalloc;

# Lets the n-th allocation of an edge's workers fail (t/lib/failmalloc.c).
#
#     my $memory = Push::FailMalloc->new($dir);
#     my $edge = $memory->start(sub { Push::Edge->new(...) });
#     $memory->watch($edge->workers);
#     $memory->arm($n);       # the n-th from here on, once
#     my ($calls, $hits) = $memory->disarm;
#     $memory->live;          # blocks that the workers hold

use warnings;
use strict;

use FindBin;

my $pids = 8;
my $size = 8 * (5 + $pids);

sub new {
    my ($class, $dir) = @_;
    my $cc = $ENV{CC} || 'cc';
    my $self = bless { so => "$dir/failmalloc.so", file => "$dir/control" },
        $class;

    system($cc, '-O1', '-g', '-fPIC', '-shared', '-pthread', '-o', $self->{so},
        "$FindBin::Bin/lib/failmalloc.c", '-ldl') == 0
        or die "failmalloc.c does not compile\n";

    open($self->{fh}, '+>', $self->{file}) or die "$self->{file}: $!";
    binmode($self->{fh});
    $self->write(0, (0) x (5 + $pids));

    return $self;
}

sub write {
    my ($self, $at, @numbers) = @_;
    sysseek($self->{fh}, 8 * $at, 0);
    syswrite($self->{fh}, pack('Q*', @numbers)) == 8 * @numbers
        or die "$self->{file}: $!";
}

sub read {
    my ($self) = @_;
    sysseek($self->{fh}, 0, 0);
    sysread($self->{fh}, my $bytes, $size) == $size or die "$self->{file}: $!";
    return unpack('Q*', $bytes);
}

# What is started inside has the library; a sanitizer's own malloc comes behind
# it, which it would else refuse.
sub start {
    my ($self, $start) = @_;
    local $ENV{LD_PRELOAD} = $self->{so};
    local $ENV{FAILMALLOC} = $self->{file};
    local $ENV{ASAN_OPTIONS} = 'verify_asan_link_order=0';

    return $start->();
}

sub watch {
    my ($self, @pids) = @_;
    die "too many workers\n" if @pids > $pids;
    $self->write(4, 0, @pids, (0) x ($pids - @pids));
}

sub arm {
    my ($self, $first, $times) = @_;
    $self->write(1, $times // 1, 0, 0);
    $self->write(0, $first);
}

sub disarm {
    my ($self) = @_;
    $self->write(0, 0);
    return ($self->read)[2, 3];
}

sub live {
    my ($self) = @_;
    my $n = ($self->read)[4];
    return $n >= 2 ** 63 ? $n - 2 ** 64 : $n;
}

1;
