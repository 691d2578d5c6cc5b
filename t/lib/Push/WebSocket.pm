package Push::WebSocket;

# A WebSocket client on a raw socket, which can also do what a client must not.
#
#     my $ws = Push::WebSocket->new(url => 'ws://127.0.0.1:7700/ws',
#                                   token => $token);
#     $ws->status == 101;
#     $ws->hello(device => 'd1');
#     my $m = $ws->wait_for('message');
#
# Every wait has a time limit (default 5 s) and gives undef when it is over or
# the connection has ended; close_code() says how it ended.

use warnings;
use strict;

use Carp qw(croak);
use Digest::SHA qw(sha1_base64);
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use Time::HiRes qw(time);

my $json = JSON::PP->new->utf8->allow_nonref->allow_blessed;

# url: ws://ip:port/path.  token: by subprotocol, or as by => 'header' or
# 'query'.  protocol: undef for raw mode.  origin, headers: a list of lines
# that are added, drop: a list of names that are left out, method, version;
# socket: one that is connected already (TLS).
sub new {
    my ($class, %o) = @_;

    my ($host, $port, $path) = $o{url} =~ m{^ws://([^/:]+):(\d+)(/.*)?$}
        or croak("bad url $o{url}");

    my $self = bless {
        timeout => $o{timeout} // 5, buffer => '', frames => [], url => $o{url}
    }, $class;

    $self->{socket} = $o{socket} || IO::Socket::INET->new(PeerAddr => $host,
        PeerPort => $port, Proto => 'tcp', Timeout => $self->{timeout})
        or croak("cannot connect to $host:$port: $!");
    $self->{socket}->autoflush(1);

    $self->handshake("$host:$port", $path // '/', %o) unless $o{no_handshake};

    return $self;
}

sub handshake {
    my ($self, $host, $path, %o) = @_;
    my $key = encode_base64(join('', map { chr(int(rand(256))) } 1 .. 16), '');
    my $by = $o{by} // ($o{raw} ? 'query' : 'protocol');
    my @protocols = $o{raw} ? () : ('push.v1');
    my %head = (
        'Host' => $host,
        'Upgrade' => 'websocket',
        'Connection' => 'Upgrade',
        'Sec-WebSocket-Version' => '13',
        'Sec-WebSocket-Key' => $key,
    );

    if (defined $o{token}) {
        if ($by eq 'protocol') {
            push @protocols, "bearer.$o{token}";
        } elsif ($by eq 'header') {
            $head{'Authorization'} = "Bearer $o{token}";
        } else {
            $path .= ($path =~ /\?/ ? '&' : '?') . "token=$o{token}";
        }
    }

    @protocols = @{$o{protocols}} if $o{protocols};

    $head{'Sec-WebSocket-Protocol'} = join(', ', @protocols) if @protocols;
    $head{'Origin'} = $o{origin} if defined $o{origin};
    delete $head{$_} for @{$o{drop} || []};

    my $request = join("\r\n",
        ($o{method} // 'GET') . " $path HTTP/" . ($o{http} // '1.1'),
        (map { "$_: $head{$_}" } sort keys %head),
        @{$o{headers} || []}, '', '');

    $self->write_raw($request . ($o{early} // ''));
    $self->read_head();

    $self->{key_ok} = ($self->{head}{'sec-websocket-accept'} // '') eq
        sha1_base64($key . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11') . '=';
}

sub read_head {
    my ($self) = @_;
    my $until = time() + $self->{timeout};

    while ($self->{buffer} !~ /\r\n\r\n/) {
        last unless $self->fill($until - time());
    }

    $self->{status} = 0;
    $self->{head} = {};

    return unless $self->{buffer} =~ s/\A(.*?)\r\n\r\n//s;

    my ($first, @lines) = split /\r\n/, $1;
    ($self->{status}) = $first =~ m{^HTTP/1\.\d (\d+)};

    for (@lines) {
        my ($name, $value) = /^([^:]+):\s*(.*)$/ or next;
        $self->{head}{lc $name} = $value;
    }
}

sub status     { $_[0]{status} }
sub header     { $_[0]{head}{lc $_[1]} }
sub close_code { $_[0]{close_code} }
sub close_text { $_[0]{close_text} }
sub key_ok     { $_[0]{key_ok} }

# The body of an answer that is no 101.
sub body {
    my ($self) = @_;
    my $until = time() + $self->{timeout};
    my $len = $self->header('Content-Length');

    while (!defined $len || length($self->{buffer}) < $len) {
        last unless $self->fill($until - time());
    }

    return $self->{buffer};
}

sub write_raw {
    my ($self, $bytes) = @_;

    local $SIG{PIPE} = 'IGNORE';

    while (length $bytes) {
        my $n = syswrite($self->{socket}, $bytes) or return;
        substr($bytes, 0, $n, '');
    }

    return 1;
}

# One read into the buffer: false at the time limit, at the end, on an error.
sub fill {
    my ($self, $timeout) = @_;

    return if $self->{eof};

    return unless ($self->{socket}->can('pending') && $self->{socket}->pending)
        || IO::Select->new($self->{socket})->can_read(
               $timeout > 0 ? $timeout : 0);

    my $n = sysread($self->{socket}, $self->{buffer}, 65536,
        length $self->{buffer});

    $self->{eof} = 1 unless $n;

    return $n;
}

# --- frames out -------------------------------------------------------------

# A frame as a client sends it, or not: fin, rsv (0-7), mask (0: none), len
# (announced instead of the real length), form (7, 16 or 64 bits of length).
sub frame {
    my ($opcode, $payload, %o) = @_;
    my $len = $o{len} // length $payload;
    my $form = $o{form} // ($len < 126 ? 7 : $len < 65536 ? 16 : 64);
    my $mask = ($o{mask} // 1) ? pack('N', int(rand(2 ** 32))) : '';

    my $head = pack('C', (($o{fin} // 1) << 7) | (($o{rsv} // 0) << 4)
                         | $opcode);
    my $bit = length $mask ? 0x80 : 0;

    $head .= $form == 7 ? pack('C', $bit | $len)
           : $form == 16 ? pack('Cn', $bit | 126, $len)
           : pack('CQ>', $bit | 127, $len);

    if (length $mask) {
        my $times = int(length($payload) / 4) + 1;
        $payload = "$payload" ^ substr($mask x $times, 0, length $payload);
    }

    return $head . $mask . $payload;
}

sub send_frame { my $self = shift; $self->write_raw(frame(@_)) }
sub send_text  { $_[0]->send_frame(1, $_[1]) }
sub send_json  { $_[0]->send_frame(1, $json->canonical->encode($_[1])) }
sub send_close { $_[0]->send_frame(8, pack('n', $_[1] // 1000) . ($_[2] // '')) }

sub hello {
    my ($self, %o) = @_;
    $self->send_json({ type => 'hello', %o });
}

sub ack {
    my ($self, $log, $seq) = @_;
    $self->send_text(qq({"type":"ack","log":"$log","seq":$seq}));
}

# --- frames in --------------------------------------------------------------

# { opcode, fin, payload }; a server's frame is never masked.
sub next_frame {
    my ($self, $timeout) = @_;
    my $until = time() + ($timeout // $self->{timeout});

    while (1) {
        my $b = \$self->{buffer};

        if (length $$b >= 2) {
            my ($first, $len) = unpack('CC', $$b);
            my $at = 2;

            croak('the server sent a masked frame') if $len & 0x80;

            if ($len == 126 && length $$b >= 4) {
                $len = unpack('n', substr($$b, 2, 2));
                $at = 4;
            } elsif ($len == 127 && length $$b >= 10) {
                $len = unpack('Q>', substr($$b, 2, 8));
                $at = 10;
            } elsif ($len >= 126) {
                $at = undef;
            }

            if (defined $at && length $$b >= $at + $len) {
                my $payload = substr($$b, $at, $len);
                substr($$b, 0, $at + $len, '');
                return {
                    opcode => $first & 15, fin => $first >> 7,
                    rsv => ($first >> 4) & 7, payload => $payload
                };
            }
        }

        return unless $self->fill($until - time());
    }
}

# The next JSON message; a Ping is answered, a Close noted and answered.
sub next_message {
    my ($self, $timeout) = @_;
    my $until = time() + ($timeout // $self->{timeout});

    while (my $frame = $self->next_frame($until - time())) {
        if ($frame->{opcode} == 8) {
            my ($code, $text) = unpack('na*', $frame->{payload})
                if length $frame->{payload};
            $self->{close_code} = $code // 1005;
            $self->{close_text} = $text // '';
            $self->send_frame(8, $frame->{payload});
            return;
        }

        if ($frame->{opcode} == 9) {
            $self->send_frame(10, $frame->{payload});
            next;
        }

        next if $frame->{opcode} == 10;

        $self->{last_text} = $frame->{payload};
        my $message = eval { $json->decode($frame->{payload}) };
        return $message // { type => 'broken', text => $frame->{payload} };
    }

    $self->{close_code} //= 1006 if $self->{eof};
    return;
}

# The next message of the type for which the test, if any, is true; others are
# kept in seen().
sub wait_for {
    my ($self, $type, %o) = @_;
    my $until = time() + ($o{timeout} // $self->{timeout});

    while (my $m = $self->next_message($until - time())) {
        push @{$self->{seen}}, $m;
        return $m if ($m->{type} // '') eq $type && (!$o{test} || $o{test}($m));
    }

    return;
}

sub seen { $_[0]{seen} || [] }

# Reads until the server closes; its code.
sub wait_close {
    my ($self, $timeout) = @_;
    my $until = time() + ($timeout // $self->{timeout});

    while (my $m = $self->next_message($until - time())) {
        push @{$self->{seen}}, $m;
    }

    return $self->{close_code};
}

# Hello, welcome, and `synced` for the user's log and for `all`; messages that
# came on the way are given back.
sub join_in {
    my ($self, %o) = @_;
    my (%synced, @messages);

    $self->hello(%o);

    while (my $m = $self->next_message()) {
        push @{$self->{seen}}, $m;
        push @messages, $m if $m->{type} eq 'message';
        $self->ack($m->{log}, $m->{seq})
            if $m->{type} eq 'message' && $m->{seq};
        $self->{welcome} = $m if $m->{type} eq 'welcome';

        if ($m->{type} eq 'synced') {
            $synced{$m->{log}} = $m->{seq};
            $self->{epoch} = $m->{epoch};
        }

        last if exists $synced{user} && exists $synced{all};
    }

    $self->{synced} = \%synced;
    return \@messages;
}

# Ends without a word, as a lost connection does.
sub drop {
    my ($self) = @_;
    close($self->{socket});
    $self->{eof} = 1;
}

1;
