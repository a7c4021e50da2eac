#include "test.h"

#include "pm/data/guided_filter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEIGHT = 11, WIDTH = 14, PIXELS = HEIGHT * WIDTH, RADIUS = 2 };

static double determinant(double m[3][3])
{
    return m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
           m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
           m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
}

static void window(size_t range[4], size_t pixel)
{
    size_t y = pixel / WIDTH, x = pixel % WIDTH;
    range[0] = y > RADIUS ? y - RADIUS : 0;
    range[1] = y + RADIUS < HEIGHT ? y + RADIUS : HEIGHT - 1;
    range[2] = x > RADIUS ? x - RADIUS : 0;
    range[3] = x + RADIUS < WIDTH ? x + RADIUS : WIDTH - 1;
}

/* The linear function of one window, by Cramer's rule. @param out  three slopes and the constant */
static void fit(double out[4], const struct pm_image *picture, const float *heat, size_t pixel,
                double epsilon)
{
    size_t r[4], count = 0;
    double mean[3] = {0}, mean_heat = 0.0, products[3][3] = {{0}}, with_heat[3] = {0};
    window(r, pixel);
    for (size_t y = r[0]; y <= r[1]; y++)
        for (size_t x = r[2]; x <= r[3]; x++, count++) {
            size_t i = y * WIDTH + x;
            mean_heat += (double)heat[i];
            for (size_t a = 0; a < 3; a++) {
                double color = (double)picture->pixels[i * 3 + a] / 255.0;
                mean[a] += color;
                with_heat[a] += color * (double)heat[i];
                for (size_t b = 0; b < 3; b++)
                    products[a][b] += color * (double)picture->pixels[i * 3 + b] / 255.0;
            }
        }
    double n = (double)count;
    mean_heat /= n;
    out[3] = mean_heat;
    for (size_t a = 0; a < 3; a++) mean[a] /= n;
    for (size_t a = 0; a < 3; a++)
        for (size_t b = 0; b < 3; b++)
            products[a][b] = products[a][b] / n - mean[a] * mean[b] + (a == b ? epsilon : 0.0);
    for (size_t a = 0; a < 3; a++) {
        double replaced[3][3];
        memcpy(replaced, products, sizeof replaced);
        for (size_t b = 0; b < 3; b++) replaced[b][a] = with_heat[b] / n - mean[b] * mean_heat;
        out[a] = determinant(replaced) / determinant(products);
    }
    for (size_t a = 0; a < 3; a++) out[3] -= out[a] * mean[a];
}

static void the_filter_is_the_mean_of_all_windows_linear_functions(void **state)
{
    (void)state;
    struct pm_image picture;
    float heat[2 * PIXELS], wanted[2 * PIXELS], noise[3 * PIXELS];
    pm_image_init(&picture, WIDTH, HEIGHT);
    fill_random(noise, 3 * PIXELS, 7);
    for (size_t i = 0; i < 3 * PIXELS; i++)
        picture.pixels[i] = (uint8_t)(127.0f + 127.0f * noise[i]);
    fill_random(heat, 2 * PIXELS, 8);
    for (size_t m = 0; m < 2; m++) {
        double functions[PIXELS][4];
        for (size_t i = 0; i < PIXELS; i++) fit(functions[i], &picture, heat + m * PIXELS, i, 0.01);
        for (size_t i = 0; i < PIXELS; i++) {
            size_t r[4], count = 0;
            double sum = 0.0;
            window(r, i);
            for (size_t y = r[0]; y <= r[1]; y++)
                for (size_t x = r[2]; x <= r[3]; x++, count++) {
                    const double *f = functions[y * WIDTH + x];
                    sum += f[3];
                    for (size_t a = 0; a < 3; a++)
                        sum += f[a] * (double)picture.pixels[i * 3 + a] / 255.0;
                }
            wanted[m * PIXELS + i] = (float)(sum / (double)count);
        }
    }
    pm_guided_filter(heat, 2, &picture, RADIUS, 0.01f);
    assert_true(max_difference(heat, wanted, (size_t)2 * PIXELS) < 1e-5);
    pm_image_free(&picture);
}

static void a_blurred_edge_comes_to_lie_where_the_pictures_is(void **state)
{
    (void)state;
    enum { SIDE = 32, EDGE = 13 };
    struct pm_image picture;
    float heat[SIDE * SIDE];
    pm_image_init(&picture, SIDE, SIDE);
    for (size_t i = 0; i < (size_t)SIDE * SIDE; i++) {
        memset(picture.pixels + i * 3, i % SIDE < EDGE ? 20 : 220, 3);
        heat[i] = 1.0f / (1.0f + expf(-((float)(i % SIDE) - 16.0f) / 3.0f));
    }
    pm_guided_filter(heat, 1, &picture, 8, 1e-3f);
    const float *row = heat + (size_t)SIDE * 16;
    for (size_t x = 0; x + 1 < SIDE; x++)
        if (x + 1 != EDGE) assert_true(fabsf(row[x + 1] - row[x]) < 0.1f);
    assert_true(row[EDGE] - row[EDGE - 1] > 0.3f);
    pm_image_free(&picture);
}

static void an_even_map_stays_even_and_a_window_may_be_larger_than_the_picture(void **state)
{
    (void)state;
    struct pm_image picture;
    float heat[15];
    pm_image_init(&picture, 5, 3);
    for (size_t i = 0; i < 45; i++) picture.pixels[i] = (uint8_t)(i * 5);
    for (size_t i = 0; i < 15; i++) heat[i] = 0.25f;
    pm_guided_filter(heat, 1, &picture, 100, 1e-3f);
    for (size_t i = 0; i < 15; i++) assert_true(fabsf(heat[i] - 0.25f) < 1e-6f);
    pm_image_free(&picture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_filter_is_the_mean_of_all_windows_linear_functions),
        cmocka_unit_test(a_blurred_edge_comes_to_lie_where_the_pictures_is),
        cmocka_unit_test(an_even_map_stays_even_and_a_window_may_be_larger_than_the_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
