#!/bin/sh
# What can be read from a store, and drawn from it.
. tests/program/lib.sh
find_python

store=$work/a.h5
check "a store is made" ends 2 on 2 run $config --store "$store"

check "show lists the edits" ends 0 "$program" show "$store"
check "the list has every line of the manifest" [ "$(wc -l <"$work/stdout")" -eq 14 ]
check "the list has ids, counts and prompts" prints \
    'family                   3 targets, 4 of 4 pictures done  "a red ball on a meadow"' \
    line-3 ../../x
check "show tells all about an edit" ends 0 "$program" show "$store" family "star, not cube"
check "what is told: prompts, edits, tokens" prints "family  (manifest line 9, seed 7)" \
    '"a red ball on a meadow in the rain"' "edit        refine" "red ×2" \
    "blend heart→star minus cube" "<|startoftext|>" "of the picture may differ"
kept="kept  pictures, the latents of all steps, blend masks
kept  /attention/cross_mean: cross-attention of 8x8 pixels to tokens, mean of steps, mean of layers, mean of heads, f32"
check "what the store keeps: pictures, latents, attention" prints "$kept" "/attention/words: " "/attention/self: "
check "status tells it too" ends 2 "$program" status "$store"
check "in the same words" prints "$kept"
check "show exits 1 for an id that is not there" ends 1 "$program" show "$store" famly
check "the id that is not there is named" says '"famly"'

check "verify finds a sound store sound" ends 0 "$program" verify "$store"
check "verify counts what it looked at" prints "27 pictures, 0 damaged"

# flip_byte STORE ENTRY: one in the middle of the entry's picture
flip_byte()
{
    "$python" - "$1" "$2" <<'EOF'
import sys
import h5py

path, entry = sys.argv[1], int(sys.argv[2])
with h5py.File(path, "r") as store:
    image = store["image"]
    size = image[0].nbytes
    place = image.id.get_offset() + entry * size + size // 2
with open(path, "r+b") as file:
    file.seek(place)
    byte = file.read(1)[0]
    file.seek(place)
    file.write(bytes([byte ^ 1]))
EOF
}

cp "$store" "$work/damaged.h5"
flip_byte "$work/damaged.h5" 0
flip_byte "$work/damaged.h5" 15
check "verify exits 2 when bytes have flipped" ends 2 "$program" verify "$work/damaged.h5"
check "verify names the damaged pictures" prints "damaged  ball-to-cube, the source (entry 0)" \
    "damaged  family, target 1 (entry 15)" "27 pictures, 2 damaged"

# A drawn id stays inside the folder, whatever is in it.
out=$work/deep/er/pictures
mkdir -p "$work/deep/er"
check "export draws" ends 0 "$program" export "$store" --as png --out "$out"
check "export tells where the sheet is, and what is left out" prints "$out/sheet.png" \
    "11 strips in $out/" "6 edits left out"
check "there is a strip for each edit, and the sheet" [ "$(ls "$out" | wc -l)" -eq 12 ]
check "nothing is outside the folder" [ "$(find "$work" -name '*.png' | grep -cv "^$out/")" -eq 0 ]
check "file names are plain" [ "$(ls "$out" | grep -c '[^A-Za-z0-9._~+=,-]')" -eq 0 ]

are_pngs()
{
    for file; do
        [ "$(head -c 8 "$file" | od -An -tx1 | tr -d ' ')" = 89504e470d0a1a0a ] || return 1
    done
}
check "all files are PNGs" are_pngs "$out"/*

check "export draws the edits with the ids given" ends 0 "$program" export "$store" --as png \
    --out "$work/two" --scale 1 --columns 1 -- family ../../x
check "these edits and the sheet are there" [ "$(ls "$work/two" | wc -l)" -eq 5 ]
check "by itself, export makes a folder beside the store" ends 0 "$program" export "$store" less-fog
check "it has the store's name" are_pngs "$work/a/sheet.png"
check "an id that is not there is not drawn" ends 1 "$program" export "$store" famly
check "it is named" says '"famly"'

check "info tells of a model" ends 0 "$program" info models/scenes
check "it tells what matters" \
    prints "models/scenes will run" fingerprint "text encoder" UNet VAE scheduler
