#include "propose.h"

#include <math.h>

static const double NODE_SHARE = 0.95;     /* of a node's memory: the rest is the system's */
static const double SLACK = 1.25;          /* for a busy or slower node, and for the last edits */
static const double START_SECONDS = 300.0; /* loading the model, verifying the store */
static const double STOP_SECONDS = 60.0;   /* writing what is in hand, closing the store */

static double measure_work(double *longest, size_t *items, const struct proposal_wish *w)
{
    double all = 0.0;
    *longest = 0.0;
    *items = 0;
    for (size_t i = 0; i < w->plan->manifest.count; i++) {
        const struct run_plan_item *item = &w->plan->items[i];
        if (item->cost == 0) continue;
        double seconds = (double)item->cost * w->measured->sample_seconds +
                         (double)(1 + item->targets) * w->measured->picture_seconds;
        all += seconds;
        *items += 1;
        if (seconds > *longest) *longest = seconds;
    }
    return all;
}

static size_t at_least_1(double value)
{
    return value < 1.0 ? 1 : (size_t)value;
}

/* How many ranks the node's cores and its memory have room for. */
static bool count_ranks(size_t *ranks, const struct proposal_wish *w, size_t threads,
                        const struct slurm_nodes *nodes, struct pm_error *err)
{
    double room = (NODE_SHARE * nodes->bytes - w->weights_bytes) / w->rank_bytes;
    if (room < 1.0)
        return pm_fail(
            err, PM_E_INPUT,
            "a rank takes %.1f GB beside %.1f GB for the model, and a node of \"%s\" has "
            "%.1f GB",
            w->rank_bytes / 1e9, w->weights_bytes / 1e9, nodes->partition, nodes->bytes / 1e9);
    *ranks = at_least_1(fmin((double)(nodes->cores / threads), room));
    return true;
}

/* Up to full quarters of an hour, but no less than the job can be stopped in. */
static double choose_limit(const struct proposal *p, double most_seconds)
{
    static const double quarter = 900.0;
    double wanted = SLACK * p->seconds + START_SECONDS + p->lead_seconds;
    return fmin(ceil(wanted / quarter) * quarter, most_seconds);
}

bool propose(struct proposal *out, const struct proposal_wish *w, const struct slurm_nodes *nodes,
             struct pm_error *err)
{
    size_t items, most = 1;
    *out = (struct proposal){.threads = w->plan->config->threads};
    out->core_seconds = measure_work(&out->longest_seconds, &items, w);
    PM_TRY(count_ranks(&most, w, out->threads, nodes, err));
    double share = (double)items / (double)w->parts;
    double wanted = SLACK * out->core_seconds / (double)w->parts / (3600.0 * w->hours);
    wanted = fmin(ceil(wanted), ceil(share)); /* an item is one rank's */
    double on_node = w->ranks_on_node ? (double)w->ranks_on_node : (double)most;
    out->nodes =
        w->nodes ? w->nodes : at_least_1(fmin(ceil(wanted / on_node), (double)nodes->count));
    out->ranks_on_node = w->ranks_on_node
                             ? w->ranks_on_node
                             : at_least_1(fmin((double)most, ceil(share / (double)out->nodes)));
    double ranks = (double)(out->nodes * out->ranks_on_node);
    out->node_bytes = w->weights_bytes + (double)out->ranks_on_node * w->rank_bytes;
    out->seconds = fmax(out->core_seconds / (double)w->parts / fmin(ranks, fmax(share, 1.0)),
                        out->longest_seconds);
    out->lead_seconds = STOP_SECONDS + SLACK * out->longest_seconds;
    out->limit_seconds = choose_limit(out, nodes->limit_seconds);
    return true;
}
