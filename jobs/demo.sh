#!/bin/sh
# `make demo`: the main job on models/scenes under mpirun, into a store, and pictures out of it.
set -eu
program=${BUILD:-build}/promptmill
ranks=${RANKS:-2}
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
mkdir -p out
rm -f out/demo.h5
rm -rf out/demo
"$program" plan configs/demo.json
mpirun --oversubscribe --bind-to none -n "$ranks" "$program" run configs/demo.json
"$program" export out/demo.h5 --as png --out out/demo
echo "Look at out/demo/sheet.png (all edits) and at the strips beside it; the store is out/demo.h5."
