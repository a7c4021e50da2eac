#!/bin/sh
# A sweep as a job array under Slurm.
exec tests/cluster/test_slurm_array.sh
