#!/usr/bin/perl

# docs/directives.md against the command table: every directive is there, with
# its contexts, its number of words and a default that nginx takes.

use warnings;
use strict;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Push::Edge;

sub slurp {
    my ($name) = @_;
    open(my $fh, '<', "$Push::Stack::root/$name") or die "$name: $!";
    local $/;
    return <$fh>;
}

my $source = slurp('ngx_http_push_module/ngx_http_push_module.c');
my $docs = slurp('docs/directives.md');

# --- the table --------------------------------------------------------------

# what only a test build has is none of an operator's
$source =~ s/^#if[^\n]*NGX_HTTP_PUSH_TEST.*?^#endif$//gms;

my ($table) = $source =~ /ngx_http_push_commands\[\] = \{(.*?)ngx_null_command/s
    or die 'no command table';
my %table;

while ($table =~ /ngx_string\("(\w+)"\),\s*([A-Z0-9_|\s]+?),/g) {
    my ($name, $flags) = ($1, $2);
    my %flag = map { $_ => 1 } split /\s*\|\s*/, $flags;

    $table{$name} = {
        context => join(', ', ($flag{NGX_HTTP_MAIN_CONF} ? 'http' : ()),
            ($flag{NGX_HTTP_SRV_CONF} ? 'server' : ()),
            ($flag{NGX_HTTP_LOC_CONF} ? 'location' : ())),
        words => { map { $_ => 1 }
            ($flag{NGX_CONF_NOARGS} ? 0 : ()),
            ($flag{NGX_CONF_TAKE1} || $flag{NGX_CONF_TAKE12}
                || $flag{NGX_CONF_1MORE} ? 1 : ()),
            ($flag{NGX_CONF_TAKE2} || $flag{NGX_CONF_TAKE12} ? 2 : ()) },
    };
}

cmp_ok(scalar keys %table, '>', 15, 'the command table is found');

# --- the page ---------------------------------------------------------------

my %page;

while ($docs =~ /^\*\*(push_\w+)\*\*\n\n((?:    .*\n)+)/gm) {
    my ($name, $block) = ($1, $2);
    my %row = $block =~ /^    (Syntax|Default|Context): +(.*)$/gm;

    ok(!$page{$name}, "$name stands once in docs/directives.md");
    $page{$name} = \%row;
}

is(join(' ', sort keys %page), join(' ', sort keys %table),
    'docs/directives.md has all directives and no other');

is(join(' ', sort grep { !$page{$_} } $docs =~ /(?<!\$)\b(push_\w+)/g), '',
    'it speaks of no directive that is none');

for my $name (sort keys %table) {
    my $row = $page{$name} or next;

    is($row->{Context}, $table{$name}{context}, "$name: context");
    like($row->{Syntax} // '', qr/^$name\b.*;$/, "$name: syntax");
    like($row->{Default} // '', qr/^(?:-|$name .+;)$/, "$name: default");

    # [x] may be left out; "..." is any number; of a | b one is written
    my ($syntax) = ($row->{Syntax} // '') =~ /^\w+ ?(.*);$/;
    for my $way (split / \| /, $syntax // '', -1) {
        my $most = () = $way =~ /[^\s.]\S*/g;
        my $n = $most - (() = $way =~ /(?:^|\s)\[/g);
        ok($table{$name}{words}{$_}, "$name: $_ words are taken") for $n, $most;
    }

    ok($table{$name}{words}{0}, "$name: without words")
        if ($syntax // '') eq '';
}

# --- what a default says is accepted, and is in the source ------------------

my $edge = Push::Edge->new(start => 0, redis => 0);
my @defaults = map { $page{$_}{Default} }
               grep { $page{$_}{Default} =~ /;$/ && $page{$_}{Default} !~ /</ }
               sort keys %page;

$edge->write_file('nginx.conf', ($ENV{PUSH_NGINX} ? '' :
    "load_module \"$Push::Stack::root/build/ngx_http_push_module.so\";") . "
events { }
pid $edge->{dir}/nginx.pid;
http { access_log off; @defaults
    server { listen 127.0.0.1:$edge->{port};
        location / { push_websocket; push_user x; } } }");

my ($code, $out) = $edge->test;
is($code, 0, 'nginx takes all defaults, at the http level') or diag($out);

my %field = (
    push_drain_time => 'drain_time', push_ring_size => 'ring_bytes',
    push_send_memory => 'send_memory',
    push_heartbeat_timeout => 'heartbeat_timeout',
    push_hello_timeout => 'hello_timeout', push_ack_interval => 'ack_interval',
    push_resync_interval => 'resync_interval',
    push_max_message_size => 'max_message_size',
    push_limit_addr => 'limit_addr', push_message_rate => 'message_rate',
    push_limit_connections => 'limit_connections',
);
my %ms = (s => 1000, m => 60000, h => 3600000);
my %bytes = (k => 1024, m => 1048576);

for my $name (sort keys %field) {
    my ($default) = $page{$name}{Default} =~ / (.+);$/;
    my ($n, $suffix) = $default =~ /^(\d+)([a-z])$/;
    my $number = $default eq 'off' ? 0
        : !defined $n ? $default
        : $n * ($name =~ /size|memory/ ? $bytes{$suffix} : $ms{$suffix});
    my ($value) = $source =~ /_value\((?:p[ml]cf|conf)->$field{$name},
                              \s*(?:prev->$field{$name},\s*)?(\d+)\)/x;

    is($value, $number, "$name: the default is $default");
}

$edge->logs_ok_now;

done_testing();
