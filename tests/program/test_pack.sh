#!/bin/sh
# A packed store is smaller, holds the same, reads the same, and is read-only.
. tests/program/lib.sh
find_python

store=$work/a.h5
small=$work/small.h5
check "a store is made" ends 2 on 2 run $config --store "$store"
cp "$store" "$work/before.h5"

check "pack makes a copy" ends 0 "$program" pack "$store" "$small"
check "pack tells sizes, ratio and seconds" prints "$small: " " MB, before " "ratio " " s"
check "the copy is smaller" [ "$(wc -c <"$small")" -lt "$(wc -c <"$store")" ]
check "the copy holds the same" same_stores "$store" "$small"
check "the store is as before" cmp "$store" "$work/before.h5"
check "verify finds the copy sound" ends 0 "$program" verify "$small"
check "verify counts what it looked at" prints "27 pictures, 0 damaged"

same_words()
{
    "$program" "$1" "$store" >"$work/of-store"
    "$program" "$1" "$small" | sed "s|$small|$store|" >"$work/of-copy"
    cmp "$work/of-store" "$work/of-copy"
}
check "status says the same of both" same_words status
check "show says the same of both" same_words show
"$program" export "$store" --out "$work/one" >"$work/stdout" 2>"$work/stderr"
check "export draws from the copy" ends 0 "$program" export "$small" --out "$work/two"
check "it draws the same" diff -r -x sheet.png "$work/one" "$work/two" # that has the store's name
command -v h5dump >/dev/null && check "h5dump reads the copy" ends 0 h5dump -d /image -s 26,0,0,0 -c 1,1,1,3 "$small"

check "run does not write to a packed store" ends 1 on 2 run $config --store "$small"
check "it says why" says "$small is a packed store; it is read-only"

check "a copy that is there is kept" ends 1 "$program" pack "$store" "$small"
check "it is named" says "$small exists already"
check "with --force it is replaced" ends 0 "$program" pack --force --level 9 "$store" "$small"
check "a store is not packed into itself" ends 1 "$program" pack --force "$store" "$store"
check "it says so" says "itself"
check "a level that is none is refused" ends 1 "$program" pack --level 10 "$store" "$work/b.h5"
check "two names are needed" ends 1 "$program" pack "$store"

# flip_in_chunk STORE DATASET: one byte in the middle of its first chunk
flip_in_chunk()
{
    "$python" - "$1" "$2" <<'END'
import sys
import h5py

path, dataset = sys.argv[1:]
with h5py.File(path, "r") as store:
    chunk = store[dataset].id.get_chunk_info(0)
with open(path, "r+b") as file:
    file.seek(chunk.byte_offset + chunk.size // 2)
    byte = file.read(1)[0]
    file.seek(-1, 1)
    file.write(bytes([byte ^ 1]))
END
}
flip_in_chunk "$small" image
check "verify exits 2 when a byte of a chunk has flipped" ends 2 "$program" verify "$small"
check "it names the pictures of that chunk" prints "damaged  ball-to-cube, the source (entry 0)"
check "pack exits 2 as well" ends 2 "$program" pack "$small" "$work/c.h5"
check "it names them" prints "damaged  ball-to-cube, the source (entry 0)"
check "it says that there is no copy" says "$work/c.h5 was not written"
check "there is none" [ "$(find "$work" -name 'c.h5*' | wc -l)" -eq 0 ]
check "with --keep-going it exits 2" ends 2 "$program" pack --keep-going "$small" "$work/c.h5"
check "it warns" says "in $work/c.h5 they are pending"
check "the copy is sound" ends 0 "$program" verify "$work/c.h5"
check "what was damaged is left" [ "$(count_in "$work/c.h5" left)" -gt 0 ]

# Killed as soon as it has begun: whatever it had come to, there is no half of a copy.
for i in 1 2 3 4 5; do
    "$program" pack --level 9 "$store" "$work/d.h5" >"$work/stdout" 2>"$work/stderr" &
    packing=$!
    while kill -0 "$packing" 2>/dev/null && [ -z "$(find "$work" -name 'd.h5*')" ]; do
        sleep 0.001
    done
    kill -9 "$packing" 2>/dev/null
    wait "$packing" 2>/dev/null
    [ -e "$work/d.h5" ] && check "what it finished is whole" same_stores "$store" "$work/d.h5"
    rm -f "$work"/d.h5*
done
check "the store is as before all this" cmp "$store" "$work/before.h5"
