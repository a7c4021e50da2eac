/* promptmill compare STORE [STORE ...]: the same edits under several settings. */
#include "compare_edits.h"
#include "compare_sheet.h"
#include "store_look.h"
#include "verb_arguments.h"
#include "verbs.h"

#include "pm/base/path.h"
#include "pm/base/whole_file.h"
#include "pm/data/csv.h"
#include "pm/data/paired.h"
#include "pm/runtime/exit_status.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char doc[] =
    "\nCompare the same edits under several settings: those of the same id, target and prompt in "
    "several stores, or those of one line under the settings of one store's sweep. The first "
    "store, "
    "or setting, is what the others are compared with, by the tables that `promptmill measure` "
    "wrote "
    "beside the stores."
    "\vPrinted, and as statistics.csv: for each setting and metric the mean difference of the "
    "edits "
    "that both have, its 95 % interval (bootstrap), in how many edits it is higher and lower, and "
    "the sign test's p. edits.csv has every edit's numbers; sheet.png shows the edits that differ "
    "most.";

static const struct argp_option option_table[] = {
    {"metric", 'm', "NAME", 0,
     "a column of the tables; may be given more than once, and the first chooses what is shown "
     "(default: psnr, ssim, those outside the mask, and against the truth, as the tables have "
     "them)",
     0},
    {"out", 'o', "FOLDER", 0, "where to (default: compare)", 0},
    {"shown", 's', "N", 0, "edits on the sheet (default 24)", 0},
    {0}};

struct arguments {
    const char *stores[COMPARE_MAX_STORES], *metrics[COMPARE_MAX_METRICS], *out;
    size_t store_count, metric_count, shown;
};

/* With ARGP_NO_EXIT, argp_error returns: its callers must say so with EINVAL. */
static error_t append(const char **list, size_t *count, size_t most, char *arg,
                      struct argp_state *state)
{
    if (*count == most) {
        argp_error(state, "\"%s\": at most %zu of them", arg, most);
        return EINVAL;
    }
    list[(*count)++] = arg;
    return 0;
}

static error_t parse_option(int flag, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (flag) {
    case 'm':
        return append(a->metrics, &a->metric_count, COMPARE_MAX_METRICS, arg, state);
    case 'o':
        a->out = arg;
        return 0;
    case 's':
        return verb_whole_number(&a->shown, state, arg);
    case ARGP_KEY_ARG:
        return append(a->stores, &a->store_count, COMPARE_MAX_STORES, arg, state);
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "a store is wanted");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = option_table, .parser = parse_option, .args_doc = "STORE...", .doc = doc};

/* NaN is an empty cell. */
static void write_number(FILE *out, double value)
{
    if (isnan(value))
        fputc(',', out);
    else
        fprintf(out, ",%.9g", value);
}

/* A row for each edit and setting. @param differences  [edits, columns] */
static void write_edits(FILE *out, const struct comparison *c, const double *differences)
{
    fprintf(out, "id,target,category,setting");
    for (size_t m = 0; m < c->metric_count; m++) {
        fputc(',', out);
        pm_csv_write(out, c->metrics[m]);
    }
    fprintf(out, ",picture_difference\n");
    for (size_t i = 0; i < c->edit_count * c->column_count; i++) {
        const struct compare_edit *edit = &c->edits[i / c->column_count];
        size_t column = i % c->column_count;
        if (!edit->has[column]) continue;
        pm_csv_write(out, edit->id);
        fprintf(out, ",%d,", edit->target);
        pm_csv_write(out, edit->category);
        fputc(',', out);
        pm_csv_write(out, c->columns[column].name);
        for (size_t m = 0; m < c->metric_count; m++)
            write_number(out, edit->values[column * c->metric_count + m]);
        write_number(out, differences[i]);
        fputc('\n', out);
    }
}

static struct pm_paired compare_metric(const struct comparison *c, size_t column, size_t metric)
{
    double *values = calloc(2 * c->edit_count + 1, sizeof *values);
    if (!values) pm_die("no memory for %zu edits", c->edit_count);
    for (size_t i = 0; i < c->edit_count; i++) {
        values[i] = c->edits[i].values[metric];
        values[c->edit_count + i] = c->edits[i].values[column * c->metric_count + metric];
    }
    struct pm_paired result = pm_paired_compare(values, values + c->edit_count, c->edit_count);
    free(values);
    return result;
}

static double mean_difference(const struct comparison *c, const double *differences, size_t column)
{
    double sum = 0.0;
    size_t count = 0;
    for (size_t i = 0; i < c->edit_count; i++) {
        double value = differences[i * c->column_count + column];
        if (isnan(value)) continue;
        sum += value;
        count++;
    }
    return count ? sum / (double)count : NAN;
}

static void tell(FILE *out, const char *setting, const char *metric, const struct pm_paired *p)
{
    printf("  %-24s %6zu  %9.4g  %9.4g  %+9.4g  %+9.4g to %+-9.4g  %5zu %5zu  %.2g\n", metric,
           p->pairs, p->mean_a, p->mean_b, p->mean_difference, p->low, p->high, p->b_higher,
           p->b_lower, p->sign_p);
    pm_csv_write(out, setting);
    fputc(',', out);
    pm_csv_write(out, metric);
    fprintf(out, ",%zu", p->pairs);
    write_number(out, p->mean_a);
    write_number(out, p->mean_b);
    write_number(out, p->mean_difference);
    write_number(out, p->low);
    write_number(out, p->high);
    fprintf(out, ",%zu,%zu,%.6g\n", p->b_higher, p->b_lower, p->sign_p);
}

/* Printed, and as a table. */
static void tell_statistics(FILE *out, const struct comparison *c, const double *differences)
{
    fprintf(out,
            "setting,metric,pairs,mean_first,mean,mean_difference,low,high,higher,lower,sign_p\n");
    printf("%s is compared with, %zu edits", c->columns[0].name, c->edit_count);
    if (c->lonely > 0) printf("; %zu have no other to be compared with", c->lonely);
    printf("\n");
    for (size_t column = 1; column < c->column_count; column++) {
        printf("\n%s: its pictures differ by %.3g of 255\n", c->columns[column].name,
               mean_difference(c, differences, column));
        printf("  %-24s %6s  %9s  %9s  %9s  %-22s  %5s %5s  %s\n", "metric", "edits", "first",
               "here", "change", "95 % interval", "up", "down", "sign test p");
        for (size_t m = 0; m < c->metric_count; m++) {
            struct pm_paired p = compare_metric(c, column, m);
            tell(out, c->columns[column].name, c->metrics[m], &p);
        }
    }
}

typedef void table_writer(FILE *out, const struct comparison *c, const double *differences);

static bool write_table(const char *folder, const char *name, table_writer *write,
                        const struct comparison *c, const double *differences, struct pm_error *err)
{
    struct pm_whole_file table;
    char path[PATH_MAX];
    PM_TRY(pm_path_join(path, sizeof path, folder, name, err));
    bool ok = pm_whole_file_begin(&table, path, err);
    if (ok) write(table.file, c, differences);
    return pm_whole_file_end(&table, ok, err);
}

/** An edit and how far its settings are apart. */
struct spread {
    double width;
    size_t edit;
};

static int widest_first(const void *a, const void *b)
{
    const struct spread *x = a, *y = b;
    if (x->width != y->width) return x->width < y->width ? 1 : -1;
    return (x->edit > y->edit) - (x->edit < y->edit);
}

/* @param shown  [edit_count]  edits, those first whose first metric's values are farthest apart */
static void order_by_spread(size_t *shown, const struct comparison *c)
{
    struct spread *spreads = malloc((c->edit_count + 1) * sizeof *spreads);
    if (!spreads) pm_die("no memory for %zu edits", c->edit_count);
    for (size_t i = 0; i < c->edit_count; i++) {
        double low = INFINITY, high = -INFINITY;
        for (size_t column = 0; column < c->column_count; column++) {
            double value = c->edits[i].values[column * c->metric_count];
            if (!isfinite(value)) continue;
            low = fmin(low, value);
            high = fmax(high, value);
        }
        spreads[i] = (struct spread){.width = high >= low ? high - low : 0.0, .edit = i};
    }
    qsort(spreads, c->edit_count, sizeof *spreads, widest_first);
    for (size_t i = 0; i < c->edit_count; i++) shown[i] = spreads[i].edit;
    free(spreads);
}

static bool write_sheet(const struct arguments *a, const struct comparison *c, struct pm_error *err)
{
    char path[PATH_MAX];
    struct pm_image sheet;
    size_t *shown = malloc((c->edit_count + 1) * sizeof *shown);
    if (!shown) pm_die("no memory for %zu edits", c->edit_count);
    order_by_spread(shown, c);
    size_t count = c->edit_count < a->shown ? c->edit_count : a->shown;
    bool ok = pm_path_join(path, sizeof path, a->out, "sheet.png", err) &&
              compare_sheet_draw(&sheet, c, shown, count, err);
    if (ok) {
        ok = pm_image_write_png(&sheet, path, err);
        pm_image_free(&sheet);
    }
    free(shown);
    return ok;
}

static bool report(const struct arguments *a, const struct comparison *c, struct pm_error *err)
{
    double *differences = calloc(c->edit_count * c->column_count + 1, sizeof *differences);
    if (!differences) pm_die("no memory for %zu edits", c->edit_count);
    bool ok = mkdir(a->out, 0777) == 0 || errno == EEXIST ||
              pm_fail(err, PM_E_IO, "cannot make the folder %s: %s", a->out, strerror(errno));
    for (size_t i = 0; ok && i < c->edit_count * c->column_count; i++)
        ok = compare_pictures(&differences[i], c, &c->edits[i / c->column_count], 0,
                              i % c->column_count, err);
    ok = ok && write_table(a->out, "statistics.csv", tell_statistics, c, differences, err) &&
         write_table(a->out, "edits.csv", write_edits, c, differences, err) &&
         write_sheet(a, c, err);
    if (ok) printf("\n%s/: statistics.csv, edits.csv, sheet.png\n", a->out);
    free(differences);
    return ok;
}

static bool open_stores(struct pm_store **stores, const struct arguments *a, struct pm_error *err)
{
    for (size_t i = 0; i < a->store_count; i++) {
        PM_TRY(store_open_pictures(&stores[i], a->stores[i], err));
        for (size_t j = 0; j < i; j++)
            if (strcmp(a->stores[i], a->stores[j]) == 0)
                return pm_fail(err, PM_E_INPUT, "%s is given twice", a->stores[i]);
    }
    return true;
}

int verb_compare(int argc, char **argv)
{
    struct arguments a = {.out = "compare", .shown = 24};
    struct pm_store *stores[COMPARE_MAX_STORES] = {NULL};
    struct comparison comparison;
    struct pm_error err = {0};
    if (verb_arguments_help(&argp, argc, argv)) return PM_EXIT_DONE;
    if (!verb_arguments_read(&argp, argc, argv, &a, true)) return PM_EXIT_INPUT;
    bool ok = open_stores(stores, &a, &err) &&
              compare_edits(&comparison, a.stores, (const struct pm_store *const *)stores,
                            a.store_count, a.metrics, a.metric_count, &err);
    if (ok) {
        ok = report(&a, &comparison, &err);
        comparison_free(&comparison);
    }
    for (size_t i = 0; i < a.store_count; i++) pm_store_close(stores[i]);
    if (!ok) fprintf(stderr, "promptmill: %s\n", err.message);
    return ok ? PM_EXIT_DONE : PM_EXIT_INPUT;
}
