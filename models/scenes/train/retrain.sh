#!/bin/sh
# Retrain the scenes model in one command; see --help for the stages and options. With judge as the
# first argument: measure models instead; see judge --help.
#
# The first run makes a virtual environment of its own under build/scenes-training (or in
# $SCENES_VENV) from requirements.txt; nothing is installed elsewhere.
set -eu

train=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$train/../../.." && pwd)
venv=${SCENES_VENV:-$repository/build/scenes-training/venv}

# The copy of the requirements, made last, vouches for a whole environment.
if ! cmp -s "$train/requirements.txt" "$venv/requirements.installed"; then
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet --requirement "$train/requirements.txt"
    cp "$train/requirements.txt" "$venv/requirements.installed"
fi

# By path, not by changing folders: --work and --model stay relative to where the user is.
export PYTHONPATH="$train/..${PYTHONPATH:+:$PYTHONPATH}"
program=train
if [ "${1:-}" = judge ]; then
    program=train.judge
    shift
    if [ "$(id -u)" = 0 ]; then
        # Open MPI asks twice before it runs as root, which is all there is in a container.
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    fi
fi
exec "$venv/bin/python" -m "$program" "$@"
