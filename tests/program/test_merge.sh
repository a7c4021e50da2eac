#!/bin/sh
# A sweep in parts, each with a store of its own, which are merged into the store of a single run.
. tests/program/lib.sh
find_python
config=$work/sweep.json

printf '{"model": "%s", "manifest": "%s", "store": "whole.h5", "steps": 2, "width": 64, "height": 64, "sweep": {"seed": [1, 2]}}\n' \
    "$PWD/models/scenes" "$PWD/tests/program/edits.jsonl" >"$config"
part() { echo "$work/whole.part-$1-of-3.h5"; }

check "plan tells a sweep's size" ends 1 "$program" plan $config
check "each line counts for every setting" prints "28 lines" "sweep       2 settings of each of 14 lines"
check "one run does all settings" ends 2 on 2 run $config
check "an edit is found by its setting" ends 0 "$program" show "$work/whole.h5" "ball-to-cube/seed=2"
check "its seed is the setting's" prints "seed 2"

for i in 1 2 3; do check "part $i of 3 is done" ends 2 "$program" run $config --part $i/3; done
check "a part has its own store" [ -e "$(part 2)" ]
check "a part has left the others' pictures" ends 85 "$program" status "$(part 2)"
check "a part is gone on with as that part" ends 2 "$program" run $config --part 2/3
cp "$(part 2)" "$work/moved.part-1-of-3.h5"
check "a part's store is refused to another part" ends 1 "$program" run $config --part 1/3 --store "$work/moved.h5"
check "the refusal names both" says '"part" was "2/3" and is now "1/3"'

check "the parts become one store" ends 2 "$program" merge "$work/merged.h5" "$(part 1)" "$(part 2)" "$(part 3)"
check "nothing is left in it" prints " 0 left"
check "it is the store of a single run" same_stores "$work/whole.h5" "$work/merged.h5"
check "it is undamaged" ends 0 "$program" verify "$work/merged.h5"
check "a run on it finds nothing to do" ends 2 "$program" run $config --store "$work/merged.h5"
check "the run says so" says "nothing was left to do"

check "what is there is not replaced" ends 1 "$program" merge "$work/merged.h5" "$(part 1)"
check "the name is told" says "merged.h5 exists already; it is replaced only when told to"
check "two stores with the same edit are refused" ends 1 "$program" merge "$work/a.h5" "$(part 1)" "$work/whole.h5"
check "both are named" says "$(part 1) and $work/whole.h5 both have entry"
check "a store of other settings is made" ends 2 "$program" run $config --steps 1 --part 2/3 --store "$work/other.h5"
check "it is refused" ends 1 "$program" merge "$work/a.h5" "$(part 1)" "$work/other.part-2-of-3.h5"
check "the difference is told" says '"steps" was 2 and is now 1'
check "a store is not merged into itself" ends 1 "$program" merge --force "$(part 1)" "$(part 1)" "$(part 2)"
check "what is wanted is told" says "$(part 1) is one of the stores to be merged: a new name is wanted for what comes of them"
check "nor into a folder" ends 1 "$program" merge --force "$work" "$(part 1)" "$(part 2)"
check "which is told" says "$work exists already and is no file"
check "a refusal leaves nothing behind" [ ! -e "$work/a.h5" ]
check "without one part, some pictures are left" ends 85 "$program" merge "$work/most.h5" "$(part 3)" "$(part 1)"
check "a run goes on with what is left" ends 2 on 2 run $config --store "$work/most.h5"
check "and comes to the store of a single run" same_stores "$work/whole.h5" "$work/most.h5"
cp "$(part 3)" "$work/damaged.h5"
"$python" -c 'import h5py, sys
store = h5py.File(sys.argv[1], "r+")
store["image"][int((store["entry"]["state"] == 1).nonzero()[0][-1]), 0, 0] ^= 1' "$work/damaged.h5"
check "a damaged part is refused" ends 1 "$program" merge "$work/b.h5" "$(part 1)" "$work/damaged.h5"
check "the damaged store is named" says "damaged.h5: entry" "run this part again"
check "nothing was made of it" [ -z "$(ls "$work" | grep '^b.h5')" ]
