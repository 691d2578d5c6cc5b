package Push::Token;

# JWTs, right and wrong.  A key of RS256 or ES256 is a PEM file.

use warnings;
use strict;

use Digest::SHA qw(hmac_sha256);
use Exporter qw(import);
use JSON::PP;
use MIME::Base64 qw(encode_base64url);

our @EXPORT_OK = qw(jwt hs256_key);

my $json = JSON::PP->new->canonical->utf8;

# The bytes of an HS256 key file: less one final line end.
sub hs256_key {
    my ($file) = @_;

    open(my $fh, '<:raw', $file) or die "$file: $!";
    local $/;
    my $key = <$fh>;
    $key =~ s/\r?\n\z//;

    return $key;
}

# key: bytes; alg: HS256 or none; header, claims: added, undef takes one away.
sub jwt {
    my (%o) = @_;
    my $now = time();
    my %header = (alg => $o{alg} // 'HS256', typ => 'JWT', %{$o{header} || {}});
    my %claims = (sub => $o{user} // 'u1', aud => 'push', iat => $now,
                  exp => $now + 3600, %{$o{claims} || {}});

    for my $part (\%header, \%claims) {
        delete @$part{grep { !defined $part->{$_} } keys %$part};
    }

    my $text = join('.', map { encode_base64url($json->encode($_)) }
                    \%header, \%claims);

    return "$text." if ($header{alg} // '') eq 'none';
    return "$text." . encode_base64url(hmac_sha256($text, $o{key}));
}

1;
