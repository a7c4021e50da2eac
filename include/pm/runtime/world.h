/** @file world.h  The program under MPI: who is here, on which host, with how many threads.
 *
 *  Works the same under mpirun, under srun and started alone. MPI keeps its own error handling,
 *  MPI_ERRORS_ARE_FATAL: a failed call ends the job, and no call's result is looked at.
 *
 *  Open MPI's blocking calls spin on a core that the other ranks could use. Whoever may have to
 *  wait longer than a message takes waits with pm_world_wait or pm_world_barrier, which sleep. */
#ifndef PM_RUNTIME_WORLD_H
#define PM_RUNTIME_WORLD_H
#include <mpi.h>
#include <stddef.h>

struct pm_world {
    int rank, ranks;
    int node, nodes;              /* the hosts, in the order of their lowest ranks */
    int node_rank, ranks_on_node; /* among the ranks of this host */
    MPI_Comm node_comm;           /* the ranks of this host, which can share memory; owned */
    char host[MPI_MAX_PROCESSOR_NAME];
};

/** Start MPI. Ends the job when it does not offer MPI_THREAD_MULTIPLE, which the queue needs.
 *  Collective over all ranks. @param argc,argv  as main got them; MPI may take its own away */
void pm_world_init(struct pm_world *world, int *argc, char ***argv);

/** Wait quietly for all ranks and end MPI. Collective over all ranks. */
void pm_world_free(struct pm_world *world);

/** Give every OpenMP region and OpenBLAS @p threads threads from now on. Rank 0 warns when a rank
 *  is bound to fewer cores than that (mpirun binds to one unless told otherwise) or when a host's
 *  ranks together have more threads than cores. Collective over all ranks.
 *  @return cores that this rank may run on */
int pm_world_set_threads(const struct pm_world *world, int threads);

/** MPI_Wait that sleeps. A send or a receive ends up to 2 ms later than it could. */
void pm_world_wait(MPI_Request *request);

/** MPI_Barrier that sleeps. Collective over @p comm. */
void pm_world_barrier(MPI_Comm comm);

/** Give everyone @p root's text, whatever its size. Collective over @p comm.
 *  @param text,bytes  on root the text, read only; elsewhere set to a copy, owned by the caller
 *                     (free) and with a '\0' after its @p bytes bytes */
void pm_world_broadcast_text(char **text, size_t *bytes, int root, MPI_Comm comm);
#endif
