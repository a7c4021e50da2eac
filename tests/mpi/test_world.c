#include "test.h"

#include "pm/base/clock.h"
#include "pm/base/log.h"
#include "pm/runtime/world.h"

#include <cblas.h>
#include <omp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct pm_world world;

/* CPU time that a wait of about a second may take. Naps take under 0.02 s; one who spins takes his
   share of a core, which on a loaded machine can be as little as 0.15 s. */
static const double quiet_seconds = 0.05;

static double cpu_seconds(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + 1e-9 * (double)used.tv_nsec;
}

static void ranks_are_mpis(void **state)
{
    (void)state;
    int rank, ranks;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    assert_on_all_ranks(MPI_COMM_WORLD, world.rank == rank && world.ranks == ranks);
}

static void ranks_of_a_host_share_its_number_and_name(void **state)
{
    (void)state;
    char first[MPI_MAX_PROCESSOR_NAME];
    memcpy(first, world.host, sizeof first);
    MPI_Bcast(first, sizeof first, MPI_CHAR, 0, world.node_comm);
    int node = world.node;
    MPI_Bcast(&node, 1, MPI_INT, 0, world.node_comm);
    assert_on_all_ranks(MPI_COMM_WORLD, world.host[0] != '\0' && strcmp(first, world.host) == 0);
    assert_on_all_ranks(MPI_COMM_WORLD, node == world.node);
}

static void hosts_are_numbered_from_0_without_a_gap(void **state)
{
    (void)state;
    int largest, firsts, node_rank_sum, first = world.node_rank == 0;
    MPI_Allreduce(&world.node, &largest, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    MPI_Allreduce(&first, &firsts, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    MPI_Allreduce(&world.node_rank, &node_rank_sum, 1, MPI_INT, MPI_SUM, world.node_comm);
    assert_on_all_ranks(MPI_COMM_WORLD, largest == world.nodes - 1 && firsts == world.nodes);
    assert_on_all_ranks(MPI_COMM_WORLD, world.rank != 0 || world.node == 0);
    assert_on_all_ranks(MPI_COMM_WORLD,
                        node_rank_sum == world.ranks_on_node * (world.ranks_on_node - 1) / 2);
}

static void threads_are_set_for_openmp_and_openblas(void **state)
{
    (void)state;
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    for (int threads = 1; threads <= 3; threads++) {
        int cores = pm_world_set_threads(&world, threads);
        assert_on_all_ranks(MPI_COMM_WORLD, cores >= CPU_COUNT(&set));
        assert_on_all_ranks(MPI_COMM_WORLD, cores == omp_get_num_procs());
        assert_on_all_ranks(MPI_COMM_WORLD, omp_get_max_threads() == threads);
        assert_on_all_ranks(MPI_COMM_WORLD, openblas_get_num_threads() == threads);
    }
}

static void waiting_at_the_barrier_costs_no_time(void **state)
{
    (void)state;
    MPI_Barrier(MPI_COMM_WORLD);
    double start = pm_clock_seconds(), used = cpu_seconds();
    if (world.rank == world.ranks - 1) usleep(700000);
    pm_world_barrier(MPI_COMM_WORLD);
    double waited = pm_clock_seconds() - start;
    used = cpu_seconds() - used;
    assert_on_all_ranks(MPI_COMM_WORLD, waited >= 0.69);
    assert_on_all_ranks(MPI_COMM_WORLD, used < quiet_seconds);
}

static char letter(size_t i)
{
    return (char)(i * 2654435761u >> 13);
}

static void a_text_of_any_size_reaches_everyone(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 1000, (16u << 20) - 1, 16u << 20, (16u << 20) + 1, 33u << 20};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int root = (int)s % world.ranks;
        char *text = NULL;
        size_t bytes = 12345;
        if (world.rank == root) {
            bytes = sizes[s];
            text = malloc(bytes + 1);
            assert_non_null(text);
            for (size_t i = 0; i < bytes; i++) text[i] = letter(i);
            text[bytes] = '\0';
        }
        pm_world_broadcast_text(&text, &bytes, root, MPI_COMM_WORLD);
        size_t same = 0;
        while (same < bytes && text[same] == letter(same)) same++;
        assert_on_all_ranks(MPI_COMM_WORLD, bytes == sizes[s] && same == bytes);
        assert_on_all_ranks(MPI_COMM_WORLD, text[bytes] == '\0');
        free(text);
    }
}

int main(int argc, char **argv)
{
    pm_world_init(&world, &argc, &argv);
    pm_log_init(PM_LOG_ERROR, world.rank, world.ranks); /* more threads than cores, on purpose */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_are_mpis),
        cmocka_unit_test(ranks_of_a_host_share_its_number_and_name),
        cmocka_unit_test(hosts_are_numbered_from_0_without_a_gap),
        cmocka_unit_test(threads_are_set_for_openmp_and_openblas),
        cmocka_unit_test(waiting_at_the_barrier_costs_no_time),
        cmocka_unit_test(a_text_of_any_size_reaches_everyone),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pm_world_free(&world);
    return failed;
}
