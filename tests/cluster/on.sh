#!/bin/sh
# mpirun's launch agent, in ssh's place: on.sh HOST COMMAND...
host=$1
shift
exec nsenter --target "$(cat "$HOSTS/$host")" --mount --uts --net --pid sh -c "$*"
