#include "measure_table.h"

#include "pm/base/whole_file.h"
#include "pm/data/csv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CATEGORIES = 100, CATEGORY_BYTES = 64 };

void measure_table_free(struct measure_table *table)
{
    free(table->rows);
    *table = (struct measure_table){0};
}

static void reserve(struct measure_table *table, size_t count)
{
    if (count <= table->capacity) return;
    table->capacity = count + table->capacity;
    table->rows = realloc(table->rows, table->capacity * sizeof *table->rows);
    if (!table->rows) pm_die("no memory for the metrics of %zu pictures", table->capacity);
}

bool measure_table_grow(struct measure_table *table, struct measured **room,
                        const struct pm_store *store, size_t item, struct pm_error *err)
{
    struct pm_store_item row;
    PM_TRY(pm_store_read_item(&row, store, item, err));
    reserve(table, table->count + row.entries);
    *room = table->rows + table->count;
    pm_store_item_free(&row);
    return true;
}

static int by_entry(const void *a, const void *b)
{
    size_t x = ((const struct measured *)a)->entry, y = ((const struct measured *)b)->entry;
    return (x > y) - (x < y);
}

void measure_table_gather(struct measure_table *table, MPI_Comm comm)
{
    enum { SIZES = 17, ROWS = 18 };
    int rank, ranks;
    unsigned long long sizes[2] = {table->count, table->left_out};
    MPI_Datatype type;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &ranks);
    MPI_Type_contiguous((int)sizeof(struct measured), MPI_BYTE, &type);
    MPI_Type_commit(&type);
    if (rank > 0) {
        MPI_Send(sizes, 2, MPI_UNSIGNED_LONG_LONG, 0, SIZES, comm);
        MPI_Send(table->rows, (int)table->count, type, 0, ROWS, comm);
    }
    for (int from = 1; rank == 0 && from < ranks; from++) {
        MPI_Recv(sizes, 2, MPI_UNSIGNED_LONG_LONG, from, SIZES, comm, MPI_STATUS_IGNORE);
        reserve(table, table->count + sizes[0]);
        MPI_Recv(table->rows + table->count, (int)sizes[0], type, from, ROWS, comm,
                 MPI_STATUS_IGNORE);
        table->count += sizes[0];
        table->left_out += sizes[1];
    }
    MPI_Type_free(&type);
    if (rank == 0 && table->count > 0)
        qsort(table->rows, table->count, sizeof *table->rows, by_entry);
}

/* The texts of a row; the category is cut where it is too long. */
static bool read_texts(struct pm_store_item *item, char category[CATEGORY_BYTES],
                       const struct pm_store *store, const struct measured *row,
                       struct pm_error *err)
{
    json_t *recipe;
    PM_TRY(pm_store_read_item(item, store, row->item, err));
    bool ok = pm_json_parse(&recipe, item->recipe, strlen(item->recipe), item->id, err);
    if (ok) {
        snprintf(category, CATEGORY_BYTES, "%s", measure_category(recipe));
        json_decref(recipe);
    } else {
        pm_store_item_free(item);
    }
    return ok;
}

static void write_csv_metrics(FILE *out, const double metrics[PM_IMAGE_METRICS])
{
    for (size_t i = 0; i < PM_IMAGE_METRICS; i++)
        if (isnan(metrics[i]))
            fprintf(out, ",nan"); /* whatever its sign */
        else
            fprintf(out, ",%.9g", metrics[i]);
}

static void write_csv_row(FILE *out, const struct measured *row, const char *id,
                          const char *category, bool has_truth)
{
    fprintf(out, "%zu,", row->entry);
    pm_csv_write(out, id);
    fprintf(out, ",%d,", row->target);
    pm_csv_write(out, category);
    fprintf(out, ",%s", measure_mask_names[row->mask]);
    write_csv_metrics(out, row->metrics);
    if (has_truth) write_csv_metrics(out, row->truth_metrics);
    fputc('\n', out);
}

static void write_csv_header(FILE *out, bool has_truth)
{
    fprintf(out, "entry,id,target,category,mask");
    for (size_t i = 0; i < PM_IMAGE_METRICS; i++) fprintf(out, ",%s", pm_image_metric_names[i]);
    for (size_t i = 0; has_truth && i < PM_IMAGE_METRICS; i++)
        fprintf(out, ",truth_%s", pm_image_metric_names[i]);
    fputc('\n', out);
}

/* JSON has no infinity: it is a text. */
static json_t *json_metric(double value)
{
    if (isnan(value)) return json_null();
    return isinf(value) ? json_string("inf") : json_real(value);
}

static void write_json_row(FILE *out, const struct measured *row, const char *id,
                           const char *category, bool has_truth)
{
    char name[64];
    json_t *json =
        json_pack("{s:I, s:s, s:i, s:s, s:s}", "entry", (json_int_t)row->entry, "id", id, "target",
                  row->target, "category", category, "mask", measure_mask_names[row->mask]);
    for (size_t i = 0; i < PM_IMAGE_METRICS; i++) {
        json_object_set_new(json, pm_image_metric_names[i], json_metric(row->metrics[i]));
        snprintf(name, sizeof name, "truth_%s", pm_image_metric_names[i]);
        if (has_truth) json_object_set_new(json, name, json_metric(row->truth_metrics[i]));
    }
    json_dumpf(json, out, JSON_REAL_PRECISION(9));
    fputc('\n', out);
    json_decref(json);
}

static bool write_rows(FILE *out, const struct measure_table *table, enum measure_format format,
                       const struct pm_store *store, bool has_truth, struct pm_error *err)
{
    if (format == MEASURE_CSV) write_csv_header(out, has_truth);
    for (size_t i = 0; i < table->count; i++) {
        struct pm_store_item item;
        char category[CATEGORY_BYTES];
        PM_TRY(read_texts(&item, category, store, &table->rows[i], err));
        (format == MEASURE_CSV ? write_csv_row : write_json_row)(out, &table->rows[i], item.id,
                                                                 category, has_truth);
        pm_store_item_free(&item);
    }
    return true;
}

bool measure_table_write(const struct measure_table *table, const char *path,
                         enum measure_format format, const struct pm_store *store,
                         const char *truth, struct pm_error *err)
{
    struct pm_whole_file whole;
    bool ok = pm_whole_file_begin(&whole, path, err) &&
              write_rows(whole.file, table, format, store, truth != NULL, err);
    return pm_whole_file_end(&whole, ok, err);
}

/** A category's edits. */
struct group {
    char category[CATEGORY_BYTES];
    size_t edits;
    double sums[2][PM_IMAGE_METRICS];
    size_t counts[2][PM_IMAGE_METRICS];
};

static void add_metrics(struct group *group, size_t which, const double metrics[PM_IMAGE_METRICS])
{
    for (size_t i = 0; i < PM_IMAGE_METRICS; i++) {
        if (!isfinite(metrics[i])) continue;
        group->sums[which][i] += metrics[i];
        group->counts[which][i]++;
    }
}

static void add_row(struct group *group, const struct measured *row)
{
    group->edits++;
    add_metrics(group, 0, row->metrics);
    add_metrics(group, 1, row->truth_metrics);
}

/* @return the category's group, a new one if need be; the last one when there are too many */
static struct group *find_group(struct group *groups, size_t *count, const char *category)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(groups[i].category, category) == 0) return &groups[i];
    if (*count == MAX_CATEGORIES) {
        snprintf(groups[*count - 1].category, CATEGORY_BYTES, "others");
        return &groups[*count - 1];
    }
    struct group *group = &groups[(*count)++];
    *group = (struct group){0};
    snprintf(group->category, sizeof group->category, "%s", category);
    return group;
}

static const struct {
    size_t which; /* 1: against the truth */
    enum pm_image_metric metric;
    const char *title;
} columns[] = {{0, PM_PSNR, "psnr"},
               {0, PM_SSIM, "ssim"},
               {0, PM_PSNR_UNEDIT_PART, "psnr_unedit_part"},
               {0, PM_PSNR_OUTSIDE_MASK, "psnr_outside_mask"},
               {1, PM_PSNR_INSIDE_MASK, "truth_psnr_inside_mask"}};

static void print_group(const struct group *group, const char *name, bool has_truth)
{
    printf("%-20s %6zu", name, group->edits);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        size_t which = columns[i].which, metric = columns[i].metric;
        size_t n = group->counts[which][metric];
        int width = (int)strlen(columns[i].title), digits = metric == PM_SSIM ? 4 : 2;
        if (which == 1 && !has_truth) continue;
        if (width < 6) width = 6;
        if (n > 0)
            printf("  %*.*f", width, digits, group->sums[which][metric] / (double)n);
        else
            printf("  %*s", width, "-");
    }
    printf("\n");
}

static void print_groups(const struct group *groups, size_t count, const struct group *all,
                         const struct group *sources, bool has_truth)
{
    printf("%-20s %6s", "category", "edits");
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        if (columns[i].which == 0 || has_truth) printf("  %6s", columns[i].title);
    printf("\n");
    for (size_t i = 0; i < count; i++)
        print_group(&groups[i], groups[i].category[0] ? groups[i].category : "-", has_truth);
    if (count > 1) print_group(all, "all", has_truth);
    if (sources->edits > 0) print_group(sources, "reconstructions", has_truth);
}

bool measure_table_summarise(const struct measure_table *table, const char *path,
                             const struct pm_store *store, const char *truth, struct pm_error *err)
{
    struct group *groups = calloc(MAX_CATEGORIES, sizeof *groups), all = {0}, sources = {0};
    size_t count = 0;
    bool ok = true;
    if (!groups) pm_die("no memory for a summary");
    for (size_t i = 0; ok && i < table->count; i++) {
        struct pm_store_item item;
        char category[CATEGORY_BYTES];
        if (table->rows[i].target == PM_STORE_SOURCE) {
            add_row(&sources, &table->rows[i]);
            continue;
        }
        ok = read_texts(&item, category, store, &table->rows[i], err);
        if (!ok) continue;
        add_row(find_group(groups, &count, category), &table->rows[i]);
        add_row(&all, &table->rows[i]);
        pm_store_item_free(&item);
    }
    if (ok) {
        printf("%s: %zu edits", path, all.edits);
        if (sources.edits > 0) printf(", %zu reconstructions", sources.edits);
        if (table->left_out > 0) printf("; %zu edits left out: not done", table->left_out);
        printf("\n");
        print_groups(groups, count, &all, &sources, truth != NULL);
    }
    free(groups);
    return ok;
}
