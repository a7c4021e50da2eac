#include "image_codec.h"

#include <string.h>

enum { HEADER_BYTES = 8, ENTRY_BYTES = 12, TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3 };

struct tiff {
    const uint8_t *data;
    size_t bytes;
    bool is_big_endian;
};

/* @param at  where, with two bytes from there on inside the data */
static unsigned read_16(const struct tiff *tiff, size_t at)
{
    const uint8_t *b = tiff->data + at;
    return tiff->is_big_endian ? b[0] * 256u + b[1] : b[1] * 256u + b[0];
}

static uint32_t read_32(const struct tiff *tiff, size_t at)
{
    uint32_t first = read_16(tiff, at), second = read_16(tiff, at + 2);
    return tiff->is_big_endian ? first << 16 | second : second << 16 | first;
}

/* An entry is tag, type, count and the value, which is in the field's first two bytes here. */
static unsigned entry_orientation(const struct tiff *tiff, size_t entry)
{
    if (read_16(tiff, entry + 2) != TYPE_SHORT || read_32(tiff, entry + 4) != 1) return 1;
    unsigned value = read_16(tiff, entry + 8);
    return value >= 1 && value <= 8 ? value : 1;
}

unsigned pm_exif_orientation(const uint8_t *data, size_t bytes)
{
    struct tiff tiff = {.data = data, .bytes = bytes};
    if (bytes < HEADER_BYTES) return 1;
    tiff.is_big_endian = memcmp(data, "MM\0*", 4) == 0;
    if (!tiff.is_big_endian && memcmp(data, "II*\0", 4) != 0) return 1;
    size_t directory = read_32(&tiff, 4);
    if (directory > bytes - 2) return 1;
    size_t entries = read_16(&tiff, directory), room = (bytes - directory - 2) / ENTRY_BYTES;
    for (size_t i = 0; i < entries && i < room; i++) {
        size_t entry = directory + 2 + i * ENTRY_BYTES;
        if (read_16(&tiff, entry) == TAG_ORIENTATION) return entry_orientation(&tiff, entry);
    }
    return 1;
}
