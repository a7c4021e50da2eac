/* Other people's lists of edits: the bytes as each of the kinds. */
#include "fuzz.h"

#include "pm/data/import.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static pm_import *const kinds[] = {pm_import_pie_bench, pm_import_instruct_pix2pix,
                                       pm_import_csv};
    static const struct pm_import_options options = {.images = "images",
                                                     .published_settings = true};
    const char *path = fuzz_file(bytes, count);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct pm_import_result result;
        struct pm_error err;
        char *text = NULL;
        size_t written;
        FILE *out = open_memstream(&text, &written);
        (void)!kinds[i](&result, out, path, &options, &err);
        fclose(out);
        free(text);
    }
    return 0;
}
