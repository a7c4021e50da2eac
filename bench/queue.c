/* What the work queue costs: edits replaced by a sleep, on any number of ranks.
 *
 *     mpirun --oversubscribe -n 4 build/bench/queue [ITEMS [MILLISECONDS]]
 *
 * Prints the share of the time that ranks spent on anything but their items, and how many were done a second: with
 * 0 milliseconds, what rank 0 can hand out. */
#include "pm/runtime/queue.h"
#include "pm/base/clock.h"
#include "pm/runtime/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void give_nothing(void *self, size_t index, char **text, size_t *bytes)
{
    (void)self;
    (void)index;
    *text = strdup("{\"id\": \"an edit's recipe is some hundred bytes\"}");
    *bytes = strlen(*text);
}

int main(int argc, char **argv)
{
    struct pm_world world;
    pm_world_init(&world, &argc, &argv);
    size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 2000;
    long milliseconds = argc > 2 ? strtol(argv[2], NULL, 10) : 20;
    size_t *items = malloc((count + 1) * sizeof *items);
    for (size_t i = 0; i < count; i++) items[i] = i;
    struct pm_queue_callbacks callbacks = {.payload = give_nothing};

    double slept = 0.0, start = pm_clock_seconds();
    struct pm_queue *queue = pm_queue_open(MPI_COMM_WORLD, items, count, &callbacks);
    struct pm_work work;
    while (pm_queue_next(queue, &work)) {
        double before = pm_clock_seconds();
        nanosleep(&(struct timespec){.tv_nsec = milliseconds * 1000000}, NULL);
        double seconds = pm_clock_seconds() - before;
        slept += seconds;
        pm_queue_report(queue, &(struct pm_work_result){.index = work.index, .seconds = seconds});
    }
    pm_queue_close(queue);
    double wall = pm_clock_seconds() - start, all_slept;
    MPI_Reduce(&slept, &all_slept, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    if (world.rank == 0)
        printf("{\"ranks\": %d, \"items\": %zu, \"milliseconds\": %ld, \"cost_percent\": %.2f, "
               "\"items_per_second\": %.0f}\n",
               world.ranks, count, milliseconds,
               100.0 * (1.0 - all_slept / (wall * (double)world.ranks)), (double)count / wall);
    free(items);
    pm_world_free(&world);
    return 0;
}
