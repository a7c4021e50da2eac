#include "pm/data/coco.h"

#include "pm/base/buffer.h"

#include <stdbool.h>
#include <stdlib.h>

/** Runs down the columns as they are put into text. */
struct counts {
    struct pm_buffer text;
    int64_t before[2]; /* the last two runs */
    size_t runs;
};

/* Five bits a character, the lowest first; of all but the first three the difference to the run
 * before the last. */
static void add_run(struct counts *c, int64_t length)
{
    enum { MOST = 13 }; /* characters of 64 bits */
    int64_t rest = c->runs > 2 ? length - c->before[1] : length;
    bool more = true;
    char *next = pm_buffer_reserve(&c->text, MOST + 1);
    while (more) {
        int bits = (int)(rest & 0x1F);
        rest = (rest - bits) / 32; /* exact: the shift that keeps the sign */
        more = bits & 0x10 ? rest != -1 : rest != 0;
        *next++ = (char)(48 + (bits | (more ? 0x20 : 0)));
    }
    *next = '\0';
    c->text.used = (size_t)(next - c->text.bytes); /* the next run goes over the end */
    c->before[1] = c->before[0];
    c->before[0] = length;
    c->runs++;
}

json_t *pm_coco_annotation(const uint8_t *mask, size_t height, size_t width)
{
    struct counts counts = {0};
    size_t area = 0, left = width, top = height, right = 0, bottom = 0;
    int64_t run = 0;
    bool is_inside = false; /* the first run is of what is outside, if only of no pixel */
    for (size_t x = 0; x < width; x++)
        for (size_t y = 0; y < height; y++) {
            bool inside = mask[y * width + x] != 0;
            if (inside != is_inside) {
                add_run(&counts, run);
                run = 0;
                is_inside = inside;
            }
            run++;
            if (!inside) continue;
            area++;
            if (x < left) left = x;
            if (y < top) top = y;
            if (x + 1 > right) right = x + 1;
            if (y + 1 > bottom) bottom = y + 1;
        }
    add_run(&counts, run);
    if (area == 0) left = top = 0;
    json_t *out = json_pack("{s:{s:[I,I], s:s}, s:I, s:[I,I,I,I]}", "segmentation", "size",
                            (json_int_t)height, (json_int_t)width, "counts", counts.text.bytes,
                            "area", (json_int_t)area, "bbox", (json_int_t)left, (json_int_t)top,
                            (json_int_t)(right - left), (json_int_t)(bottom - top));
    if (!out) pm_die("no memory for an annotation");
    pm_buffer_free(&counts.text);
    return out;
}
