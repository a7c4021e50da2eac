#!/bin/sh
# A few kills at random moments. `make soak` does a hundred.
. tests/program/lib.sh

check "runs killed at random moments lead to the undisturbed store" ends 0 env KILLS=4 SEED=3 tests/soak.sh
check "all were killed" prints "4 kills" "all equal"
