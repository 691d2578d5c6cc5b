# check: builds all ways, runs all tests
#
# in:   the tree.  out: a line a test, the logs in build/check/, and last
# 'N passed, N failed'; false if one failed.  A test is a build, a program of
# t/unit, or a file of t/ or t/cluster.  A file of t/ that fails is run once
# more: on a busy machine a process may be late.  If it passes then, the line
# says `unsteady`, and why it had failed; that is a fault to be found.

check_passed=0
check_failed=0
check_unsteady=0

# check_step NAME COMMAND...: runs it with its output in a log.
check_step() {
    local name=$1 log=build/check/${1//[\/ ]/_}.log begin=$SECONDS reason
    shift

    if "$@" > "$log" 2>&1 < /dev/null; then
        reason=$(sed -n 's/.*skipped: //p' "$log" | tail -n 1)

        if [[ $reason && $1 == check_prove ]]; then
            printf 'skipped  %s: %s\n' "$name" "$reason"
        else
            printf 'ok       %s (%d s)\n' "$name" $((SECONDS - begin))
            check_passed=$((check_passed + 1))
        fi

        return 0
    fi

    if [ "$1" = check_prove ]; then
        mv "$log" "${log%.log}.first.log"

        if "$@" > "$log" 2>&1 < /dev/null; then
            log=${log%.log}.first.log
            printf 'unsteady %s: failed, then passed, the log is %s\n' \
                   "$name" "$log"
            check_passed=$((check_passed + 1))
            check_unsteady=$((check_unsteady + 1))
            check_why "$log"
            return 0
        fi
    fi

    printf 'FAILED   %s (%d s), the log is %s\n' \
           "$name" $((SECONDS - begin)) "$log"
    check_failed=$((check_failed + 1))
    check_why "$log"
}

# What a log says of a failure.
check_why() {
    { grep -E '^(not ok|#  |\[  FAILED|.*(error|warning):|.*Sanitizer)' "$1" \
        || tail -n 20 "$1"; } | sed -n '1,40s/^/         /p'
}

check_prove() { timeout -k 20 "${check_limit:-300}" prove -v "$1"; }

check_build() {
    check_step "build: module (gcc)" make CC=gcc module
    check_step "build: module (clang)" make CC=clang module
    check_step "build: module with echo" make CC=gcc test-module
    check_step "build: nginx with the module (gcc)" make CC=gcc module-static
    check_step "build: nginx with the module (clang)" \
        make CC=clang module-static
    check_step "build: nginx with the module (sanitizers)" \
        make CC=gcc module-asan
    check_step "build: daemons (gcc)" make -j"$(nproc)" CC=gcc daemons
    check_step "build: daemons (clang)" make -j"$(nproc)" CC=clang daemons
    check_step "build: module and daemons with fault points" \
        make -j"$(nproc)" CC=gcc FAULTS=1 daemons module
    check_step "build: load client" make CC=gcc bench
    check_step "build: unit tests" make -j"$(nproc)" -k CC=gcc unit
    check_step "build: simulator" make -j"$(nproc)" CC=gcc sim
    check_step "build: unit tests (sanitizers)" \
        make -j"$(nproc)" -k CC=gcc SAN=1 unit
}

check_unit() {
    local file name

    for file in t/unit/test_*.c; do
        name=$(basename "$file" .c)
        check_step "unit: $name" timeout -k 5 120 "build/unit/$name"
        check_step "unit: $name (sanitizers)" \
            timeout -k 5 240 "build/san/unit/$name"
    done
}

check_t() {
    local file

    for file in t/*.t t/cluster/*.t; do
        check_step "$file" check_prove "$file"
    done

    check_step "sim: 2000 seeds" timeout -k 5 600 \
        build/t/sim/sim --file t/sim/seeds --seeds 1-2000
    check_step "fuzz: 5 s each" make FUZZ_CC=clang FUZZ_SECONDS=5 fuzz

    # The edge once more, where each wrong access is seen.
    for file in t/0*.t; do
        grep -q 'Push::Edge' "$file" || continue
        PUSH_NGINX=$root/build/asan/nginx \
            check_step "$file (sanitizers)" check_prove "$file"
    done
}

check() {
    check_begin
    check_build
    check_unit
    check_t
    chaos_check
    check_end
}

check_begin() {
    mkdir -p build/check
    rm -f build/check/*.log
}

check_end() {
    say ""
    say "logs: build/check/"
    ((check_unsteady == 0)) || say "$check_unsteady failed at the first try"
    say "$check_passed passed, $check_failed failed"

    ((check_failed == 0))
}
