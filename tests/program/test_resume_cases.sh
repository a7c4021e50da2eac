#!/bin/sh
# Whatever of a store is done, failed or lost: the next run makes what is missing and nothing else, and comes
# to the store of a run that nobody disturbed. PROMPTMILL_CASES=1000000 begins at another case.
. tests/program/lib.sh
find_python

# lose STORE CASE: some rows become zeros, which say pending, as after a loss of power.
# made STORE: who made each picture, and when; of those that are not done, nothing.
cat >"$work/rows.py" <<'END'
import random
import sys

import h5py
import numpy

with h5py.File(sys.argv[2], "r+") as store:
    rows, made = store["entry"], store["provenance/entry"]
    if sys.argv[1] == "lose":
        pick = random.Random(int(sys.argv[3]))
        share = pick.choice([0.3, 0.6, 0.9])
        for i in range(len(rows)):
            if pick.random() < share:
                rows[i] = numpy.zeros((), rows.dtype)
    else:
        for i, state in enumerate(rows["state"]):
            print(i, made[i].tobytes().hex() if state == 1 else "")
END
lose() { "$python" "$work/rows.py" lose "$@"; }
made() { "$python" "$work/rows.py" made "$1"; }

# keeps BEFORE AFTER: is each picture of BEFORE there as it was?
keeps() { grep ' .' "$1" | grep -vxFf "$2" >"$work/stdout"; [ $? -eq 1 ]; }

whole=$work/whole.h5
check "an undisturbed run finishes" ends 2 on 2 run $config --store "$whole"
first=${PROMPTMILL_CASES:-0}
for case in $(seq "$first" $((first + 3))); do
    store=$work/$case.h5 ranks=$((case % 3 + 1))
    cp "$whole" "$store"
    lose "$store" "$case"
    made "$store" >"$work/before"
    left=$(count_in "$store" left)
    check "case $case: some are left, not all" [ "$left" -gt 0 -a "$left" -lt 27 ]
    check "case $case: the next run, on $ranks ranks, finishes" ends 2 on $ranks run $config --store "$store"
    check "case $case: it comes to the same store" same_stores "$whole" "$store"
    made "$store" >"$work/after"
    check "case $case: what was done is not done again" keeps "$work/before" "$work/after"
done
