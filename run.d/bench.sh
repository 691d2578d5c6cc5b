# bench: what a connection costs, how long a message takes
#
# in:   the stack, in directories of its own (ports from 7800 on, or --port).
# out: lines for people.  Memory: bench_memory.sh.  Latency is from the moment a
# message was due to publish to the moment its client has read it.

. run.d/bench_memory.sh

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

    memory_of 10000

    tmpfs=$(mktemp -d /dev/shm/push-bench-XXXXXX)
    mkdir -p build/bench
    disk=$(mktemp -d "$root/build/bench/stack-XXXXXX")

    bench_stack "$tmpfs"
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

# Few and many: what is made once must not be seen in either.
bench_memory() {
    local n

    make -s bench

    for n in ${given[connections]:-10000 200000}; do
        memory_of "$n"
    done
}
