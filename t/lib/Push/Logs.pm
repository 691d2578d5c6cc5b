package Push::Logs;

# What must not stand in any log.

use warnings;
use strict;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use Test::More;

our @EXPORT_OK = qw(bad_lines logs_ok logs_ok_after);

# of programs under sanitizers, which say at their end what they leaked
$ENV{LSAN_OPTIONS} //= 'suppressions=' . abs_path(dirname(__FILE__) . '/..')
    . '/lsan.supp:print_suppressions=0';

my @bad = (
    qr/\[(?:alert|emerg|crit)\]/,
    qr/level=(?:alert|emerg|crit)/,
    qr/(?:Address|Undefined\w*|Leak|Thread)Sanitizer/,
    qr/: runtime error: /,
    qr/Assertion .* failed/,
    qr/eyJ[\w-]{8,}\.eyJ[\w-]{8,}/,             # a token
);

# Lines of the files that match; `allow` is a list of patterns.
sub bad_lines {
    my ($files, @allow) = @_;
    my @found;

    for my $file (@$files) {
        open(my $fh, '<', $file) or next;

        while (my $line = <$fh>) {
            next unless grep { $line =~ $_ } @bad;
            next if grep { $line =~ $_ } @allow;
            chomp $line;
            push @found, "$file:$.: $line";
        }
    }

    return @found;
}

sub files { return [ glob("$_[0]/*.log"), glob("$_[0]/*.log.*") ] }

# One test: no such line in any log of the directory.
sub logs_ok {
    my ($dir, @allow) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    found_none(bad_lines(files($dir), @allow));
}

# The same, when nginx has been ended by TERM: a sanitizer takes its time to
# look for leaks, and nginx kills workers that have not gone after a second.
sub logs_ok_after {
    my ($dir, $end, @allow) = @_;
    my %early = map { $_ => 1 } bad_lines(files($dir), @allow);

    $end->();

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    found_none(grep { $early{$_} || !/worker process \d+ exited on signal 9/ }
        bad_lines(files($dir), @allow));
}

sub found_none {
    my (@found) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok(!@found, 'no alert, sanitizer line or token in any log')
        or diag(join("\n", @found[0 .. ($#found > 20 ? 20 : $#found)]));
}

1;
