#include "run_estimate.h"

static const double MARGIN = 1.1;

void run_estimate_add(struct run_estimate *estimate, double cost, double seconds)
{
    estimate->cost += cost;
    estimate->seconds += seconds;
}

bool run_estimate_fits(const struct run_estimate *estimate, double cost, double seconds_left)
{
    if (estimate->cost <= 0.0) return true;
    return MARGIN * cost * estimate->seconds / estimate->cost <= seconds_left;
}
