#include "test.h"

#include "pm/base/clock.h"
#include "pm/runtime/queue.h"
#include "pm/runtime/world.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ITEMS = 23, LARGE_BYTES = 3000017 };

static struct pm_world world;

/* What the manager thread saw; looked at when the queue is closed. */
struct seen {
    size_t given, order[ITEMS];
    size_t reports, reported[ITEMS], done, failed;
    double seconds;
    size_t ticks, stop_after;
    size_t asked[ITEMS]; /* whether to skip each item */
    useconds_t payload_microseconds;
};

static size_t payload_bytes(size_t index)
{
    const size_t bytes[] = {0, 1, 200, 70000, LARGE_BYTES};
    return bytes[index % 5];
}

static char payload_byte(size_t index, size_t at)
{
    return (char)((at * 31 + index * 7) >> 3);
}

static void payload(void *self, size_t index, char **text, size_t *bytes)
{
    struct seen *seen = self;
    usleep(seen->payload_microseconds);
    if (seen->given < ITEMS) seen->order[seen->given] = index;
    seen->given++;
    *bytes = payload_bytes(index);
    *text = index % 10 == 0 ? NULL : malloc(*bytes + 1); /* NULL and "" are both 0 bytes */
    for (size_t at = 0; at < *bytes; at++) (*text)[at] = payload_byte(index, at);
}

static void reported(void *self, const struct pm_work_result *result)
{
    struct seen *seen = self;
    seen->reports++;
    if (result->index < ITEMS) seen->reported[result->index]++;
    seen->done += result->done;
    seen->failed += result->failed;
    seen->seconds += result->seconds;
}

static bool stop(void *self)
{
    const struct seen *seen = self;
    return seen->given >= seen->stop_after;
}

static bool is_skipped(size_t index)
{
    return index % 3 != 1;
}

static bool skips(void *self, size_t index)
{
    struct seen *seen = self;
    if (index < ITEMS) seen->asked[index]++;
    return is_skipped(index);
}

static void tick(void *self)
{
    ((struct seen *)self)->ticks++;
}

/* The manager's callbacks into @p seen. */
static struct pm_queue *open_queue(struct seen *seen, const size_t *items, size_t count)
{
    struct pm_queue_callbacks callbacks = {
        .self = seen, .payload = payload, .reported = reported, .stop = stop, .tick = tick};
    bool first = world.rank == 0;
    return pm_queue_open(MPI_COMM_WORLD, first ? items : NULL, first ? count : 0,
                         first ? &callbacks : NULL);
}

static struct seen new_seen(void)
{
    return (struct seen){.stop_after = SIZE_MAX};
}

static bool payload_is_right(const struct pm_work *work)
{
    if (work->bytes != payload_bytes(work->index) || work->text[work->bytes] != '\0') return false;
    for (size_t at = 0; at < work->bytes; at++)
        if (work->text[at] != payload_byte(work->index, at)) return false;
    return true;
}

static void report(struct pm_queue *queue, size_t index)
{
    struct pm_work_result result = {.index = index, .done = index, .failed = 2, .seconds = 0.25};
    pm_queue_report(queue, &result);
}

/* Take items until there is none left. @param mine  [ITEMS] counts of each index, added to
   @return whether all payloads were right */
static bool work_all(struct pm_queue *queue, int mine[ITEMS])
{
    bool right = true;
    struct pm_work work;
    while (pm_queue_next(queue, &work)) {
        right = right && work.index < ITEMS && payload_is_right(&work);
        if (work.index < ITEMS) mine[work.index]++;
        report(queue, work.index);
    }
    return right;
}

/* How many of items [0, ITEMS) have been handed out @p times times, over all ranks. */
static size_t handed_out(const int mine[ITEMS], int times)
{
    int all[ITEMS];
    size_t n = 0;
    MPI_Allreduce(mine, all, ITEMS, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    for (size_t i = 0; i < ITEMS; i++) n += all[i] == times;
    return n;
}

static void fill_items(size_t items[ITEMS])
{
    for (size_t i = 0; i < ITEMS; i++) items[i] = i * 7 % ITEMS; /* each once, out of order */
}

/* CPU time that a wait of about a second may take. Naps take under 0.02 s; one who spins takes his
   share of a core, which on a loaded machine can be as little as 0.15 s. */
static const double quiet_seconds = 0.1;

static double cpu_seconds(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + 1e-9 * (double)used.tv_nsec;
}

static void every_item_is_handed_out_once_in_order_with_its_payload(void **state)
{
    (void)state;
    size_t items[ITEMS];
    fill_items(items);
    struct seen seen = new_seen();
    int mine[ITEMS] = {0};
    struct pm_queue *queue = open_queue(&seen, items, ITEMS);
    bool right = work_all(queue, mine);
    pm_queue_close(queue);
    assert_on_all_ranks(MPI_COMM_WORLD, right);
    assert_int_equal(handed_out(mine, 1), ITEMS);
    assert_on_all_ranks(MPI_COMM_WORLD, world.rank != 0 || seen.given == ITEMS);
    assert_on_all_ranks(MPI_COMM_WORLD,
                        world.rank != 0 || memcmp(seen.order, items, sizeof items) == 0);
}

static size_t parity(void *self, size_t index)
{
    (void)self;
    return index % 2;
}

static size_t rank_parity(void *self, int rank)
{
    (void)self;
    return (size_t)rank % 2;
}

static void a_rank_gets_the_items_of_its_group_first_and_then_the_others(void **state)
{
    (void)state;
    size_t items[ITEMS], wanted[ITEMS], got[ITEMS] = {0}, n = 0;
    fill_items(items);
    size_t own = (size_t)(world.ranks - 1) % 2; /* the last rank takes all */
    for (int other = 0; other < 2; other++)
        for (size_t i = 0; i < ITEMS; i++)
            if ((items[i] % 2 != own) == other) wanted[n++] = items[i];
    struct seen seen = new_seen();
    struct pm_queue_callbacks callbacks = {.self = &seen,
                                           .payload = payload,
                                           .groups = 2,
                                           .item_group = parity,
                                           .rank_group = rank_parity};
    struct pm_queue *queue = pm_queue_open(MPI_COMM_WORLD, items, ITEMS, &callbacks);
    struct pm_work work;
    n = 0;
    if (world.rank == world.ranks - 1)
        while (n < ITEMS && pm_queue_next(queue, &work)) got[n++] = work.index;
    pm_queue_close(queue);
    assert_on_all_ranks(MPI_COMM_WORLD,
                        n == 0 || (n == ITEMS && memcmp(got, wanted, sizeof got) == 0));
    assert_int_equal(seen.given, world.rank ? 0 : ITEMS);
}

static void every_report_has_arrived_at_close(void **state)
{
    (void)state;
    size_t items[ITEMS], right = 0;
    fill_items(items);
    struct seen seen = new_seen();
    int mine[ITEMS] = {0};
    struct pm_queue *queue = open_queue(&seen, items, ITEMS);
    work_all(queue, mine);
    pm_queue_close(queue);
    for (size_t i = 0; i < ITEMS; i++) right += seen.reported[i] == 1;
    bool sums = seen.done == ITEMS * (ITEMS - 1) / 2 && seen.failed == 2 * ITEMS &&
                seen.seconds == 0.25 * ITEMS;
    assert_on_all_ranks(MPI_COMM_WORLD, world.rank != 0 || (right == ITEMS && sums));
    assert_on_all_ranks(MPI_COMM_WORLD, world.rank != 0 || seen.reports == ITEMS);
}

static void an_empty_list_gives_nothing_ever(void **state)
{
    (void)state;
    struct seen seen = new_seen();
    struct pm_work work;
    struct pm_queue *queue = open_queue(&seen, NULL, 0);
    bool first = pm_queue_next(queue, &work), second = pm_queue_next(queue, &work);
    pm_queue_close(queue);
    assert_on_all_ranks(MPI_COMM_WORLD, !first && !second && seen.given == 0);
}

static void fewer_items_than_ranks_leave_the_rest_without(void **state)
{
    (void)state;
    struct seen seen = new_seen();
    size_t items[ITEMS], count = (size_t)world.ranks - 1;
    fill_items(items);
    int mine[ITEMS] = {0};
    struct pm_queue *queue = open_queue(&seen, items, count);
    bool right = work_all(queue, mine);
    pm_queue_close(queue);
    assert_on_all_ranks(MPI_COMM_WORLD, right);
    assert_int_equal(handed_out(mine, 1), count);
}

static void nothing_is_handed_out_after_the_predicate_says_stop(void **state)
{
    (void)state;
    size_t items[ITEMS];
    fill_items(items);
    struct seen seen = new_seen();
    seen.stop_after = 5;
    int mine[ITEMS] = {0};
    struct pm_queue *queue = open_queue(&seen, items, ITEMS);
    work_all(queue, mine);
    pm_queue_close(queue);
    assert_int_equal(handed_out(mine, 1), 5);
    assert_on_all_ranks(MPI_COMM_WORLD, world.rank != 0 || seen.reports == 5);
}

/* Many in a row, the first and the last of the list among them. */
static void skipped_items_go_to_nobody_and_all_others_are_done(void **state)
{
    (void)state;
    size_t items[ITEMS], right = 0, wanted = 0;
    fill_items(items);
    struct seen seen = new_seen();
    int mine[ITEMS] = {0}, all[ITEMS];
    struct pm_queue_callbacks callbacks = {
        .self = &seen, .payload = payload, .reported = reported, .skips = skips};
    struct pm_queue *queue = pm_queue_open(MPI_COMM_WORLD, items, ITEMS, &callbacks);
    bool payloads = work_all(queue, mine);
    pm_queue_close(queue);
    MPI_Allreduce(mine, all, ITEMS, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    for (size_t i = 0; i < ITEMS; i++) {
        wanted += !is_skipped(i);
        right += all[i] == !is_skipped(i);
    }
    size_t once = 0;
    for (size_t i = 0; i < ITEMS; i++) once += seen.asked[i] == 1;
    assert_on_all_ranks(MPI_COMM_WORLD, payloads);
    assert_int_equal(right, ITEMS);
    assert_on_all_ranks(MPI_COMM_WORLD, world.rank != 0 || seen.reports == wanted);
    assert_on_all_ranks(MPI_COMM_WORLD, world.rank != 0 || once == ITEMS);
}

static bool skips_all(void *self, size_t index)
{
    (void)self;
    (void)index;
    return true;
}

static void a_list_of_skipped_items_gives_nothing(void **state)
{
    (void)state;
    size_t items[ITEMS];
    fill_items(items);
    struct seen seen = new_seen();
    struct pm_work work;
    struct pm_queue_callbacks callbacks = {.self = &seen, .payload = payload, .skips = skips_all};
    struct pm_queue *queue = pm_queue_open(MPI_COMM_WORLD, items, ITEMS, &callbacks);
    bool first = pm_queue_next(queue, &work), second = pm_queue_next(queue, &work);
    pm_queue_close(queue);
    assert_on_all_ranks(MPI_COMM_WORLD, !first && !second && seen.given == 0);
}

static void any_rank_can_stop_the_queue_for_all(void **state)
{
    (void)state;
    size_t items[ITEMS];
    fill_items(items);
    struct seen seen = new_seen();
    int mine[ITEMS] = {0};
    struct pm_work work;
    struct pm_queue *queue = open_queue(&seen, items, ITEMS);
    bool before = pm_queue_next(queue, &work);
    MPI_Barrier(MPI_COMM_WORLD);
    if (world.rank == world.ranks - 1) {
        pm_queue_stop(queue);
        pm_queue_next(queue, &work); /* by its answer the stop has been seen */
    }
    MPI_Barrier(MPI_COMM_WORLD);
    work_all(queue, mine);
    pm_queue_close(queue);
    assert_on_all_ranks(MPI_COMM_WORLD, before);
    assert_int_equal(handed_out(mine, 0), ITEMS);
    assert_on_all_ranks(MPI_COMM_WORLD, world.rank != 0 || seen.given == (size_t)world.ranks);
}

static void the_others_do_the_work_of_a_rank_that_leaves(void **state)
{
    (void)state;
    size_t items[ITEMS];
    fill_items(items);
    struct seen seen = new_seen();
    int mine[ITEMS] = {0};
    struct pm_queue *queue = open_queue(&seen, items, ITEMS);
    bool leaves = world.ranks > 1 && world.rank == 0;
    if (!leaves) work_all(queue, mine);
    pm_queue_close(queue);
    assert_int_equal(handed_out(mine, 1), ITEMS);
}

/* The manager needs half a second for each of two items, and all who ask wait for their answer. */
static void waiting_for_an_answer_costs_no_time(void **state)
{
    (void)state;
    const size_t items[] = {3, 8};
    struct seen seen = new_seen();
    seen.payload_microseconds = 500000;
    int mine[ITEMS] = {0};
    MPI_Barrier(MPI_COMM_WORLD);
    double start = pm_clock_seconds(), used = cpu_seconds();
    struct pm_queue *queue = open_queue(&seen, items, 2);
    bool right = work_all(queue, mine);
    used = cpu_seconds() - used;
    double waited = pm_clock_seconds() - start;
    pm_queue_close(queue);
    assert_on_all_ranks(MPI_COMM_WORLD, right);
    assert_on_all_ranks(MPI_COMM_WORLD, waited > 0.9);
    assert_on_all_ranks(MPI_COMM_WORLD, used < quiet_seconds);
}

/* The last rank sleeps a second over an item; the others do the rest and wait in close. */
static void one_slow_rank_holds_up_nobody_and_waiting_for_it_costs_no_time(void **state)
{
    (void)state;
    size_t items[ITEMS];
    fill_items(items);
    struct seen seen = new_seen();
    int mine[ITEMS] = {0};
    struct pm_work work;
    bool slow = world.rank == world.ranks - 1;
    struct pm_queue *queue = open_queue(&seen, items, ITEMS);
    if (slow && pm_queue_next(queue, &work)) mine[work.index]++;
    MPI_Barrier(MPI_COMM_WORLD);
    double start = pm_clock_seconds();
    if (slow) usleep(1000000);
    work_all(queue, mine);
    double worked = pm_clock_seconds() - start, used = cpu_seconds();
    pm_queue_close(queue);
    used = cpu_seconds() - used;
    assert_int_equal(handed_out(mine, 1), ITEMS);
    assert_on_all_ranks(MPI_COMM_WORLD, slow || worked < 0.9);
    assert_on_all_ranks(MPI_COMM_WORLD, used < quiet_seconds);
}

static void ticks_come_about_five_times_a_second(void **state)
{
    (void)state;
    struct seen seen = new_seen();
    struct pm_queue *queue = open_queue(&seen, NULL, 0);
    double start = pm_clock_seconds();
    usleep(1100000);
    pm_queue_close(queue);
    size_t most = (size_t)((pm_clock_seconds() - start) / 0.2) + 1;
    assert_on_all_ranks(MPI_COMM_WORLD, world.rank != 0 || (3 <= seen.ticks && seen.ticks <= most));
}

static void all_callbacks_but_payload_may_be_absent(void **state)
{
    (void)state;
    size_t items[ITEMS];
    fill_items(items);
    struct seen seen = new_seen();
    int mine[ITEMS] = {0};
    struct pm_queue *queue =
        pm_queue_open(MPI_COMM_WORLD, items, ITEMS,
                      &(struct pm_queue_callbacks){.self = &seen, .payload = payload});
    work_all(queue, mine);
    pm_queue_close(queue);
    assert_int_equal(handed_out(mine, 1), ITEMS);
}

int main(int argc, char **argv)
{
    pm_world_init(&world, &argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_is_handed_out_once_in_order_with_its_payload),
        cmocka_unit_test(a_rank_gets_the_items_of_its_group_first_and_then_the_others),
        cmocka_unit_test(every_report_has_arrived_at_close),
        cmocka_unit_test(an_empty_list_gives_nothing_ever),
        cmocka_unit_test(fewer_items_than_ranks_leave_the_rest_without),
        cmocka_unit_test(nothing_is_handed_out_after_the_predicate_says_stop),
        cmocka_unit_test(skipped_items_go_to_nobody_and_all_others_are_done),
        cmocka_unit_test(a_list_of_skipped_items_gives_nothing),
        cmocka_unit_test(any_rank_can_stop_the_queue_for_all),
        cmocka_unit_test(the_others_do_the_work_of_a_rank_that_leaves),
        cmocka_unit_test(waiting_for_an_answer_costs_no_time),
        cmocka_unit_test(one_slow_rank_holds_up_nobody_and_waiting_for_it_costs_no_time),
        cmocka_unit_test(ticks_come_about_five_times_a_second),
        cmocka_unit_test(all_callbacks_but_payload_may_be_absent),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pm_world_free(&world);
    return failed;
}
