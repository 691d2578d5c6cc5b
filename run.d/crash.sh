# crash: a process dies at each point of a message's way, the long form
#
# in:   the tree.  out: as `check`: a line a test, the logs in build/check/, how
# often somebody died at each point, and last 'N passed, N failed'; false if one
# failed.  PUSH_CRASH_PASSES: of each point the first N passages (6).

. run.d/check.sh

check_crash() {
    local store
    local -x PUSH_CRASH_PASSES=${PUSH_CRASH_PASSES:-6}

    check_begin
    check_step "build: module" make CC=gcc module
    check_step "build: daemons" make -j"$(nproc)" CC=gcc daemons
    check_step "build: module and daemons with fault points" \
        make -j"$(nproc)" CC=gcc FAULTS=1 daemons module

    for store in sqlite mongo; do
        PUSH_CRASH_STORES=$store check_limit=2400 \
            check_step "t/cluster/480-crash-points.t ($store)" \
            check_prove t/cluster/480-crash-points.t
    done

    sed -n 's/^# crash /  /p' build/check/t_cluster_480*.log
    check_end
}
