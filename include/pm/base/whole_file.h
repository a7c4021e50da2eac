/** @file whole_file.h  Files that appear when they are whole, or not at all.
 *
 *      struct pm_whole_file w;
 *      bool ok = pm_whole_file_begin(&w, "edits.csv", err) && write(w.file, …, err);
 *      return pm_whole_file_end(&w, ok, err);
 */
#ifndef PM_BASE_WHOLE_FILE_H
#define PM_BASE_WHOLE_FILE_H
#include "pm/base/error.h"

#include <stdio.h>

struct pm_whole_file {
    FILE *file;           /* to be written to */
    char *path, *partial; /* owned: its name, and the one that it has until it is whole */
};

/** @return false, with PM_E_IO and the path, when it cannot be written. To be ended either way */
PM_MUST_CHECK bool pm_whole_file_begin(struct pm_whole_file *out, const char *path,
                                       struct pm_error *err);

/** Give it its name, in place of what has it. @param ok  is it whole, as far as the caller knows?
 *  Where not, err is set already, and nothing is left behind.
 *  @return whether it is there; false with PM_E_IO where only now it shows that something could not
 *  be written, as on a full disk */
PM_MUST_CHECK bool pm_whole_file_end(struct pm_whole_file *file, bool ok, struct pm_error *err);
#endif
