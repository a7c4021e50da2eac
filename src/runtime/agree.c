#include "pm/runtime/agree.h"

#include "pm/runtime/world.h"

bool pm_agree(MPI_Comm comm, bool ok, struct pm_error *err)
{
    int rank, ranks, first_failed;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &ranks);
    int mine = ok ? ranks : rank;
    MPI_Request request;
    MPI_Iallreduce(&mine, &first_failed, 1, MPI_INT, MPI_MIN, comm, &request);
    pm_world_wait(&request);
    if (first_failed == ranks) return true;
    MPI_Bcast(err, sizeof *err, MPI_BYTE, first_failed, comm);
    return false;
}
