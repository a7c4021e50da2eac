#include "pm/data/npy.h"

#include "pm/base/whole_file.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are written as they lie");

enum { PREFIX_BYTES = 10, HEADER_BYTES = 246 }; /* with the prefix a multiple of 64 */

bool pm_npy_write(const char *path, const float *values, const size_t *shape, size_t rank,
                  struct pm_error *err)
{
    PM_ASSERT(rank >= 1 && rank <= 8);
    const unsigned char prefix[PREFIX_BYTES] = "\x93NUMPY\x01\x00\xF6"; /* HEADER_BYTES, 2 bytes */
    char header[HEADER_BYTES + 1];
    size_t count = 1;
    int used =
        snprintf(header, sizeof header, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (size_t i = 0; i < rank; i++) {
        used += snprintf(header + used, sizeof header - (size_t)used, "%zu, ", shape[i]);
        count *= shape[i];
    }
    used += snprintf(header + used, sizeof header - (size_t)used, "), }");
    memset(header + used, ' ', HEADER_BYTES - (size_t)used);
    header[HEADER_BYTES - 1] = '\n';
    struct pm_whole_file whole;
    bool ok = pm_whole_file_begin(&whole, path, err);
    if (ok) {
        fwrite(prefix, 1, sizeof prefix, whole.file);
        fwrite(header, 1, HEADER_BYTES, whole.file);
        fwrite(values, sizeof *values, count, whole.file);
    }
    return pm_whole_file_end(&whole, ok, err);
}
