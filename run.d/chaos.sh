# chaos: faults on the real binaries (t/chaos)
#
# in:   options of t/chaos/chaos.py.  out: its lines, its exit status
# owns: build/chaos: a directory a run, which stays if it failed

chaos() {
    local word runs=1

    for word; do
        case $word in
        -h|--help|--list|--clean) runs= ;;
        esac
    done

    if [ -n "$runs" ]; then
        deps_install base test
        build
    fi

    python3 -B "$root/t/chaos/chaos.py" "$@"
}

# What `./run check` has time for: six scenarios of 20 s, two at a time.
chaos_short=(S1 S3 S4 S6 S16 S30)

chaos_check() {
    local i log

    if ! unshare --net --mount --pid --fork true 2>/dev/null; then
        say "skipped  chaos: no namespaces may be made here (needs root)"
        return 0
    fi

    for ((i = 0; i < ${#chaos_short[@]}; i += 2)); do
        chaos_start "${chaos_short[i]}" &
        chaos_start "${chaos_short[i + 1]}" &
        wait
    done

    for i in "${chaos_short[@]}"; do
        log=build/check/chaos_run_$i.log
        check_step "chaos: $i" chaos_said "$log"
    done
}

chaos_start() {
    python3 -B "$root/t/chaos/chaos.py" --scenario "$1" --seconds 20 \
        --seed "${1#S}" > "build/check/chaos_run_$1.log" 2>&1 < /dev/null
}

chaos_said() {
    cat "$1"
    grep -q 'verdict=pass' "$1"
}
