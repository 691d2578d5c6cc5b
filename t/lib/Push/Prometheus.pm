package Push::Prometheus;

# A strict reader of Prometheus' text format, version 0.0.4: what the format
# allows but nobody needs (samples without TYPE, families in pieces, time
# stamps) is an error too.
#
#     my ($metrics, @errors) = Push::Prometheus::parse($text);
#     $metrics->{push_edge_connections}{type};               'gauge'
#     $metrics->{push_edge_connections}{value}{'slot="0",state="run"'};

use warnings;
use strict;

my $name = qr/[a-zA-Z_:][a-zA-Z0-9_:]*/;
my $label = qr/[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"/;
my $number = qr/[+-]?(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|Inf)|NaN/;

sub parse {
    my ($text) = @_;
    my (%metrics, @errors, $now);
    my $n = 0;

    return ({}, 'the text is empty') if $text eq '';
    push @errors, 'the last line has no end' if $text !~ /\n\z/;

    for my $line (split /\n/, $text, -1) {
        $n++;
        next if $line eq '' && $n == ($text =~ tr/\n//) + 1;
        my $bad = sub { push @errors, "line $n: $_[0]: $line" };

        if ($line =~ /^# HELP ($name) (\S.*)$/) {
            my ($family, $help) = ($1, $2);

            $bad->('HELP comes twice') if $metrics{$family};
            $bad->('HELP has a bad escape') if $help =~ /\\(?![\\n])/;
            $now = $family;
            $metrics{$now} = { help => $help, value => {} };

        } elsif ($line =~ /^# TYPE ($name) (counter|gauge|histogram)$/) {
            my ($family, $type) = ($1, $2);

            if (!$now || $now ne $family || $metrics{$family}{type}) {
                $bad->('TYPE does not follow its HELP');
                next;
            }

            $metrics{$family}{type} = $type;
            $bad->('a counter, and only a counter, is called _total')
                if ($type eq 'counter') != ($family =~ /_total$/ ? 1 : 0);

        } elsif ($line =~ /^($name)(?:\{((?:$label(?:,$label)*)?)\})? ($number)$/) {
            my ($sample, $labels, $value) = ($1, $2 // '', $3);
            my $family = $sample;

            $family =~ s/_(?:bucket|sum|count)$//
                if $now && ($metrics{$now}{type} // '') eq 'histogram';

            if (!$now || $family ne $now || !$metrics{$now}{type}) {
                $bad->('a sample outside of its family');
                next;
            }

            my %seen;
            $seen{$_}++ && $bad->("label $_ comes twice")
                for $labels =~ /($name)="(?:[^"\\]|\\.)*"/g;

            my $type = $metrics{$now}{type};
            my $key = $type eq 'histogram'
                ? substr($sample, length $now) . "|$labels" : $labels;

            $bad->('a sample comes twice')
                if exists $metrics{$now}{value}{$key};
            $bad->('a counter is a whole number, and not negative')
                if $type ne 'gauge' && $value !~ /^\d+$/
                   && $sample !~ /_sum$/;
            $bad->('a negative number') if $value =~ /^-/;
            $bad->('a number that wrapped') if $value =~ /^\d+$/
                && $value > 2 ** 62;

            $metrics{$now}{value}{$key} = $value;
            push @{$metrics{$now}{order}}, $key;

        } else {
            $bad->('no line of the format');
        }
    }

    for my $family (sort keys %metrics) {
        my $m = $metrics{$family};
        push @errors, "$family has no TYPE" unless $m->{type};
        push @errors, "$family has no sample" unless %{$m->{value}};
        push @errors, map { "$family: $_" } histogram($m)
            if ($m->{type} // '') eq 'histogram';
    }

    return (\%metrics, @errors);
}

# Buckets of each set of labels: rising bounds and counts, +Inf is the count.
sub histogram {
    my ($m) = @_;
    my (%buckets, @errors);

    for my $key (@{$m->{order} || []}) {
        my ($kind, $labels) = split /\|/, $key, 2;

        if ($kind eq '_bucket') {
            $labels =~ s/,?le="([^"]*)"// or push @errors, 'a bucket without le';
            push @{$buckets{$labels}}, [ $1, $m->{value}{$key} ];
        } elsif ($kind ne '_sum' && $kind ne '_count') {
            push @errors, "a sample $key of a histogram";
        }
    }

    for my $labels (keys %buckets) {
        my ($bound, $count);
        for my $b (@{$buckets{$labels}}) {
            my $le = $b->[0] eq '+Inf' ? 9**9**9 : $b->[0];
            push @errors, "le=$b->[0] does not rise"
                if defined $bound && $le <= $bound;
            push @errors, "le=$b->[0] counts less than the one before"
                if defined $count && $b->[1] < $count;
            ($bound, $count) = ($le, $b->[1]);
        }
        push @errors, 'no le="+Inf"' if $buckets{$labels}[-1][0] ne '+Inf';
        push @errors, '+Inf is not the count'
            if $count != ($m->{value}{"_count|$labels"} // -1);
        push @errors, 'no sum' unless exists $m->{value}{"_sum|$labels"};
    }

    push @errors, 'no buckets' unless %buckets;
    return @errors;
}

1;
