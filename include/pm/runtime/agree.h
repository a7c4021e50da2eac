/** @file agree.h  One rank's failure, made everyone's. */
#ifndef PM_RUNTIME_AGREE_H
#define PM_RUNTIME_AGREE_H
#include "pm/base/error.h"

#include <mpi.h>

/** To be called before a collective that depends on success, so that no rank goes into it alone:
 *
 *      bool ok = rank != 0 || pm_config_load(&config, path, err);
 *      if (!pm_agree(comm, ok, err)) return false;
 *
 *  Sleeps while others are not yet there. Collective over @p comm.
 *  @return true when @p ok on all ranks; else false on all, @p err holding the sentence of the
 *  lowest rank that failed */
PM_MUST_CHECK bool pm_agree(MPI_Comm comm, bool ok, struct pm_error *err);
#endif
