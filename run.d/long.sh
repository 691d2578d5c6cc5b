# long: the checks that take longer than one waits, each a sub-command
#
# in:   the tree.  out: as `check`: a line a test, the logs in build/check/,
# and last 'N passed, N failed'; false if one failed.

. run.d/check.sh

# All tests of processes, with an nginx and daemons in which each wrong access
# is seen, and each leak at their end (t/lib/lsan.supp).  Logs are read by the
# tests: a sanitizer's line fails them.
check_asan() {
    local file
    local -x PUSH_NGINX=$root/build/asan/nginx PUSH_BUILD=$root/build/san

    check_begin
    check_step "build: nginx with the module (sanitizers)" \
        make CC=gcc module-asan
    check_step "build: daemons (sanitizers)" \
        make -j"$(nproc)" CC=gcc SAN=1 daemons

    for file in t/[0-3]*.t t/cluster/*.t; do
        check_step "$file (sanitizers)" check_prove "$file"
    done

    check_end
}

# nginx as Debian's releases have it.  A suite whose source cannot be had now
# is named and counts neither way.
check_matrix() {
    local suite file version

    check_begin
    check_step "build: daemons" make -j"$(nproc)" CC=gcc daemons

    for suite in bookworm trixie sid; do
        if ! run.d/nginx.sh source "$suite" > "build/check/source_$suite.log" \
            2>&1
        then
            say "skipped  nginx of $suite: its source cannot be fetched," \
                "the log is build/check/source_$suite.log"
            continue
        fi

        check_step "build: nginx of $suite" \
            run.d/nginx.sh "$suite" "build/$suite" "build/$suite/nginx"

        version=$("build/$suite/nginx" -v 2>&1) || continue

        for file in t/0*.t; do
            grep -q 'Push::Edge' "$file" || continue
            PUSH_NGINX=$root/build/$suite/nginx \
                check_step "$file (${version##*/}, $suite)" check_prove "$file"
        done
    done

    check_end
}

# A whole stack whose store is in memory, 5,000 clients and 5,000 messages a
# second: ten reloads; all clients at once, three times; kills and upgrades.
# What was sustained stands in the lines below.
check_reload() {
    local log name
    local -x TMPDIR=/dev/shm PUSH_LOAD_CLIENTS=5000 PUSH_LOAD_RATE=5000
    local -x PUSH_LOAD_RELOADS=10 PUSH_LOAD_DRAIN=8s

    check_begin
    check_step "build: module" make CC=gcc module
    check_step "build: daemons" make -j"$(nproc)" CC=gcc daemons
    check_step "build: load client" make CC=gcc bench

    for name in 470-reload 471-storm 472-leave; do
        check_limit=900 \
            check_step "t/cluster/$name.t ($PUSH_LOAD_CLIENTS clients)" \
            check_prove "t/cluster/$name.t"
    done

    for log in build/check/t_cluster_47[012]*.log; do
        sed -n 's/^# \(reload\|storm\|rate\|after\|acked\)/  \1/p' "$log"
    done

    check_end
}

# Each target for a minute; what is found new stays in build/fuzz/corpus.
check_fuzz() {
    make FUZZ_CC="$(command -v clang-14 || echo clang)" FUZZ_SECONDS=60 fuzz
}
