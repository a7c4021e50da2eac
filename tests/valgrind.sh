#!/bin/sh
# `make valgrind`: the unit, golden and MPI tests under valgrind's memcheck, the latter on two ranks.
#
#     BUILD=build tests/valgrind.sh [PATTERN]
#
# PATTERN, a shell pattern, picks programs by their path. Silent but for what is wrong, which is an access
# that is not allowed or a value that was never set; `make test` looks for memory that is lost. Left out is
# what would take an hour, edits and passes on models/scenes; what measures time; and what fails otherwise, or
# not, under valgrind: a command that is not there, a file too large to be mapped, files without a name.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
pattern=${1:-*}
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
good=0 bad=0
# valgrind 3.19 knows no AVX-512, which it says by cpuid; the kernels' choice is made plain all the same.
export PROMPTMILL_ISA=avx2 OPENBLAS_CORETYPE=Haswell OMP_NUM_THREADS=1 HWLOC_COMPONENTS=-x86
if [ "$(id -u)" -eq 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
mpi=/usr/share/openmpi/openmpi-valgrind.supp # Debian's; other systems have it elsewhere, or none
memcheck="valgrind -q --error-exitcode=99 --leak-check=no --vgdb=no
    --suppressions=tests/sanitizers/valgrind.supp"
[ ! -e "$mpi" ] || memcheck="$memcheck --suppressions=$mpi"

is_left_out()
{
    case $1 in
        */golden/test_edits | */golden/test_inversion | */golden/test_unet*) ;;
        */unit/test_edit_captures | */unit/test_edit_image | */unit/test_edit_memory) ;;
        */unit/test_latent_share | */unit/test_real_image | */unit/test_scratch) ;;
        */unit/test_kernels_backward* | */unit/test_lock | */unit/test_progress | */mpi/test_queue) ;;
        */unit/test_command | */unit/test_unreadable_files | */unit/test_store_pack_failures) ;;
        *) false ;;
    esac
}

for source in tests/unit/test_*.c tests/golden/test_*.c tests/mpi/test_*.c; do
    program=$build/${source%.c}
    case $program in $pattern) ;; *) continue ;; esac
    is_left_out "$program" && continue
    case $program in */mpi/*) ranks="mpirun --oversubscribe -n 2" ;; *) ranks= ;; esac
    case $program in
        */test_shared_weights) children=yes ;; # one ends by writing where it must not
        *) children=no ;;
    esac
    if timeout 1200 $ranks $memcheck --child-silent-after-fork=$children "$program" >"$log" 2>&1 && ! grep -q '^==' "$log"; then
        good=$((good + 1))
    else
        bad=$((bad + 1))
        echo "FAILED $program"
        cat "$log"
    fi
done
echo "$good programs are clean, $bad are not"
[ "$bad" -eq 0 ]
