# Sourced by every test of the program as a whole, from the repository root.
#
# A test prints "ok - FACT" or "not ok - FACT" for all that it checks, the latter with the program's
# last words, and "# ..." for what it leaves out. It can be run by itself:
#
#     BUILD=build tests/program/test_verbs.sh
set -u
program=$PWD/${BUILD:-build}/promptmill
config=tests/program/edits.json
work=$(mktemp -d "${TMPDIR:-/tmp}/promptmill.XXXXXX") || exit 1
job=        # mpirun in the background
bad_facts=0

clean_up()
{
    status=$?
    [ -z "$job" ] || kill "$job" 2>/dev/null # mpirun ends its ranks
    rm -rf "$work"
    [ "$status" -ne 0 ] || [ "$bad_facts" -eq 0 ] || status=1
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' HUP INT TERM

# Open MPI's hwloc would visit every core, and wait at each that is busy, to ask it what the system knows.
export HWLOC_COMPONENTS=-x86
# Without mpirun, Open MPI would start a daemon for each process. All those without one have the same name,
# so that they need folders of their own.
if [ -z "${HOSTS:-}" ]; then
    export OMPI_MCA_ess_singleton_isolated=1 OMPI_MCA_orte_tmpdir_base="$work"
fi
if [ "$(id -u)" -eq 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

# check FACT COMMAND...
check()
{
    fact=$1
    shift
    if "$@"; then
        echo "ok - $fact"
        return
    fi
    echo "not ok - $fact"
    bad_facts=$((bad_facts + 1))
    printf '# %s\n' "$*"
    sed 's/^/# stdout: /' "$work/stdout"
    sed 's/^/# stderr: /' "$work/stderr"
}

# ends STATUS COMMAND...: does it exit so? Its words are kept for prints and says.
ends()
{
    wanted=$1 got=0
    shift
    "$@" >"$work/stdout" 2>"$work/stderr" || got=$?
    [ "$got" -eq "$wanted" ] && return
    echo "exit status $got, not $wanted" >>"$work/stderr"
    return 1
}

# prints TEXT..., says TEXT...: is all of it on the last command's stdout, stderr?
prints() { has_all "$work/stdout" "$@"; }
says() { has_all "$work/stderr" "$@"; }
has_all()
{
    file=$1
    shift
    for text; do
        grep -qF -e "$text" "$file" || return 1
    done
}

# on RANKS ARGUMENTS...: the program under mpirun
on()
{
    n=$1
    shift
    timeout -k 10 120 mpirun --oversubscribe --bind-to none -n "$n" "$program" "$@"
}

# count_in STORE done|failed|left: the pictures in that state; 0 while there is no store
count_in()
{
    count=$("$program" status "$1" 2>/dev/null | sed -n "s/.*[:,] \([0-9]*\) $2.*/\1/p")
    echo "${count:-0}"
}

# Debian's Python has h5py as a package; another one may come first on PATH.
find_python()
{
    for python in python3 /usr/bin/python3; do
        "$python" -c 'import h5py' 2>/dev/null && return
    done
    echo "neither python3 nor /usr/bin/python3 has h5py (Debian: python3-h5py)" >&2
    exit 1
}

same_stores()
{
    "$python" tests/program/compare_stores.py "$1" "$2" >"$work/stdout" 2>"$work/stderr"
}
