/* A PNG or JPEG file. */
#include "fuzz.h"

#include "pm/data/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct pm_image image;
    struct pm_error err;
    if (pm_image_read(&image, fuzz_file(bytes, count), &err)) pm_image_free(&image);
    return 0;
}
