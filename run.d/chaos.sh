# chaos: faults on the real binaries (t/chaos)
#
# in:   options of t/chaos/chaos.py.  out: its lines, its exit status
# owns: build/chaos: a directory a run, which stays if it failed

chaos() {
    local word runs=1 mongo=

    for word; do
        case $word in
        -h|--help|--list|--clean) runs= ;;
        mongo|--store=mongo) mongo=1 ;;
        esac
    done

    if [ -n "$runs" ]; then
        deps_install base test
        build
    fi

    if [ -n "$runs" ] && [ -n "$mongo" ]; then
        chaos_mongo || die "no mongod"
    fi

    python3 -B "$root/t/chaos/chaos.py" "$@"
}

# What runs with a replica set needs besides.
chaos_mongo() { mongod_get && make -s build/bin/mongo_command; }

# What `./run check` has time for: 20 s each, two at a time.
chaos_short=("S1 sqlite" "S3 sqlite" "S6 sqlite" "S12 mongo" "S16 sqlite"
             "S30 sqlite")

chaos_check() {
    local i one

    if ! unshare --net --mount --pid --fork true 2>/dev/null; then
        say "skipped  chaos: no namespaces may be made here (needs root)"
        return 0
    fi

    if ! (chaos_mongo) > build/check/chaos_mongo.log 2>&1; then
        say "skipped  chaos with MongoDB: no mongod"
        chaos_short[3]="S4 sqlite"
    fi

    for ((i = 0; i < ${#chaos_short[@]}; i += 2)); do
        chaos_start ${chaos_short[i]} &
        chaos_start ${chaos_short[i + 1]} &
        wait
    done

    for one in "${chaos_short[@]}"; do
        chaos_again $one
        check_step "chaos: $one" chaos_said "build/check/chaos_run_${one% *}.log"
    done
}

# SCENARIO STORE: one that failed runs once more, alone, as files of t/ do.
chaos_again() {
    local log=build/check/chaos_run_$1.log

    if ! chaos_said "$log" > /dev/null; then
        mv "$log" "${log%.log}.first.log"
        printf 'unsteady chaos: %s failed, the log is %s\n' \
               "$1" "${log%.log}.first.log"
        check_unsteady=$((check_unsteady + 1))
        chaos_start "$@"
    fi
}

# SCENARIO STORE
chaos_start() {
    timeout -k 20 300 python3 -B "$root/t/chaos/chaos.py" --scenario "$1" \
        --store "$2" --seconds 20 --seed "${1#S}" \
        > "build/check/chaos_run_$1.log" 2>&1 < /dev/null
}

chaos_said() {
    cat "$1"
    grep -q 'verdict=pass' "$1"
}
