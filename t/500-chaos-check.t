#!/usr/bin/perl

# The checker of t/chaos names what is wrong with a bad history, and nothing of
# a good one.

use warnings;
use strict;

use FindBin;

exec('python3', '-B', "$FindBin::Bin/chaos/test_check.py")
    or die "python3: $!\n";
