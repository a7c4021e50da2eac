#!/bin/sh
# Models of Stable Diffusion's true sizes: how long they take to load, and how much memory an edit takes,
# against what `promptmill info` foretells. Run it from the repository's root.
#
#     bench/models.sh [-f FOLDER] [-t THREADS] [-e] [sd15-512 | sd21-768 ...]
#
# Checkpoints of random weights, 2 GB each, are made in FOLDER (default: a temporary one) and stay there
# if it was given. -e: edits only. Exit status 1 when an edit takes 5 % more or less than foretold. BUILD says where the
# build is (default: build); bench/README.md tells more.
set -eu

folder= threads=$(nproc) loads=true
while getopts f:t:e option; do
    case $option in
        f) folder=$OPTARG ;;
        t) threads=$OPTARG ;;
        e) loads=false ;;
        *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || set -- sd15-512 sd21-768
build=${BUILD:-build}
tokenizer=tests/golden/data/tokenizer/clip-tokenizer
python=python3
"$python" -c 'import numpy' 2>/dev/null || python=/usr/bin/python3
if [ -z "$folder" ]; then
    folder=$(mktemp -d)
    trap 'rm -r "$folder"' EXIT
    trap 'exit 1' INT TERM
fi
work=$folder/work
mkdir -p "$work"

echo '{"model": "none", "manifest": "edits.jsonl", "scheduler": "ddim"}' >"$work/edits.json" # flags say the rest
cat >"$work/edits.jsonl" <<'EOF'
{"id": "1", "source": "a photo of a cat", "targets": [{"prompt": "a photo of a dog", "edit": "replace", "local_blend": {"source": "cat", "target": "dog"}}]}
EOF

# The most memory that a process has had, without the pages of the model's file, in MB. It is looked at
# while the process runs, since the kernel's own maximum counts those pages.
peak_of() # PID
{
    peak=0
    # a process that has ended stays, as a zombie without memory, until it is waited for
    while now=$(awk '/^State:/ { ended = $2 == "Z" } /^(RssAnon|RssShmem):/ { kb += $2 }
                     END { print int(kb * 1024 / 1e6); exit ended || !NR }' "/proc/$1/status" 2>/dev/null); do
        [ "$now" -le "$peak" ] || peak=$now
        sleep 0.05
    done
    echo "$peak"
}

bad=0
for case; do
    family=${case%-*} side=${case#*-}
    file=$folder/$family.safetensors
    [ -e "$file" ] || "$python" bench/checkpoint.py "$family" "$file"
    cat "$file" >/dev/null # into the page cache
    if $loads; then
        echo "$case: loading"
        "$build/bench/load" "$file" "$tokenizer" "$threads"
    fi
    foretold=$("$build/promptmill" info "$file" --tokenizer "$tokenizer" --width "$side" --height "$side" --threads "$threads" |
        awk '/^memory/ { model = $2 } /one target/ { print (model + $1) * 1e3 }')
    rm -f "$work/edits.h5"
    begin=$(date +%s)
    "$build/promptmill" run --model "$file" --tokenizer "$tokenizer" \
        --store "$work/edits.h5" --steps 2 --width "$side" --height "$side" --threads "$threads" \
        --log error "$work/edits.json" &
    peak=$(peak_of $!)
    wait $!
    end=$(date +%s)
    echo "$case: 2 steps $((end - begin)) s with loading; peak $peak MB, foretold $foretold MB"
    awk -v p="$peak" -v f="$foretold" 'BEGIN { exit p > 1.05 * f || p < 0.95 * f }' || bad=1
done
exit $bad
