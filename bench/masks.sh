#!/bin/sh
# How well masks of attention cover what is there, by word and method, where the truth is known. Run it from the
# repository's root.
#
#     bench/masks.sh [-n RANKS] [-c CASES] [-f FIRST] [-s STEPS] [FOLDER]
#
# Pictures of models/scenes' generator (masks_cases.py; CASES, default 240, from number FIRST, default 1000) are
# inverted ("direct") in STEPS (default 20) DDIM steps; attention is captured while the picture is made again from its
# inversion. FOLDER (default build/masks) keeps everything: what is done is not done again. The tables are
# FOLDER/tables.md. BUILD says where the build is (default: build); bench/README.md tells more.
set -eu

ranks=2 cases=240 first=1000 steps=20
while getopts n:c:f:s: option; do
    case $option in
        n) ranks=$OPTARG ;;
        c) cases=$OPTARG ;;
        f) first=$OPTARG ;;
        s) steps=$OPTARG ;;
        *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
folder=${1:-build/masks}
program=${BUILD:-build}/promptmill
if ! [ -x "$program" ]; then
    echo "bench/masks.sh: $program is not there; make it first" >&2
    exit 2
fi
if [ "$(id -u)" -eq 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
export HWLOC_COMPONENTS=-x86
for python in python3 /usr/bin/python3; do
    "$python" -c 'import numpy, PIL' 2>/dev/null && break
done
mkdir -p "$folder"
[ -f "$folder/cases/manifest.jsonl" ] ||
    "$python" bench/masks_cases.py "$folder/cases" --first "$first" --count "$cases"
cat >"$folder/run.json" <<END
{"model": "$(realpath models/scenes)", "manifest": "cases/manifest.jsonl", "store": "maps.h5", "steps": $steps,
 "scheduler": "ddim", "capture": {"attention": [
   {"name": "cross", "layers": "each", "heads": "each", "dtype": "f16"},
   {"name": "self", "kind": "self", "dtype": "f16"}]}}
END
mpirun --oversubscribe --bind-to none -n "$ranks" "$program" run "$folder/run.json"

# masks NAME OPTION...: the masks of one method, for the table
: >"$folder/methods"
masks()
{
    name=$1
    shift
    out=$folder/$(echo "$name" | tr -c 'a-zA-Z0-9.\n' _)
    rm -rf "$out"
    mpirun --oversubscribe --bind-to none -n "$ranks" "$program" export "$folder/maps.h5" --as masks \
        --out "$out" "$@"
    echo "$name=$out" >>"$folder/methods"
}
masks "heat, 0.4" --threshold 0.4
masks "heat, Otsu" --threshold otsu
masks "heat, 0.4, compete" --threshold 0.4 --compete
masks "heat, 0.3, compete" --threshold 0.3 --compete
masks "heat, 0.5, compete" --threshold 0.5 --compete
masks "shares, 0.4, compete" --share-tokens --threshold 0.4 --compete
masks "self 1, 0.5" --propagate 1 --threshold 0.5
masks "self 1, Otsu" --propagate 1 --threshold otsu
masks "self 1, 0.5, compete" --propagate 1 --threshold 0.5 --compete
masks "self 4, 0.5, compete" --propagate 4 --threshold 0.5 --compete
masks "guided, 0.4, compete" --guide 8 --threshold 0.4 --compete
masks "self 1, guided, 0.5, compete" --propagate 1 --guide 8 --threshold 0.5 --compete
set --
while read -r method; do set -- "$@" "$method"; done <"$folder/methods"
"$python" bench/masks_tables.py "$folder/cases" "$@" >"$folder/tables.md"
cat "$folder/tables.md"
