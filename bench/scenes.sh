#!/bin/sh
# scenes-bench: how good edits of real pictures are where the right answer is known, by inversion
# method and by windows. Run it from the repository's root.
#
#     bench/scenes.sh [-n RANKS] [-c CASES] [-f FEWER] [-s STEPS] [-e] [FOLDER]
#
# CASES (default 700) are edited with direct inversion. An edition of FEWER (default 700), which is part
# of it, is edited by the other methods and under five windows of cross- and of self-attention. With -e,
# CASES are edited on one rank and on four, in two steps, and the stores compared. FOLDER (default
# build/scenes-bench) keeps everything: what is done is not done again, so the command can be stopped and
# given again. The tables are FOLDER/tables.md. BUILD says where the build is (default: build);
# bench/README.md tells more.
set -eu

ranks=2 cases=700 fewer=700 steps=50 compares=false
while getopts n:c:f:s:e option; do
    case $option in
        n) ranks=$OPTARG ;;
        c) cases=$OPTARG ;;
        f) fewer=$OPTARG ;;
        s) steps=$OPTARG ;;
        e) compares=true ;;
        *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
folder=${1:-build/scenes-bench}
program=${BUILD:-build}/promptmill
if ! [ -x "$program" ]; then
    echo "bench/scenes.sh: $program is not there; make it first" >&2
    exit 2
fi
if [ "$(id -u)" -eq 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
venv=build/scenes-bench-venv
python=$venv/bin/python
if ! [ -x "$python" ]; then
    python3 -m venv "$venv"
    "$python" -m pip install --quiet numpy pillow h5py
fi
mkdir -p "$folder"
folder=$(realpath "$folder")
model=$(realpath models/scenes)

# make_cases CASES: the pictures, and the manifest of their edits
make_cases()
{
    [ -e "$folder/$1.jsonl" ] && return
    (cd models/scenes && ../../"$python" -m train.benchmark "$folder/$1" --cases "$1")
    "$program" import pie-bench "$folder/$1/mapping_file.json" --images "$1/annotation_images" \
        --out "$folder/$1.jsonl"
}

# edit NAME CASES STEPS RANKS MORE: make the store NAME.h5 and its metrics; MORE, after a comma, goes
# into the config
edit()
{
    name=$1
    cat >"$folder/$name.json" <<END
{"model": "$model", "manifest": "$2.jsonl", "store": "$name.h5", "steps": $3, "scheduler": "ddim",
 "guidance_scale": 7.5, "capture": {"attention": [], "latents": "none"}$5}
END
    [ -e "$folder/$name.metrics.csv" ] && return
    mpirun --oversubscribe --bind-to none -n "$4" "$program" run "$folder/$name.json"
    mpirun --oversubscribe --bind-to none -n "$4" "$program" measure "$folder/$name.h5" \
        --truth "$folder/$2/target_images"
}

make_cases "$cases"
make_cases "$fewer"
edit direct "$cases" "$steps" "$ranks" ', "defaults": {"inversion": "direct"}'
for method in negative-prompt ddim; do
    edit "$method" "$fewer" "$steps" "$ranks" ', "defaults": {"inversion": "'$method'"}'
done
windows='[0.2, 0.4, 0.6, 0.8, 1.0]'
edit cross "$fewer" "$steps" "$ranks" ', "sweep": {"cross_replace_steps": '"$windows"'}'
edit self "$fewer" "$steps" "$ranks" ', "sweep": {"self_replace_steps": '"$windows"'}'
edit null-text "$fewer" "$steps" "$ranks" ', "defaults": {"inversion": "null-text"}'
if $compares; then
    edit one-rank "$cases" 2 1 ''
    edit four-ranks "$cases" 2 4 ''
    "$python" tests/program/compare_stores.py "$folder/one-rank.h5" "$folder/four-ranks.h5"
fi
"$python" bench/scenes_tables.py "$folder" "$cases" "$fewer" >"$folder/tables.md"
cat "$folder/tables.md"
