# hostile: clients that mean no good, and workers without memory, the long forms
#
# in:   the tree.  out: as `check`: a line a test, the logs in build/check/,
# and last 'N passed, N failed'; false if one failed.

. run.d/check.sh

# 2,000 clients that do not read, and 700 others; each allocation of a
# connection's life.  Alone on the machine: it compares latencies.
check_hostile() {
    check_begin
    check_step "build: module (gcc)" make CC=gcc module
    PUSH_TEST_HOSTILE=2000 \
        check_step "t/034-hostile.t (2,000)" check_hostile_prove 034-hostile
    PUSH_TEST_STEP=1 \
        check_step "t/035-no-memory.t (each)" check_hostile_prove 035-no-memory
    check_end
}

check_hostile_prove() { timeout -k 20 900 prove -v "t/$1.t"; }
