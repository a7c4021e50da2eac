#include "pm/base/whole_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool pm_whole_file_begin(struct pm_whole_file *out, const char *path, struct pm_error *err)
{
    *out = (struct pm_whole_file){.path = strdup(path)};
    /* the process number keeps apart two programs that write the same file */
    if (!out->path || asprintf(&out->partial, "%s.%ld.partial", path, (long)getpid()) < 0)
        pm_die("no memory to write %s", path);
    unlink(out->partial); /* a dead process's; and where others may write, a link is not followed */
    out->file = fopen(out->partial, "wbx");
    return out->file || pm_fail(err, PM_E_IO, "cannot write %s: %s", path, strerror(errno));
}

bool pm_whole_file_end(struct pm_whole_file *w, bool ok, struct pm_error *err)
{
    bool begun = w->file != NULL, written = begun && !ferror(w->file);
    /* fclose writes what is still buffered: a full disk may show only here */
    written = begun && fclose(w->file) == 0 && written;
    if (ok && (!written || rename(w->partial, w->path) != 0))
        ok = pm_fail(err, PM_E_IO, "cannot write %s: %s", w->path, strerror(errno));
    if (begun && !ok) unlink(w->partial);
    free(w->path);
    free(w->partial);
    *w = (struct pm_whole_file){0};
    return ok;
}
