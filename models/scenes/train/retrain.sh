#!/bin/sh
# Retrain the scenes model in one command; see --help for the stages and options.
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
exec "$venv/bin/python" -m train "$@"
