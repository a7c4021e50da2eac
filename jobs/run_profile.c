#include "run_profile.h"

#include "pm/kernels/profile.h"

#include <mpi.h>
#include <stdio.h>

void run_profile_print(double seconds)
{
    struct pm_profile mine = pm_profile_so_far(), all;
    double total;
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Reduce(mine.seconds, all.seconds, PM_PROFILE_KINDS, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    MPI_Reduce(mine.flops, all.flops, PM_PROFILE_KINDS, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    MPI_Reduce(mine.calls, all.calls, PM_PROFILE_KINDS, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    MPI_Reduce(&seconds, &total, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    if (rank != 0) return;
    double rest = total;
    printf("%-22s %10s %12s %8s %10s\n", "time, all ranks", "calls", "seconds", "share", "GFLOP/s");
    for (size_t i = 0; i < PM_PROFILE_KINDS; i++) {
        rest -= all.seconds[i];
        if (all.calls[i] == 0.0) continue;
        printf("%-22s %10.0f %12.2f %7.1f%%", pm_profile_kind_name(i), all.calls[i], all.seconds[i],
               100.0 * all.seconds[i] / total);
        if (all.flops[i] > 0.0) printf(" %10.1f", all.flops[i] / all.seconds[i] / 1e9);
        printf("\n");
    }
    printf("%-22s %10s %12.2f %7.1f%%\n", "all else", "", rest, 100.0 * rest / total);
    printf("%-22s %10s %12.2f\n", "editing", "", total);
}
