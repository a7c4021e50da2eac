#include "test.h"

#include "pm/runtime/agree.h"
#include "pm/runtime/world.h"

#include <stdio.h>
#include <string.h>

static struct pm_world world;

static void all_well_is_true_everywhere(void **state)
{
    (void)state;
    struct pm_error err = {0};
    assert_on_all_ranks(MPI_COMM_WORLD, pm_agree(MPI_COMM_WORLD, true, &err));
    assert_on_all_ranks(MPI_COMM_WORLD, err.code == PM_OK && err.message[0] == '\0');
}

static void one_failing_rank_speaks_for_all(void **state)
{
    (void)state;
    int last = world.ranks - 1;
    struct pm_error err = {0};
    bool ok = world.rank == last ? pm_fail(&err, PM_E_FORMAT, "bad") : true;
    assert_on_all_ranks(MPI_COMM_WORLD, !pm_agree(MPI_COMM_WORLD, ok, &err));
    assert_on_all_ranks(MPI_COMM_WORLD, err.code == PM_E_FORMAT && !strcmp(err.message, "bad"));
}

static void the_lowest_of_the_failing_ranks_speaks(void **state)
{
    (void)state;
    int lowest = world.ranks > 1 ? 1 : 0;
    struct pm_error err = {0};
    bool ok = world.rank >= lowest ? pm_fail(&err, PM_E_IO, "rank %d", world.rank) : true;
    char wanted[32];
    snprintf(wanted, sizeof wanted, "rank %d", lowest);
    assert_on_all_ranks(MPI_COMM_WORLD, !pm_agree(MPI_COMM_WORLD, ok, &err));
    assert_on_all_ranks(MPI_COMM_WORLD, err.code == PM_E_IO && !strcmp(err.message, wanted));
}

int main(int argc, char **argv)
{
    pm_world_init(&world, &argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_well_is_true_everywhere),
        cmocka_unit_test(one_failing_rank_speaks_for_all),
        cmocka_unit_test(the_lowest_of_the_failing_ranks_speaks),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pm_world_free(&world);
    return failed;
}
