#!/bin/sh
# How long it takes before the first edit when a manifest is long. Run it from the repository's root.
#
#     bench/scale.sh [-n RANKS] [-l LINES]
#
# BUILD says where the build is (default: build); bench/README.md tells more.
set -eu

ranks=2 lines=1000000
while getopts n:l: option; do
    case $option in
        n) ranks=$OPTARG ;;
        l) lines=$OPTARG ;;
        *) exit 2 ;;
    esac
done
program=${BUILD:-build}/promptmill
if [ "$(id -u)" -eq 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
trap 'exit 1' INT TERM

# prepare LINES: its config and manifest
prepare()
{
    awk -v lines="$1" 'BEGIN {
        colours = split("red blue green white black yellow", colour)
        things = split("ball cube star heart fish boat tree house", thing)
        for (i = 0; i < lines; i++) {
            what = thing[i % things + 1] " on a meadow"
            printf "{\"id\": \"edit-%d\", \"source\": \"a %s %s\", \"seed\": %d, ", i,
                colour[i % colours + 1], what, i
            printf "\"targets\": [{\"prompt\": \"a %s %s\", \"edit\": \"replace\"}]}\n",
                colour[(i + 1) % colours + 1], what
        }
    }' >"$folder/$1.jsonl"
    cat >"$folder/$1.json" <<EOF
{"model": "$(realpath models/scenes)", "manifest": "$1.jsonl", "store": "$1.h5", "steps": 2,
 "width": 64, "height": 64, "capture": {"images": false, "latents": "none", "attention": []}}
EOF
}

# timed NAME COMMAND...
timed()
{
    name=$1
    shift
    /usr/bin/time -f '%e %M' -o "$folder/time" "$@" >/dev/null 2>&1 || true # 85: out of time
    tail -n 1 "$folder/time" |
        awk -v name="$name" '{ printf "| %s | %.1f | %.0f |\n", name, $1, $2 * 1.024e-3 }'
}

echo "| | s | largest process, MB |"
echo "|---|---|---|"
for count in 100 "$lines"; do
    prepare "$count"
    timed "plan, $count lines" "$program" plan "$folder/$count.json"
    timed "run without an edit, $count lines, $ranks ranks" mpirun --oversubscribe --bind-to none \
        -n "$ranks" "$program" run "$folder/$count.json" --time-limit 0.001
done
