# bench: what a connection costs, how long a message takes
#
# in:   the stack, in directories of its own (ports from 7800 on, or --port).
# out: lines for people.  Memory is PSS over the workers, after minus before;
# the connection's slot of nginx (432 bytes) is written at start, so it is
# added.  Latency is from the moment a message was due to publish to the moment
# its client has read it.

bench_slot=432
bench_clients=10000
bench_rate=1000
bench_seconds=10

# bench_tokens FILE FIRST N: lines 'user token', users of 8 characters.
bench_tokens() {
    perl -It/lib -MPush::Token=jwt,hs256_key -e '
        my ($key, $first, $n) = (hs256_key(shift), @ARGV);
        print "u$_ ", jwt(user => "u$_", key => $key), "\n"
            for $first .. $first + $n - 1;
    ' "$dir/etc/jwt.key" "$2" "$3" > "$1"
}

# Bytes of PSS of all workers of nginx-1.
bench_pss() {
    local pid

    for pid in $(cat "/proc/$(stack_pid nginx-1)/task"/*/children); do
        awk '/^Pss:/ { print $2 * 1024 }' "/proc/$pid/smaps_rollup"
    done | awk '{ sum += $1 } END { printf "%d\n", sum }'
}

bench_field() { sed -n "s/.*\"$2\":\([0-9]*\).*/\1/p" <<< "$1"; }
bench_ms()    { awk -v us="$1" 'BEGIN { printf "%.2f", us / 1000 }'; }

bench_stack() {
    given[dir]=$1
    given[port]=${given[port]:-7800}
    trap bench_end EXIT
    stack_up > /dev/null
}

bench_end() {
    trap - EXIT
    stack_down > /dev/null
    rm -rf "$dir"
}

bench_memory() {
    local before after each

    # A few clients come and go first, so that what is made once is made; few,
    # or what they leave on the heap would be taken for nothing later.
    bench_tokens "$dir/tokens" 2000000 4
    bench_idle < /dev/null > /dev/null
    bench_tokens "$dir/tokens" 1000000 "$bench_clients"

    before=$(bench_pss)

    coproc IDLE { bench_idle; }
    read -r -t 150 after <&"${IDLE[0]}" || die "the clients do not connect"
    sleep 2
    after=$(bench_pss)
    exec {IDLE[1]}>&-
    wait "$IDLE_PID" || true

    each=$(((after - before) / bench_clients))
    printf 'memory:   %d bytes a connection (%d of PSS + %d of its slot), %s\n' \
        $((each + bench_slot)) "$each" "$bench_slot" \
        "$bench_clients idle push.v1 connections, to reach: 900"
}

bench_idle() {
    build/bench/pushload idle "127.0.0.1:$(stack_port 0)" "$dir/tokens"
}

# bench_latency NAME
bench_latency() {
    local json

    bench_tokens "$dir/tokens" 1000000 1000
    json=$(build/bench/pushload rate "127.0.0.1:$(stack_port 0)" \
               "$dir/tokens" "$dir/etc/api.keys" "$bench_rate" "$bench_seconds")

    printf 'latency:  p50 %s ms, p99 %s ms, max %s ms, store on %s' \
        "$(bench_ms "$(bench_field "$json" p50_us)")" \
        "$(bench_ms "$(bench_field "$json" p99_us)")" \
        "$(bench_ms "$(bench_field "$json" max_us)")" "$1"
    printf ' (%d messages/s, %d of %d arrived, %d out of order)\n' "$bench_rate" \
        "$(bench_field "$json" received)" "$(bench_field "$json" sent)" \
        "$(bench_field "$json" faults)"
}

bench_smoke() {
    local tmpfs disk sync

    make -s bench

    tmpfs=$(mktemp -d /dev/shm/push-bench-XXXXXX)
    mkdir -p build/bench
    disk=$(mktemp -d "$root/build/bench/stack-XXXXXX")

    bench_stack "$tmpfs"
    bench_memory
    bench_latency "tmpfs, to reach: 2 and 10"
    bench_end

    bench_stack "$disk"
    bench_latency "disk"
    bench_end

    sync=$(build/bench/fdatasync "$root/build/bench/fdatasync.tmp")
    printf 'disk:     fdatasync of 4 KB p50 %s ms, p99 %s ms\n' \
        "$(bench_ms "$(bench_field "$sync" p50_us)")" \
        "$(bench_ms "$(bench_field "$sync" p99_us)")"
}
