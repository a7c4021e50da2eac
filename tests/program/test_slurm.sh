#!/bin/sh
# The demo under Slurm.
exec tests/cluster/test_slurm.sh
