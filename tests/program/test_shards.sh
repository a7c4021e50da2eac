#!/bin/sh
# A store with a file for each host is as one of one file, and what it has lost is made again.
# tests/cluster has several hosts; here is one.
. tests/program/lib.sh
find_python

store=$work/a.h5
shard=$store.shard-0
check "a store of one file is made" ends 2 on 2 run $config --store "$work/one.h5"
check "a store with a file for each host is made" ends 2 on 2 run $config --store "$store" \
    --store-files node
check "the host's file has the pictures" [ "$(wc -c <"$shard")" -gt "$(wc -c <"$store")" ]
check "h5py reads both alike" same_stores "$work/one.h5" "$store"
command -v h5dump >/dev/null && check "h5dump reads it" ends 0 h5dump -d /image -s 26,0,0,0 -c 1,1,1,3 "$store"
for verb in status verify show; do
    "$program" $verb "$work/one.h5" | grep -v one.h5 >"$work/of-one"
    "$program" $verb "$store" | grep -v a.h5 >"$work/of-node"
    sed 's/, after .*//' "$work/of-one" >"$work/stdout"
    check "$verb says the same of both" sh -c "sed 's/, after .*//' '$work/of-node' | cmp - '$work/stdout'"
done

check "files cannot be asked for otherwise later" ends 1 on 2 run $config --store "$store" \
    --store-files one
check "it says so" says '"store.files" was "node" and is now "one"'
check "nor of a store of one file" ends 1 on 1 run $config --store "$work/one.h5" --store-files node
check "an unknown kind is refused" ends 1 "$program" run $config --store "$work/b.h5" --store-files two
check "the known ones are named" says 'it must be one of "one", "node"'

mkdir "$work/elsewhere"
mv "$store" "$shard" "$work/elsewhere"
check "both files can be moved together" same_stores "$work/one.h5" "$work/elsewhere/a.h5"
check "promptmill finds them there" ends 0 "$program" verify "$work/elsewhere/a.h5"
mv "$work/elsewhere/a.h5" "$work/elsewhere/a.h5.shard-0" "$work"

check "pack makes one file of it" ends 0 "$program" pack "$store" "$work/small.h5"
check "the packed store holds the same" same_stores "$work/one.h5" "$work/small.h5"
check "pack does not write over the host's file" ends 1 "$program" pack --force "$store" "$shard"
check "it says that it is the store's" says "is a part of the store"

"$program" run $config --store "$work/other.h5" --store-files node >/dev/null 2>&1
mv "$shard" "$work/kept"
cp "$work/other.h5.shard-0" "$shard"
for verb in status verify show "export --out $work/pictures"; do
    check "${verb% *}: another store's file is refused" ends 1 "$program" $verb "$store"
    check "${verb% *}: it is named" says "$shard is not this shard of $store"
done
check "run does not write to it" ends 1 on 2 run $config --store "$store"
check "run names it" says "$shard is not this shard of $store"
check "it is as it was" cmp "$shard" "$work/other.h5.shard-0"

rm "$shard"
for verb in status verify show "export --out $work/pictures" "pack --force"; do
    out=
    [ "$verb" != "pack --force" ] || out=$work/small.h5
    check "${verb% *}: a missing file is an error" ends 1 "$program" $verb "$store" $out
    check "${verb% *}: it is named" says "$shard is missing"
done
"$python" -c 'import h5py, sys; sys.exit(int(h5py.File(sys.argv[1], "r")["entry"]["state"].any()))' "$store"
check "h5py sees nothing done without it" [ $? -eq 0 ]
check "a run makes what was lost" ends 2 on 2 run $config --store "$store"
check "it says what was missing" says "$shard is missing: its 27 pictures will be made again"
check "the store is as before" same_stores "$work/one.h5" "$store"

rm "$store"
check "without the store itself nothing is begun over its files" ends 1 on 2 run $config \
    --store "$store" --store-files node
check "the file in the way is named" says "$shard exists already"
