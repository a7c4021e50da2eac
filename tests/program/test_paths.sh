#!/bin/sh
# Paths as deep, and names as long and strange, as a file system has them: they work, or a sentence says why
# not.
. tests/program/lib.sh

# repeat COUNT TEXT
repeat() { printf "%0$1d" 0 | sed "s|0|$2|g"; }
folder=$(repeat 24 dddddddddddddddddddddddddddddddddddddddd/) # 984 bytes
name=$(repeat 197 n)
mkdir -p "$work/$folder"
cat >"$work/edits.jsonl" <<END
{"id": "a", "source": "a red star", "targets": [{"prompt": "a blue star", "edit": "replace"}]}
{"id": "b", "source": "a red star", "meta": {"image_path": "$(repeat 2040 x/)y.png"}, "targets": [{"prompt": "a blue star", "edit": "replace"}]}
END
cat >"$work/run.json" <<END
{"model": "$PWD/models/scenes", "manifest": "edits.jsonl", "steps": 1, "scheduler": "ddim", "width": 32, "height": 32,
 "capture": {"attention": []}}
END
store=$work/$folder/a.h5
check "a store lies as deep as folders go" ends 0 on 2 run "$work/run.json" --store "$store"
check "it is gone on with" ends 0 on 1 run "$work/run.json" --store "$store"
check "nothing was left to do" says "nothing was left to do"
check "and it is whole" ends 0 "$program" verify "$store"

check "a store's name has 200 bytes" ends 0 on 2 run "$work/run.json" --store "$work/$name.h5" --store-files node
check "with those of its shards" [ -e "$work/$name.h5.shard-0" ]
check "such a store is whole" ends 0 "$program" verify "$work/$name.h5"
check "it is packed under such a name" ends 0 "$program" pack "$work/$name.h5" "$work/$folder$name.h5"

too_long="\"n$name.h5\" has 201 bytes; 1 to 200 are wanted"
check "one byte more is refused by plan" ends 1 "$program" plan "$work/run.json" --store "$work/n$name.h5"
check "which says how many there may be" says "$too_long"
check "by run" ends 1 "$program" run "$work/run.json" --store "$work/n$name.h5"
check "likewise" says "$too_long"
check "by pack" ends 1 "$program" pack "$store" "$work/n$name.h5"
check "likewise" says "$too_long"
check "and by merge" ends 1 "$program" merge "$work/n$name.h5" "$store"
check "likewise" says "$too_long"
check "no file is left of them" [ -z "$(find "$work" -name "n$name*")" ]

strange="$work/Ü %s %n"
mkdir "$strange" "$work/$(printf '\377')"
cp "$work/edits.jsonl" "$strange"
sed 's|"capture"|"store": "ä %d.h5", &|' "$work/run.json" >"$strange/run.json"
check "a folder has any name" ends 0 "$program" run "$strange/run.json"
check "and a store" ends 0 "$program" verify "$strange/ä %d.h5"
cp "$work/run.json" "$work/edits.jsonl" "$work/$(printf '\377')"
check "but UTF-8 it must be" ends 1 "$program" plan "$work/$(printf '\377')/run.json"
check "as it says" says "is no UTF-8, as paths in a config must be"
sed "s|\"edits.jsonl\"|\"$work/edits.jsonl\"|" "$work/run.json" >"$work/$(printf '\377')/run.json"
check "where any path is relative to it" ends 0 "$program" plan "$work/$(printf '\377')/run.json"

# Longer than a path may be, by the names that are put behind it.
dots=$(repeat 2044 ./)
cd "$work" || exit
check "a folder for logs that leaves no room for their names" ends 1 "$program" run run.json --store b.h5 --log-folder "$dots"
check "is named" says "the path ./././" "... is too long"
cp -l "$name.h5" c.h5
check "a store that leaves no room for its lock's name" ends 1 "$program" pack "${dots}c.h5" d.h5
check "is named" says "the path ./././" "... is too long"
check "an image_path that leaves no room for PIE-Bench's folders" ends 1 "$program" export "$store" --as pie-bench --out pie
check "is named" says "the path x/x/x/" "... is too long"
