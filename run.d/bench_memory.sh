# bench_memory: what a connection costs in user space
#
# in:   a number of connections; the stack, in a directory of its own
# out:  a line: bytes of each push.v1 connection that says nothing but a ping
#       each 25 s, and its slot
# owns: the processes of the clients
#
# Clients come in several processes, each from an address of its own: a process
# has a limit of open files, an address one of ports.  The cost is the slope of
# the workers' PSS over the second half of them: what is made once is not
# counted, and tables that double do so once in it.  nginx writes its slots at start (432 bytes each), so a
# slot is added.  Each worker has a listening socket of its own (reuseport): the
# kernel spreads connections evenly, and none runs out of slots.

memory_slot=432
memory_each=12500           # connections of a worker, of a process of clients
memory_least=4              # processes of clients; an even number
memory_goal="to reach: 680, at most 800"

# Bytes of PSS of all workers of nginx-1.
memory_pss() {
    local pid

    for pid in $(cat "/proc/$(stack_pid nginx-1)/task"/*/children); do
        awk '/^Pss:/ { print $2 * 1024 }' "/proc/$pid/smaps_rollup"
    done | awk '{ sum += $1 } END { printf "%d\n", sum }'
}

# The same when it does not change any more: what handshakes needed has gone.
memory_pss_at_rest() {
    local before after tries=0

    after=$(memory_pss)

    while ((tries++ < 15)); do
        sleep 2
        before=$after
        after=$(memory_pss)
        ((after > before - before / 500 && after < before + before / 500)) \
            && break
    done

    echo "$after"
}

memory_connections() {
    curl -fsS -m 10 "http://127.0.0.1:$(stack_port 1)/status" \
        | sed -n 's/.*"version":"[^"]*","connections":\([0-9]*\),.*/\1/p'
}

# As many as memory allows: kernel, clients and Redis need 24 KB for each.
memory_room() {
    awk -v want="$1" '/^MemAvailable:/ {
        max = int($2 / 24); print want < max ? want : max }' /proc/meminfo
}

# nginx again, with a listening socket for each worker.
memory_reuseport() {
    local conf=$dir/etc/nginx-1.conf

    kill -TERM "$(stack_pid nginx-1)"
    stack_wait 100 stack_gone nginx-1 || die "nginx does not end"
    sed -i "s/^\( *listen *127.0.0.1:$(stack_port 0)\);/\1 reuseport;/" "$conf"
    grep -q reuseport "$conf" || die "conf/nginx.conf has another 'listen'"
    started=()
    stack_start_nginx 1
}

# memory_clients K N: the K-th process, N clients.  Its input is $memory_in.
memory_clients() {
    bench_tokens "$dir/tokens.$1" $((1000000 + $1 * 100000)) "$2"

    build/bench/pushload idle "127.0.0.1:$(stack_port 0)" "$dir/tokens.$1" \
        "127.0.0.$(($1 + 2))" < "$dir/in" > "$dir/out.$1" {memory_in}>&- &
    memory_pids+=($!)

    stack_wait 3000 eval "grep -q ready '$dir/out.$1' \
        || ! kill -0 ${memory_pids[-1]}" || true
    grep -q ready "$dir/out.$1" \
        || die "process $1 of the clients could not connect"
}

# memory_of N: on a stack that is made for it, in a shell of its own.
memory_of() (
    local n processes each k first last connected begin=$SECONDS
    local memory_in memory_pids=()

    n=$(memory_room "$1")
    ((n == $1)) || say "memory:   not enough of it for $1 connections"

    processes=$(((n + 2 * memory_each - 1) / (2 * memory_each) * 2))
    given[workers]=${given[workers]:-$((processes > 2 ? processes : 2))}
    ((processes >= memory_least)) || processes=$memory_least
    each=$((n / processes))

    bench_stack "$(mktemp -d /dev/shm/push-bench-XXXXXX)"
    memory_reuseport

    mkfifo "$dir/in"
    exec {memory_in}<> "$dir/in"

    for ((k = 0; k < processes; k++)); do
        memory_clients "$k" "$each"
        ((k + 1 != processes / 2)) || first=$(memory_pss_at_rest)
    done

    last=$(memory_pss_at_rest)
    connected=$(memory_connections)
    ((connected == each * processes)) \
        || die "$connected of $((each * processes)) connections are there"

    exec {memory_in}>&-

    for k in "${memory_pids[@]}"; do
        wait "$k" || die "clients were closed"
    done

    each=$(((last - first) / (each * processes / 2)))
    printf 'memory:   %d bytes a connection (%d of PSS + %d of its slot), %s\n' \
        $((each + memory_slot)) "$each" "$memory_slot" \
        "$connected idle push.v1 connections, ${given[workers]} workers, $((
            SECONDS - begin)) s, $memory_goal"
)
