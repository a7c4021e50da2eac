/* What holds of every list of work, whatever of it is done already and however the ranks ask: items are
 * handed out once each, and in the order that queue.h tells. */
#include "generate.h"
#include "test.h"

#include "pm/base/error.h"
#include "pm/runtime/queue.h"
#include "pm/runtime/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CASES = 60, MOST_ITEMS = 40 };

static struct pm_world world;

/** A list of work, the same on all ranks, and what rank 0's manager saw of it. */
struct example {
    struct generator g;
    size_t count, items[MOST_ITEMS]; /* some of 0 .. MOST_ITEMS - 1: the others are done already */
    bool skips[MOST_ITEMS];          /* by item: done meanwhile */
    size_t groups, group[MOST_ITEMS];
    size_t stop_after;      /* items */
    int leaves[MOST_ITEMS]; /* by rank: after so many items, or -1: not before all are done */

    int asking; /* known where there are groups */
    size_t given, gave[MOST_ITEMS], reports[MOST_ITEMS];
    int to[MOST_ITEMS];
};

static struct example make_example(uint64_t number)
{
    struct example e = {.g = generate(number), .stop_after = SIZE_MAX};
    for (size_t i = 0; i < MOST_ITEMS; i++) {
        e.skips[i] = generate_below(&e.g, 6) == 0;
        e.leaves[i] = i > 0 && generate_below(&e.g, 4) == 0 ? (int)generate_below(&e.g, 5) : -1;
        if (generate_below(&e.g, 4) == 0) continue;
        size_t place = generate_below(&e.g, e.count + 1);
        e.items[e.count++] = e.items[place];
        e.items[place] = i;
    }
    e.groups = generate_below(&e.g, 4);
    for (size_t i = 0; e.groups > 0 && i < MOST_ITEMS; i++)
        e.group[i] = generate_below(&e.g, e.groups);
    if (generate_below(&e.g, 4) == 0) e.stop_after = generate_below(&e.g, MOST_ITEMS);
    return e;
}

static void payload(void *self, size_t index, char **text, size_t *bytes)
{
    struct example *e = self;
    PM_ASSERT(e->given < MOST_ITEMS);
    e->gave[e->given] = index;
    e->to[e->given++] = e->asking;
    *bytes = (size_t)asprintf(text, "%zu", index);
}

static void reported(void *self, const struct pm_work_result *result)
{
    ((struct example *)self)->reports[result->index]++;
}

static bool stop(void *self)
{
    const struct example *e = self;
    return e->given >= e->stop_after;
}

static bool skips(void *self, size_t index)
{
    return ((const struct example *)self)->skips[index];
}

static size_t item_group(void *self, size_t index)
{
    return ((const struct example *)self)->group[index];
}

static size_t rank_group(void *self, int rank)
{
    struct example *e = self;
    e->asking = rank;
    return (size_t)rank % e->groups;
}

/* The rule of queue.h by itself: the first of the rank's group, else the first of all.
 * @return its place in the list; count: there is none */
static size_t next_place(const struct example *e, bool gone[MOST_ITEMS], int rank)
{
    for (int any_group = e->groups == 0; any_group < 2; any_group++)
        for (size_t i = 0; i < e->count; i++) {
            if (gone[i]) continue;
            if (!any_group && e->group[e->items[i]] != (size_t)rank % e->groups) continue;
            gone[i] = true;
            if (!e->skips[e->items[i]]) return i;
        }
    return e->count;
}

/* Ask until there is nothing, with pauses of any length. @param mine  counts by item */
static bool work(struct pm_queue *queue, const struct example *e, int mine[MOST_ITEMS])
{
    struct generator g = generate(e->g.number * 1000 + (uint64_t)world.rank);
    struct pm_work item;
    bool right = true;
    for (int n = 0; n != e->leaves[world.rank] && pm_queue_next(queue, &item); n++) {
        right = right && item.index < MOST_ITEMS && strtoul(item.text, NULL, 10) == item.index;
        if (!right) break;
        mine[item.index]++;
        if (generate_below(&g, 3) == 0) usleep((useconds_t)generate_below(&g, 500));
        pm_queue_report(queue, &(struct pm_work_result){.index = item.index, .done = 1});
    }
    return right;
}

/* Rank 0 does not leave early, so that everything is done unless it was stopped. */
static bool is_as_documented(const struct example *e, const int all[MOST_ITEMS])
{
    bool gone[MOST_ITEMS] = {0}, right = true;
    for (size_t n = 0; right && n < e->given; n++) {
        size_t place = next_place(e, gone, e->to[n]);
        right = place < e->count && e->items[place] == e->gave[n];
    }
    bool is_stopped = e->given >= e->stop_after;
    if (right && !is_stopped) right = next_place(e, gone, 0) == e->count;
    for (size_t i = 0; right && i < MOST_ITEMS; i++) {
        size_t times = 0;
        for (size_t n = 0; n < e->given; n++) times += e->gave[n] == i;
        right = times <= 1 && (size_t)all[i] == times && e->reports[i] == times;
    }
    return right && (e->stop_after == SIZE_MAX || e->given <= e->stop_after);
}

static void every_item_is_handed_out_once_in_the_documented_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        struct example e = make_example(i);
        int mine[MOST_ITEMS] = {0}, all[MOST_ITEMS];
        struct pm_queue_callbacks callbacks = {.self = &e,
                                               .payload = payload,
                                               .reported = reported,
                                               .stop = stop,
                                               .skips = skips,
                                               .groups = e.groups,
                                               .item_group = item_group,
                                               .rank_group = rank_group};
        struct pm_queue *queue = pm_queue_open(MPI_COMM_WORLD, e.items, e.count, &callbacks);
        bool right = work(queue, &e, mine);
        pm_queue_close(queue);
        MPI_Allreduce(mine, all, MOST_ITEMS, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
        right = right && (world.rank != 0 || is_as_documented(&e, all));
        if (!right) print_error("case %llu\n", (unsigned long long)e.g.number);
        assert_on_all_ranks(MPI_COMM_WORLD, right);
    }
}

int main(int argc, char **argv)
{
    pm_world_init(&world, &argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_is_handed_out_once_in_the_documented_order),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pm_world_free(&world);
    return failed;
}
