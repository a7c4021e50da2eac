#!/bin/sh
# An edit that needs more memory than its rank has is refused before it is begun; the others are made.
. tests/program/lib.sh

cat >"$work/edits.jsonl" <<'END'
{"id": "small", "source": "a red ball on a meadow", "seed": 7, "targets": []}
{"id": "large", "source": "a red ball on a hill", "seed": 7, "targets": [{"edit": "reweight", "equalizer": {"red": 2}}, {"edit": "reweight", "equalizer": {"ball": 2}}, {"edit": "reweight", "equalizer": {"hill": 2}}]}
END
# write_config FILE MEMORY
write_config()
{
    printf '{"model": "%s", "manifest": "edits.jsonl", "steps": 1, "width": 256, "height": 256,
        "capture": {"images": false}, "limits": {"memory_bytes": %s}}\n' "$PWD/models/scenes" "$2" >"$1"
}
config=$work/edits.json
write_config "$config" 320e6
wide=$work/wide.json
write_config "$wide" 2e9

check "plan refuses a line for which there is not enough" ends 1 "$program" plan "$config"
check "plan names the line and what it needs" prints "edits.jsonl:2: the edit needs" "limits.memory_bytes"
check "plan does not name the other" eval '! prints "edits.jsonl:1: the edit"'
check "plan tells what a rank takes" prints "MB for a rank, the most by edits.jsonl:2"
check "where there is enough, plan finds nothing wrong" ends 0 "$program" plan "$wide"

store=$work/a.h5
check "the run ends as one of which an edit failed" ends 2 "$program" run "$config" --store "$store"
check "the run names the edit" says "large: the edit needs"
check "the other edit is made" [ "$(count_in "$store" done)" -eq 1 ]
check "why it failed is in the store" ends 2 "$program" status "$store"
check "status tells it" prints "the edit needs" "a rank has"
check "with more memory it is made" ends 0 "$program" run "$wide" --store "$store" --retry-failed

# Where address space is limited, as some clusters do, less of it is reserved.
limited() { (ulimit -v "$1" && shift && "$@"); }
find_python
check "under ulimit -v edits are made" ends 0 limited 8000000 on 2 run "$wide" --store "$work/limited.h5"
check "the same ones" same_stores "$store" "$work/limited.h5"
kilobytes=400000
sentences=0
until ends 2 limited $kilobytes timeout -k 5 30 "$program" run "$wide" --store "$work/less.h5" || [ $kilobytes -gt 8000000 ]; do
    ! says "cannot reserve" "(ulimit -v allows no more)" || sentences=$((sentences + 1))
    kilobytes=$((kilobytes * 9 / 8))
done
check "where that is too little, a sentence says so" [ "$sentences" -gt 0 ]
check "where there is just enough to begin, an edit that wants more is refused for it" eval '"$program" status "$work/less.h5" | grep -q "large.*may have address space for .*(ulimit -v)"'
