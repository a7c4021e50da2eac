# Sourced after hosts.sh: a real Slurm on the hosts n1, n2 and n3, with its controller on the hub.

slurm_tools="slurmctld slurmd munged sbatch squeue scontrol"

# start_slurm [LINE of slurm.conf...]: its daemons' numbers go to $slurm/run
start_slurm()
{
    slurm=$work/slurm
    mkdir "$slurm" "$slurm/run" "$slurm/log" "$slurm/state" "$slurm/spool.n1" "$slurm/spool.n2" "$slurm/spool.n3"
    chmod 755 "$work" "$slurm" "$slurm/run" # munge's socket is for all
    head -c 1024 /dev/urandom >"$slurm/munge.key"
    chmod 400 "$slurm/munge.key"
    cat >"$slurm/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=hub(10.77.0.254)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$slurm/run/munge.socket
CredType=cred/munge
StateSaveLocation=$slurm/state
SlurmdSpoolDir=$slurm/spool.%n
SlurmctldPidFile=$slurm/run/slurmctld.pid
SlurmdPidFile=$slurm/run/slurmd.%n.pid
SlurmctldLogFile=$slurm/log/slurmctld.log
SlurmdLogFile=$slurm/log/slurmd.%n.log
TmpFS=$scratch
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,sched_min_interval=100000,bf_interval=1,batch_sched_delay=0
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MailProg=/bin/true
KillWait=1
ReturnToService=2
SlurmdTimeout=10
SlurmdParameters=config_overrides
NodeName=n[1-3] NodeAddr=10.77.0.[1-3] CPUs=2 RealMemory=4000
$(printf '%s\n' "$@")
CONF
    export SLURM_CONF="$slurm/slurm.conf"
    munged --force --key-file="$slurm/munge.key" --socket="$slurm/run/munge.socket" \
        --pid-file="$slurm/run/munged.pid" --log-file="$slurm/log/munged.log" \
        --seed-file="$slurm/run/munged.seed" 2>"$slurm/log/munged.start"
    slurmctld -c -f "$SLURM_CONF" 2>"$slurm/log/slurmctld.start"
    for number in 1 2 3; do start_slurmd "$number"; done
    for i in $(seq 200); do
        [ "$(sinfo --noheader --states idle --format %D 2>/dev/null)" = 3 ] && return
        sleep 0.05
    done
    tail "$slurm"/log/* >&2
    return 1
}

start_slurmd()
{
    tests/cluster/on.sh "n$1" "SLURM_CONF=$SLURM_CONF slurmd -N n$1 -f $SLURM_CONF" 2>"$slurm/log/slurmd-$1.start"
}

# The controller and munged; what runs on a host ends with it.
stop_slurm()
{
    for daemon in slurmctld munged; do
        pid=$(cat "$slurm/run/$daemon.pid" 2>/dev/null) || continue
        kill "$pid" 2>/dev/null
        until_true 5 has_ended "$pid" || return 1
    done
}
has_ended() { ! kill -0 "$1" 2>/dev/null; }

# submit OPTION... SCRIPT ARGUMENT...: the job's number, as $id
submit() { id=$(sbatch --parsable --output="$work/job-%j.log" "$@" 2>"$work/stderr"); }

# submit_demo OPTION...: the demo's edits into $store, by a rank on each of two hosts
submit_demo()
{
    submit --nodes=2 --ntasks-per-node=1 --mem=200 --signal=B:USR1@1 "$@" \
        slurm/edit.sbatch configs/demo.json $flags --store "$store"
}

# state_of JOB, restarts_of JOB, field_of JOB NAME
state_of() { field_of "$1" JobState; }
restarts_of() { field_of "$1" Restarts; }
field_of() { scontrol show job "$1" 2>/dev/null | sed -n "s/.*\b$2=\([^ ]*\).*/\1/p" | head -n 1; }

# until_true SECONDS COMMAND...: does it become true in time?
until_true()
{
    tries=$(($1 * 10))
    shift
    while ! "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1
    done
}

# is_in JOB STATE...
is_in()
{
    now=$(state_of "$1")
    shift
    for state; do [ "$now" != "$state" ] || return 0; done
    return 1
}

# A requeued job is held back for two minutes, in which its nodes get rid of what is left of it;
# here it goes on as soon as they have: a job started beside its own remains fails at once.
is_over()
{
    if is_in "$1" PENDING && [ "$(restarts_of "$1")" -gt 0 ]; then
        sleep 3
        scontrol update JobId="$1" StartTime=now 2>/dev/null
    fi
    is_in "$1" COMPLETED FAILED CANCELLED TIMEOUT NODE_FAIL
}

# ends_as JOB STATE SECONDS: does it end so, however often it is requeued?
ends_as()
{
    until_true "$3" is_over "$1" && is_in "$1" "$2" && return
    { scontrol show job "$1" && tail -n 40 "$work/job-$1.log"; } >"$work/stderr" 2>&1
    return 1
}

# has_done STORE COUNT: as many pictures or more?
has_done() { [ "$(count_in "$1" done)" -ge "$2" ]; }

# most_attempts STORE: how often was the picture begun that was begun most often?
most_attempts()
{
    "$python" -c 'import h5py, sys
print(h5py.File(sys.argv[1], "r")["provenance/entry"]["attempts"].max())' "$1"
}

# rows_done STORE: what is noted of each picture that is done: by whom, when, how often it was begun
rows_done()
{
    "$python" -c 'import h5py, sys
store = h5py.File(sys.argv[1], "r")
done = (store["entry"]["state"] == 1).nonzero()[0] # before the notes: these are written first
notes = store["provenance/entry"][:]
for entry in done: print(entry, notes[entry])' "$1"
}

# none_made_twice STORE BEFORE: are the rows that it had before, in a file, still as they were?
none_made_twice()
{
    rows_done "$1" >"$work/stdout"
    [ -s "$2" ] && [ -z "$(grep -vxFf "$work/stdout" "$2")" ]
}
