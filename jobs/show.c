/* promptmill show STORE [ID...]: what is in it, in words. */
#include "describe.h"
#include "store_look.h"
#include "store_options.h"
#include "verbs.h"

#include "pm/runtime/exit_status.h"

#include <stdio.h>
#include <stdlib.h>

static const char doc[] =
    "\nWithout an id, list the edits of a store, a line each. With ids, tell all "
    "that is known of these: prompts, tokens, settings, state, size of the blend "
    "mask; before them, what the store keeps of each picture.";

static const char *const state_names[] = {"pending", "done", "failed"};

static bool list_item(const struct pm_store *store, const struct pm_store_item *item,
                      struct pm_error *err)
{
    size_t counts[3] = {0};
    for (size_t t = 0; t < item->entries; t++) {
        struct pm_store_row row;
        PM_TRY(pm_store_read_rows(&row, store, item->first_entry + t, 1, err));
        counts[row.state]++;
    }
    struct pm_store_prompt source;
    PM_TRY(pm_store_read_prompt(&source, store, item->first_entry, err));
    printf("%-24s %zu targets, %zu of %zu pictures done%s  \"%s\"\n", item->id, item->entries - 1,
           counts[PM_STORE_DONE], item->entries, counts[PM_STORE_FAILED] ? ", some failed" : "",
           source.text);
    pm_store_prompt_free(&source);
    return true;
}

/* How much of the picture a blend let change. */
static bool show_mask(const struct pm_store *store, size_t entry, struct pm_error *err)
{
    const struct pm_store_shape *shape = pm_store_shape_of(store);
    size_t pixels = shape->latent_height * shape->latent_width, inside = 0;
    uint8_t *mask = malloc(pixels);
    if (!mask) pm_die("no memory for a mask");
    bool ok = pm_store_read_blend_mask(mask, store, entry, err);
    for (size_t i = 0; ok && i < pixels; i++) inside += mask[i] != 0;
    if (ok)
        printf("    blend mask  %.0f %% of the picture may differ\n",
               100.0 * (double)inside / (double)pixels);
    free(mask);
    return ok;
}

static bool show_reconstruction(const struct pm_store *store, size_t item, struct pm_error *err)
{
    double psnr;
    PM_TRY(pm_store_read_reconstruction_psnr(&psnr, store, item, err));
    printf("    real        its reconstruction is at %.1f dB PSNR of the picture\n", psnr);
    return true;
}

static bool show_entry(const struct pm_store *store, size_t entry,
                       const struct pm_target_recipe *target, struct pm_error *err)
{
    struct pm_store_row row;
    struct pm_store_prompt prompt;
    struct pm_store_provenance provenance;
    char text[DESCRIBE_BYTES];
    PM_TRY(pm_store_read_rows(&row, store, entry, 1, err));
    PM_TRY(pm_store_read_provenance(&provenance, store, entry, 1, err));
    PM_TRY(pm_store_read_prompt(&prompt, store, entry, err));
    printf("  %s  \"%s\"\n", prompt.target == PM_STORE_SOURCE ? "source" : "target", prompt.text);
    if (target && target->error.code == PM_OK) {
        describe_target(text, target);
        printf("    edit        %s\n", text);
    }
    printf("    tokens     ");
    for (size_t t = 0; t < prompt.tokens; t++) printf(" %s", prompt.token[t]);
    printf("\n    state       %s (entry %zu)", state_names[row.state], entry);
    if (row.state == PM_STORE_DONE)
        printf(", after %.1f s on rank %d of %s", provenance.seconds, (int)provenance.rank,
               provenance.host);
    printf("\n");
    if (row.message[0]) printf("    because     %s\n", row.message);
    size_t item = prompt.item;
    pm_store_prompt_free(&prompt);
    if (row.state != PM_STORE_DONE) return true;
    if (store_has_original(store, &row)) PM_TRY(show_reconstruction(store, item, err));
    return !(row.flags & PM_STORE_HAS_BLEND_MASK) || show_mask(store, entry, err);
}

static bool show_item(const struct pm_store *store, const struct pm_store_item *item,
                      struct pm_error *err)
{
    struct pm_recipe recipe = {0};
    struct pm_error unread = {0};
    bool ok = true, is_read = describe_read_recipe(&recipe, item->recipe, item->id, &unread);
    printf("%s  (manifest line %zu, seed %llu)\n", item->id, item->line,
           (unsigned long long)item->seed);
    for (size_t t = 0; ok && t < item->entries; t++) {
        bool has_target = is_read && t > 0 && t - 1 < recipe.target_count;
        ok = show_entry(store, item->first_entry + t, has_target ? &recipe.targets[t - 1] : NULL,
                        err);
    }
    if (is_read) pm_recipe_free(&recipe);
    return ok;
}

static bool show_all(const struct pm_store *store, const struct store_options *options,
                     struct pm_error *err)
{
    bool lists = options->id_count == 0, ok = true;
    size_t count = lists ? pm_store_shape_of(store)->items : options->id_count;
    if (!lists) describe_print_kept(pm_store_shape_of(store));
    for (size_t i = 0; ok && i < count; i++) {
        struct pm_store_item item;
        size_t number = i;
        if (!lists) PM_TRY(store_find_item(&number, store, options->ids[i], err));
        PM_TRY(pm_store_read_item(&item, store, number, err));
        ok = lists ? list_item(store, &item, err) : show_item(store, &item, err);
        pm_store_item_free(&item);
    }
    return ok;
}

int verb_show(int argc, char **argv)
{
    struct store_options options;
    struct pm_store *store = NULL;
    struct pm_error err = {0};
    bool helped;
    if (!store_options_parse(&options, argc, argv, doc, STORE_IDS, &helped)) return PM_EXIT_INPUT;
    if (helped) return PM_EXIT_DONE;
    bool ok = pm_store_open_read(&store, options.store, &err) && show_all(store, &options, &err);
    pm_store_close(store);
    if (!ok) fprintf(stderr, "promptmill: %s\n", err.message);
    return ok ? PM_EXIT_DONE : PM_EXIT_INPUT;
}
