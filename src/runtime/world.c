#include "pm/runtime/world.h"

#include "pm/base/clock.h"
#include "pm/base/error.h"
#include "pm/base/log.h"

#include <cblas.h>
#include <errno.h>
#include <omp.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    LONGEST_NAP = 2000000,        /* nanoseconds */
    BROADCAST_BYTES = 16 << 20,   /* a message's count is an int: long texts go in pieces */
    CPU_SETS = 8192 / CPU_SETSIZE /* Linux knows at most 8192 CPUs, a cpu_set_t 1024 */
};

static const char *thread_support_name(int provided)
{
    if (provided == MPI_THREAD_SINGLE) return "MPI_THREAD_SINGLE";
    return provided == MPI_THREAD_FUNNELED ? "MPI_THREAD_FUNNELED" : "MPI_THREAD_SERIALIZED";
}

void pm_world_init(struct pm_world *world, int *argc, char ***argv)
{
    int provided, length;
    /* Shared file pointers, which nobody uses here: two of Open MPI's three components for them put the
     * file's path into 256 bytes, without looking (https://github.com/open-mpi/ompi/issues/13565), or its
     * name into a folder of their own with more to it than a name may have. */
    setenv("OMPI_MCA_sharedfp", "individual", 0);
    MPI_Init_thread(argc, argv, MPI_THREAD_MULTIPLE, &provided);
    if (provided < MPI_THREAD_MULTIPLE)
        pm_die("this MPI offers only %s, but the work queue needs MPI_THREAD_MULTIPLE",
               thread_support_name(provided));
    *world = (struct pm_world){0};
    MPI_Comm_rank(MPI_COMM_WORLD, &world->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &world->ranks);
    MPI_Get_processor_name(world->host, &length);

    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, world->rank, MPI_INFO_NULL,
                        &world->node_comm);
    MPI_Comm_rank(world->node_comm, &world->node_rank);
    MPI_Comm_size(world->node_comm, &world->ranks_on_node);

    /* A host's number is the number of hosts whose first rank comes before its own. */
    int first = world->node_rank == 0, firsts;
    MPI_Scan(&first, &firsts, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    MPI_Allreduce(&first, &world->nodes, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    world->node = firsts - 1;
    MPI_Bcast(&world->node, 1, MPI_INT, 0, world->node_comm);
}

void pm_world_free(struct pm_world *world)
{
    pm_world_barrier(MPI_COMM_WORLD);
    MPI_Comm_free(&world->node_comm);
    MPI_Finalize();
    *world = (struct pm_world){0};
}

int pm_world_set_threads(const struct pm_world *world, int threads)
{
    PM_ASSERT(threads > 0);
    openblas_set_num_threads(threads);
    omp_set_num_threads(threads);

    cpu_set_t mine[CPU_SETS], node[CPU_SETS];
    if (sched_getaffinity(0, sizeof mine, mine) != 0)
        pm_die("cannot read which cores this process may run on: %s", strerror(errno));
    MPI_Allreduce(mine, node, sizeof mine, MPI_BYTE, MPI_BOR, world->node_comm);
    int bound = CPU_COUNT_S(sizeof mine, mine), node_cores = CPU_COUNT_S(sizeof node, node);
    /* OMP_PROC_BIND narrows this thread's set to one place; OpenMP remembers the process's. */
    int cores = bound > omp_get_num_procs() ? bound : omp_get_num_procs();
    int spare = cores > bound ? 0 : node_cores - threads * world->ranks_on_node;

    pm_log(PM_LOG_DEBUG, "on %s with %d thread%s and %d core%s", world->host, threads,
           threads == 1 ? "" : "s", cores, cores == 1 ? "" : "s");

    /* of all ranks: the fewest cores, and the fewest of a host for its ranks' threads */
    int room[2] = {cores, spare}, least[2];
    MPI_Allreduce(room, least, 2, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (world->rank != 0) return cores;
    if (least[0] < threads)
        pm_log(PM_LOG_WARNING,
               "a rank has %d threads but may run on %d core%s only; start with "
               "mpirun --map-by slot:PE=%d or srun --cpus-per-task=%d",
               threads, least[0], least[0] == 1 ? "" : "s", threads, threads);
    else if (least[1] < 0)
        pm_log(PM_LOG_WARNING,
               "a host's ranks together have %d more threads than cores; "
               "take fewer ranks or threads",
               -least[1]);
    return cores;
}

void pm_world_wait(MPI_Request *request)
{
    long nap = PM_NAP_FIRST;
    int arrived;
    for (;;) {
        MPI_Test(request, &arrived, MPI_STATUS_IGNORE);
        if (arrived) return;
        nap = pm_clock_nap(nap, LONGEST_NAP);
    }
}

void pm_world_barrier(MPI_Comm comm)
{
    MPI_Request request;
    MPI_Ibarrier(comm, &request);
    pm_world_wait(&request);
}

void pm_world_broadcast_text(char **text, size_t *bytes, int root, MPI_Comm comm)
{
    int rank;
    MPI_Comm_rank(comm, &rank);
    MPI_Request request;
    uint64_t size = rank == root ? *bytes : 0;
    MPI_Ibcast(&size, 1, MPI_UINT64_T, root, comm, &request); /* root may still be reading it */
    pm_world_wait(&request);

    if (rank != root) {
        *bytes = size;
        *text = malloc(*bytes + 1);
        if (!*text) pm_die("no memory for a text of %zu bytes", *bytes);
        (*text)[*bytes] = '\0';
    }
    for (size_t at = 0; at < *bytes; at += BROADCAST_BYTES) {
        size_t left = *bytes - at;
        MPI_Bcast(*text + at, left < BROADCAST_BYTES ? (int)left : BROADCAST_BYTES, MPI_BYTE, root,
                  comm);
    }
}
