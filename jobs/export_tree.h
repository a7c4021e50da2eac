/** @file export_tree.h  Trees of many files: who writes which edit, and its pictures.
 *
 *  What is in a tree already is not written again: a file that has its name is whole. */
#ifndef EXPORT_TREE_H
#define EXPORT_TREE_H
#include "export.h"

#include "pm/data/safe_name.h"

/** An edit and a hash of where it goes: edits of the same key belong together. */
struct export_place {
    uint64_t key;
    size_t item, target; /* target from 1, as entries of an item */
};

/** All edits that are asked for, done or not; by key, then in the manifest's order. */
struct export_tree {
    struct export_place *places; /* [count]  owned (free) */
    size_t count;
};

/** An edit as the store has it. Filled by export_edit_open, the pictures by export_edit_read. */
struct export_edit {
    struct pm_store_item item;
    size_t number, target;              /* of the item; of its target, from 1 */
    json_t *recipe;                     /* the next four are borrowed from it */
    const json_t *target_recipe;        /* NULL: it cannot be read */
    const char *source_prompt, *prompt; /* "" where there is none */
    const char *instruction; /* what is to be done, of the line's "meta"; or the prompt */
    char *base;              /* the id without its sweep's setting; owned */
    const char *label;       /* of the setting, in item.id; "" without a sweep */
    enum export_fate fate;
    struct pm_image original; /* the real picture, or the source's */
    struct pm_image source, edited;
};

PM_MUST_CHECK bool export_edit_open(struct export_edit *e, const struct export *x, size_t item,
                                    size_t target, struct pm_error *err);
PM_MUST_CHECK bool export_edit_read(struct export_edit *e, const struct export *x,
                                    struct pm_error *err);
void export_edit_free(struct export_edit *e);

/** Where an edit goes, below the folder. */
typedef bool export_place_of(char path[PATH_MAX], const struct export_edit *e,
                             struct pm_error *err);

/** Refuse a folder that another store, or the same otherwise, was exported to. Collective.
 *  @param settings  of the format, borrowed; or NULL */
PM_MUST_CHECK bool export_claim_folder(const struct export *x, const char *format,
                                       const json_t *settings, struct pm_error *err);

/** Refuse a folder that another store, or the same otherwise, was exported to, then list the edits.
 *  Collective. @param format  of the folder  @param shares  may edits have the same place?
 *  @return false on all ranks: a folder of something else, or two edits for one file */
PM_MUST_CHECK bool export_tree_begin(struct export_tree *tree, const struct export *x,
                                     const char *format, export_place_of *place_of, bool shares,
                                     struct pm_error *err);

/** Write a picture, in place of what is there. @param path  below the folder */
PM_MUST_CHECK bool export_write_picture(struct export *x, const struct pm_image *image,
                                        const char *path, enum export_pictures pictures,
                                        struct pm_error *err);
/** Is it there? */
bool export_has_file(const struct export *x, const char *path);

/** Write a text, in place of what is there: it appears when it is whole. */
PM_MUST_CHECK bool export_write_text(const struct export *x, const char *text, const char *path,
                                     struct pm_error *err);

/** "FOLDER/NAME", with the folders that it is in. @param path  [PATH_MAX] */
PM_MUST_CHECK bool export_path(char path[PATH_MAX], const struct export *x, const char *name,
                               struct pm_error *err);

/** Tell how much was written, once all ranks are through. Collective. */
void export_tree_report(const struct export *x);
#endif
