# bench: what a connection costs, how long a message takes, what a store takes
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

# One edge and its Redis alone: bench/fanout.pl plays the rest.
bench_fanout() {
    make -s bench

    PUSH_TEST_PORTS=${given[port]:-7800} \
        perl bench/fanout.pl "${given[connections]:-100000}" \
            ${given[workers]:+20 1000 "${given[workers]}"}
}

bench_rate_of() { sed -n 's/^\([0-9]*\) .*/\1/p' <<< "$1"; }

# The store alone, 300 bytes a message to 100,000 users: on disk, with batches
# of 1, 100 and 1000, 16, 8 and 4 of them under way.
bench_store() {
    local size

    make -s build/bin/store_bench build/bin/insert_bench build/bin/mongo_command
    mkdir -p build/bench
    dir=$(mktemp -d "$root/build/bench/store-XXXXXX")
    trap bench_store_end EXIT

    for size in "1 16" "100 8" "1000 4"; do
        bench_store_sqlite $size
    done

    mkdir -p "$dir"/{data,logs,pids}
    started=()
    mongod_set "$((${given[port]:-7800} + 20))" 1
    mongo=mongodb://127.0.0.1:$((${given[port]:-7800} + 20))

    for size in "1 16" "100 8" "1000 4"; do
        bench_store_mongo $size
    done
}

bench_store_end() {
    trap - EXIT
    stack_end mongod-1 > /dev/null
    rm -rf "$dir"
}

# bench_store_sqlite BATCH UNDER_WAY
bench_store_sqlite() {
    local reach=

    [ "$1" = 100 ] && reach=", to reach: 60000"
    printf 'sqlite:   batches of %-5s %s%s\n' "$1:" \
        "$(build/bin/store_bench "sqlite:$dir/push.db" 6 "$1" "$2")" "$reach"
    rm -f "$dir"/push.db*
}

# bench_store_mongo BATCH UNDER_WAY: insertMany and the store in turns, so that
# both see the same machine.
bench_store_mongo() {
    local plain=0 store=0 said k index

    index='{"createIndexes": "messages", "indexes": [
        {"name": "log_key", "unique": true, "key": {"_id.log": 1, "key": 1},
         "partialFilterExpression": {"key": {"$exists": true}}},
        {"name": "collect", "key": {"collect": 1},
         "partialFilterExpression": {"collect": {"$exists": true}}}]}'

    for k in 1 2 3 4; do
        bench_mongo '{"dropDatabase": 1}'
        bench_mongo "$index"
        said=$(build/bin/insert_bench "$mongo/bench?replicaSet=push" 3 "$1" \
                   "$2" 2>/dev/null)
        plain=$((plain + $(bench_rate_of "$said")))

        bench_mongo '{"dropDatabase": 1}'
        said=$(build/bin/store_bench "$mongo/bench?replicaSet=push" 3 "$1" "$2")
        store=$((store + $(bench_rate_of "$said")))
    done

    printf 'mongodb:  batches of %-5s %d msg/s, insertMany %d,' "$1:" \
        $((store / 4)) $((plain / 4))
    awk -v s="$store" -v p="$plain" \
        'BEGIN { printf " ratio %.2f, to reach: 0.6\n", s / p }'
}

bench_mongo() {
    build/bin/mongo_command "$mongo/?directConnection=true" bench "$1" \
        > /dev/null
}
