/** @file propose.h  How large a job a run wants: nodes, ranks, memory, time. */
#ifndef PROPOSE_H
#define PROPOSE_H
#include "calibrate.h"
#include "run_plan.h"
#include "slurm.h"

/** What the run is, and what the user has said of the job. */
struct proposal_wish {
    const struct run_plan *plan;
    const struct calibration *measured;
    double weights_bytes;        /* shared by a node's ranks */
    double rank_bytes;           /* of each, for the largest edit */
    double hours;                /* about which the run may take */
    size_t parts;                /* jobs that share the work; 1: no array */
    size_t nodes, ranks_on_node; /* asked for; 0: to be proposed */
};

struct proposal {
    size_t nodes, ranks_on_node, threads;
    double node_bytes;
    double core_seconds;    /* of all parts, on cores like this host's */
    double longest_seconds; /* of one line's edits */
    double seconds;         /* a part takes */
    double limit_seconds;   /* of the job */
    double lead_seconds;    /* before its end, when it is told to stop */
};

/** @return false when not even one rank finds room on a node */
PM_MUST_CHECK bool propose(struct proposal *out, const struct proposal_wish *wish,
                           const struct slurm_nodes *nodes, struct pm_error *err);
#endif
