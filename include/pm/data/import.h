/** @file import.h  Other people's lists of edits, as manifests.
 *
 *  Each line keeps what identifies the edit where it came from: its id, and under "meta" all that a
 *  manifest has no key for. */
#ifndef PM_DATA_IMPORT_H
#define PM_DATA_IMPORT_H
#include "pm/base/error.h"

#include <stddef.h>
#include <stdio.h>

struct pm_import_options {
    const char *images;      /* PIE-Bench: the folder that image_path starts from; borrowed */
    bool published_settings; /* PIE-Bench: those of PnPInversion's run_editing_p2p.py */
};

struct pm_import_result {
    size_t lines;   /* written */
    char kept[256]; /* CSV: the columns that went to "meta", "a, b, c"; cut when too long */
};

/** Read @p path and write a manifest's lines to @p out.
 *  @param out  whether all was written is for the caller to ask (ferror, fclose)
 *  @return true; on false, err says PM_E_IO, PM_E_FORMAT or PM_E_INPUT with the file, the line or
 *  entry and the field, and @p out has some of the lines */
typedef bool pm_import(struct pm_import_result *result, FILE *out, const char *path,
                       const struct pm_import_options *options, struct pm_error *err);

/** PIE-Bench's mapping_file.json (Ju et al. 2023, arXiv 2310.01506; cure-lab/PnPInversion): an
 *  object {id: {image_path, original_prompt, editing_prompt, editing_instruction, editing_type_id,
 *  blended_word, mask}}. Brackets leave the prompts, blended_word becomes a local_blend, the mask is
 *  the one its scripts decode: of 512x512 pixels, with the outermost ones edited. "meta" has the
 *  fields as they are, but for the mask, and the category's name. */
pm_import pm_import_pie_bench;

/** InstructPix2Pix's JSON Lines of prompts (Brooks et al. 2022, arXiv 2211.09800): "input" (or
 *  "caption", as its scripts say), "edit", "output". The id is the line's number from 0 in seven
 *  digits, as its folders are named; "edit", the instruction, goes to "meta". */
pm_import pm_import_instruct_pix2pix;

/** CSV (RFC 4180) whose first row names the columns: any keys of a manifest's line and of its one
 *  target. Cells of keys that take text are the text, others JSON; empty ones are left out. Without
 *  a column "id" rows are numbered as above. */
pm_import pm_import_csv;
#endif
