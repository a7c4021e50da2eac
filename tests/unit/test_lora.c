#include "test.h"

#include "temporary.h"

#include "pm/model/lora.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { OUT = 5, IN = 3, RANK = 2, KERNEL = 3, MAX_FLOATS = 4096 };

/** A .safetensors file that is being written: floats, tensor after tensor. */
struct builder {
    char header[4096];
    float data[MAX_FLOATS];
    size_t floats, tensors;
};

static struct pm_arena scratch;
static const float plain_alpha[] = {3.0f};

static int set_up(void **state)
{
    pm_arena_init(&scratch, 1 << 20);
    return temporary_make(state);
}

static int tear_down(void **state)
{
    pm_arena_free(&scratch);
    return temporary_remove(state);
}

static struct builder begin(const char *metadata)
{
    struct builder b = {0};
    snprintf(b.header, sizeof b.header, "{%s%s%s", metadata ? "\"__metadata__\": {" : "",
             metadata ? metadata : "", metadata ? "}" : "");
    b.tensors = metadata ? 1 : 0;
    return b;
}

/* @param shape  "[2,3]" of so many values */
static void add(struct builder *b, const char *name, const char *shape, const float *values,
                size_t count)
{
    size_t used = strlen(b->header);
    assert_true(b->floats + count <= MAX_FLOATS);
    snprintf(b->header + used, sizeof b->header - used,
             "%s\"%s\": {\"dtype\": \"F32\", \"shape\": %s, \"data_offsets\": [%zu, %zu]}",
             b->tensors++ ? ", " : "", name, shape, 4 * b->floats, 4 * (b->floats + count));
    memcpy(b->data + b->floats, values, count * sizeof *values);
    b->floats += count;
}

/* Half of a pair with made-up values: 1: down, 2: up. */
static void add_half(struct builder *b, const char *name, int half)
{
    float values[OUT * RANK + IN * RANK];
    size_t count = half == 1 ? RANK * IN : OUT * RANK;
    fill_random(values, count, (unsigned)half);
    add(b, name, half == 1 ? "[2,3]" : "[5,2]", values, count);
}

static bool open_built(struct pm_loras **out, struct builder *b, double weight,
                       struct pm_error *err)
{
    strcat(b->header, "}");
    temporary_write_safetensors("lora.safetensors", b->header, b->data, 4 * b->floats);
    const struct pm_lora_file file = {.path = temporary_path("lora.safetensors"), .weight = weight};
    return pm_loras_open(out, &file, 1, err);
}

static struct pm_loras *open_well(struct builder *b, double weight)
{
    struct pm_loras *loras = NULL;
    struct pm_error err = {0};
    assert_ok(open_built(&loras, b, weight, &err), err);
    return loras;
}

static void assert_refused(struct builder *b, const char *text)
{
    struct pm_loras *loras;
    struct pm_error err = {0};
    assert_fails(open_built(&loras, b, 1.0, &err), err, text);
}

/* w[OUT, columns] + scale up[OUT, RANK] down[RANK, columns], of add_half's matrices or longer */
static void plain_add(float *w, double scale, size_t columns)
{
    float up[OUT * RANK], down[RANK * IN * KERNEL * KERNEL];
    fill_random(up, OUT * RANK, 2);
    fill_random(down, RANK * columns, 1);
    for (size_t o = 0; o < OUT; o++)
        for (size_t i = 0; i < columns; i++) {
            double sum = 0.0;
            for (size_t r = 0; r < RANK; r++)
                sum += (double)up[o * RANK + r] * (double)down[r * columns + i];
            w[o * columns + i] += (float)(scale * sum);
        }
}

static bool add_to(float *w, struct pm_loras *loras, enum pm_lora_network network, const char *name,
                   size_t rank, const size_t *shape, struct pm_error *err)
{
    PM_TRY(pm_loras_match(loras, network, name, rank, shape, err));
    pm_loras_add(w, loras, network, name, shape[0], &scratch);
    return true;
}

/* Add to a made-up linear, and compare with the plain sum. */
static void assert_adds(struct pm_loras *loras, enum pm_lora_network network, const char *name,
                        double scale)
{
    float w[OUT * IN], expected[OUT * IN];
    struct pm_error err = {0};
    fill_random(w, OUT * IN, 9);
    memcpy(expected, w, sizeof w);
    plain_add(expected, scale, IN);
    assert_ok(add_to(w, loras, network, name, 2, (size_t[]){OUT, IN}, &err), err);
    assert_true(max_difference(w, expected, OUT * IN) < 1e-6);
    assert_int_equal(scratch.used, 0);
    assert_ok(pm_loras_check_all_used(loras, &err), err);
}

static const struct {
    const char *down, *up;
    enum pm_lora_network network;
    const char *layer;
} schemes[] = {
    {"lora_unet_down_blocks_0_attentions_1_transformer_blocks_0_attn1_to_out_0.lora_down.weight",
     "lora_unet_down_blocks_0_attentions_1_transformer_blocks_0_attn1_to_out_0.lora_up.weight",
     PM_LORA_UNET, "down_blocks.0.attentions.1.transformer_blocks.0.attn1.to_out.0.weight"},
    {"lora_te_text_model_encoder_layers_7_mlp_fc1.lora_down.weight",
     "lora_te_text_model_encoder_layers_7_mlp_fc1.lora_up.weight", PM_LORA_TEXT_ENCODER,
     "text_model.encoder.layers.7.mlp.fc1.weight"},
    {"lora_te_text_model_encoder_layers_7_mlp_fc1.lora_down.weight",
     "lora_te_text_model_encoder_layers_7_mlp_fc1.lora_up.weight", PM_LORA_TEXT_ENCODER,
     "encoder.layers.7.mlp.fc1.weight"},
    {"unet.mid_block.attentions.0.proj_in.lora_A.weight",
     "unet.mid_block.attentions.0.proj_in.lora_B.weight", PM_LORA_UNET,
     "mid_block.attentions.0.proj_in.weight"},
    {"mid_block.attentions.0.proj_in.lora_A.weight", "mid_block.attentions.0.proj_in.lora_B.weight",
     PM_LORA_UNET, "mid_block.attentions.0.proj_in.weight"},
    {"text_encoder.text_model.encoder.layers.0.self_attn.k_proj.lora_A.weight",
     "text_encoder.text_model.encoder.layers.0.self_attn.k_proj.lora_B.weight",
     PM_LORA_TEXT_ENCODER, "encoder.layers.0.self_attn.k_proj.weight"},
    {"unet.up_blocks.3.attentions.2.transformer_blocks.0.ff.net.0.proj.lora.down.weight",
     "unet.up_blocks.3.attentions.2.transformer_blocks.0.ff.net.0.proj.lora.up.weight",
     PM_LORA_UNET, "up_blocks.3.attentions.2.transformer_blocks.0.ff.net.0.proj.weight"},
    {"text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.down.weight",
     "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.up.weight",
     PM_LORA_TEXT_ENCODER, "text_model.encoder.layers.0.self_attn.q_proj.weight"},
    {"text_encoder.text_model.encoder.layers.0.self_attn.to_out_lora.down.weight",
     "text_encoder.text_model.encoder.layers.0.self_attn.to_out_lora.up.weight",
     PM_LORA_TEXT_ENCODER, "text_model.encoder.layers.0.self_attn.out_proj.weight"},
    {"unet.up_blocks.1.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora.down.weight",
     "unet.up_blocks.1.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora.up.weight",
     PM_LORA_UNET, "up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight"},
    {"up_blocks.1.attentions.0.transformer_blocks.0.attn2.processor.to_out_lora.down.weight",
     "up_blocks.1.attentions.0.transformer_blocks.0.attn2.processor.to_out_lora.up.weight",
     PM_LORA_UNET, "up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_out.0.weight"},
};

static void every_scheme_of_names_finds_its_layer(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        struct builder b = begin(NULL);
        add_half(&b, schemes[i].up, 2);
        add_half(&b, schemes[i].down, 1);
        struct pm_loras *loras = open_well(&b, 0.75);
        assert_adds(loras, schemes[i].network, schemes[i].layer, 0.75);
        pm_loras_close(loras);
    }
}

static void schemes_may_stand_side_by_side(void **state)
{
    (void)state;
    struct builder b = begin(NULL);
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (i == 2 || i == 4) continue; /* layers that another one has */
        add_half(&b, schemes[i].down, 1);
        add_half(&b, schemes[i].up, 2);
    }
    struct pm_loras *loras = open_well(&b, 1.0);
    struct pm_error err = {0};
    assert_fails(pm_loras_check_all_used(loras, &err), err, "a layer that the model does not have");
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        float w[OUT * IN] = {0};
        if (i == 2 || i == 4) continue;
        assert_ok(
            add_to(w, loras, schemes[i].network, schemes[i].layer, 2, (size_t[]){OUT, IN}, &err),
            err);
        assert_true(w[0] != 0.0f);
    }
    assert_ok(pm_loras_check_all_used(loras, &err), err);
    pm_loras_close(loras);
}

static void another_networks_layer_and_a_bias_are_left_alone(void **state)
{
    (void)state;
    struct builder b = begin(NULL);
    struct pm_error err = {0};
    add_half(&b, "unet.conv.lora_A.weight", 1);
    add_half(&b, "unet.conv.lora_B.weight", 2);
    struct pm_loras *loras = open_well(&b, 1.0);
    float w[OUT * IN] = {0};
    const size_t shape[] = {OUT, IN};
    assert_ok(add_to(w, loras, PM_LORA_TEXT_ENCODER, "conv.weight", 2, shape, &err), err);
    assert_ok(add_to(w, loras, PM_LORA_UNET, "conv.bias", 1, shape, &err), err);
    assert_ok(add_to(w, loras, PM_LORA_UNET, "con.weight", 2, shape, &err), err);
    for (size_t i = 0; i < OUT * IN; i++) assert_true(w[i] == 0.0f);
    assert_fails(pm_loras_check_all_used(loras, &err), err,
                 "\"unet.conv.lora_A.weight\" is for a layer that the model does not have");
    pm_loras_close(loras);
}

static void alpha_over_rank_scales(void **state)
{
    (void)state;
    struct builder b = begin(NULL);
    add_half(&b, "lora_unet_x.lora_down.weight", 1);
    add_half(&b, "lora_unet_x.lora_up.weight", 2);
    add(&b, "lora_unet_x.alpha", "[]", plain_alpha, 1);
    struct pm_loras *loras = open_well(&b, 0.5);
    assert_adds(loras, PM_LORA_UNET, "x.weight", 0.5 * 3.0 / 2.0);
    pm_loras_close(loras);
}

static void pefts_own_settings_count(void **state)
{
    (void)state;
    static const struct {
        const char *metadata;
        double scale;
    } cases[] = {
        {"\"lora_adapter_metadata\": \"{\\\"unet.r\\\": 2, \\\"unet.lora_alpha\\\": 8}\"", 4.0},
        {"\"lora_adapter_metadata\": \"{\\\"lora_alpha\\\": 8, \\\"use_rslora\\\": true}\"",
         8.0 / 1.4142135623730951},
        {"\"lora_adapter_metadata\": \"{\\\"text_encoder.lora_alpha\\\": 8}\"", 1.0},
        {"\"format\": \"pt\"", 1.0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct builder b = begin(cases[i].metadata);
        add_half(&b, "unet.down_blocks.0.lora_A.weight", 1);
        add_half(&b, "unet.down_blocks.0.lora_B.weight", 2);
        struct pm_loras *loras = open_well(&b, 1.0);
        assert_adds(loras, PM_LORA_UNET, "down_blocks.0.weight", cases[i].scale);
        pm_loras_close(loras);
    }
}

/* LoCon: down [rank, in, 3, 3] and up [out, rank, 1, 1]. */
static void a_convolution_gets_its_own_kernel(void **state)
{
    (void)state;
    enum { COLUMNS = IN * KERNEL * KERNEL };
    float down[RANK * COLUMNS], up[OUT * RANK], w[OUT * COLUMNS] = {0}, expected[OUT * COLUMNS];
    struct pm_error err = {0};
    struct builder b = begin(NULL);
    fill_random(down, RANK * COLUMNS, 1);
    fill_random(up, OUT * RANK, 2);
    add(&b, "lora_unet_conv_in.lora_down.weight", "[2,3,3,3]", down, RANK * COLUMNS);
    add(&b, "lora_unet_conv_in.lora_up.weight", "[5,2,1,1]", up, OUT * RANK);
    add(&b, "lora_unet_conv_in.alpha", "[1]", plain_alpha, 1);
    struct pm_loras *loras = open_well(&b, 1.0);
    memcpy(expected, w, sizeof w);
    plain_add(expected, 1.5, COLUMNS);
    assert_ok(add_to(w, loras, PM_LORA_UNET, "conv_in.weight", 4,
                     (size_t[]){OUT, IN, KERNEL, KERNEL}, &err),
              err);
    assert_true(max_difference(w, expected, OUT * COLUMNS) < 1e-6);
    pm_loras_close(loras);
}

static void a_linear_may_be_a_1x1_convolution(void **state)
{
    (void)state;
    float down[RANK * IN], up[OUT * RANK];
    struct builder b = begin(NULL);
    fill_random(down, RANK * IN, 1);
    fill_random(up, OUT * RANK, 2);
    add(&b, "lora_unet_p.lora_down.weight", "[2,3,1,1]", down, RANK * IN);
    add(&b, "lora_unet_p.lora_up.weight", "[5,2,1,1]", up, OUT * RANK);
    struct pm_loras *loras = open_well(&b, 1.0);
    assert_adds(loras, PM_LORA_UNET, "p.weight", 1.0);
    float w[OUT * IN] = {0};
    struct pm_error err = {0};
    assert_ok(add_to(w, loras, PM_LORA_UNET, "p.weight", 4, (size_t[]){OUT, IN, 1, 1}, &err), err);
    assert_true(w[0] != 0.0f);
    pm_loras_close(loras);
}

static void another_shape_is_refused_with_all_three(void **state)
{
    (void)state;
    static const struct {
        size_t rank, shape[4];
    } others[] = {{2, {OUT, IN + 1}}, {2, {OUT + 1, IN}}, {1, {OUT}}, {4, {OUT, IN, 3, 3}}};
    struct builder b = begin(NULL);
    struct pm_error err = {0};
    add_half(&b, "unet.x.lora_A.weight", 1);
    add_half(&b, "unet.x.lora_B.weight", 2);
    struct pm_loras *loras = open_well(&b, 1.0);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        float w[(OUT + 1) * (IN + 1) * 9] = {0};
        assert_fails(
            add_to(w, loras, PM_LORA_UNET, "x.weight", others[i].rank, others[i].shape, &err), err,
            "\"unet.x.lora_A.weight\" is [2,3] and its other half [5,2]; its layer is [");
        if (i == 0) assert_non_null(strstr(err.message, "its layer is [5,4]"));
    }
    pm_loras_close(loras);
    /* halves of different ranks */
    float up[OUT * (RANK + 1)] = {0}, w[OUT * IN] = {0};
    b = begin(NULL);
    add_half(&b, "unet.x.lora_A.weight", 1);
    add(&b, "unet.x.lora_B.weight", "[5,3]", up, OUT * (RANK + 1));
    loras = open_well(&b, 1.0);
    assert_fails(add_to(w, loras, PM_LORA_UNET, "x.weight", 2, (size_t[]){OUT, IN}, &err), err,
                 "[2,3] and its other half [5,3]");
    pm_loras_close(loras);
}

static void half_a_pair_is_refused(void **state)
{
    (void)state;
    struct builder b = begin(NULL);
    add_half(&b, "unet.x.lora_A.weight", 1);
    assert_refused(&b, "\"unet.x.lora_A.weight\" lacks its other half, the up (lora_B) matrix");
    b = begin(NULL);
    add_half(&b, "lora_unet_x.lora_up.weight", 2);
    add(&b, "lora_unet_x.alpha", "[]", plain_alpha, 1);
    assert_refused(&b, "\"lora_unet_x.lora_up.weight\" lacks its other half, the down (lora_A)");
    b = begin(NULL);
    add(&b, "lora_unet_x.alpha", "[]", plain_alpha, 1);
    assert_refused(&b, "\"lora_unet_x.alpha\" lacks its other half");
}

static void a_layer_with_two_schemes_is_refused(void **state)
{
    (void)state;
    struct builder b = begin(NULL);
    add_half(&b, "unet.x.lora_A.weight", 1);
    add_half(&b, "unet.x.lora.up.weight", 2);
    assert_refused(&b, "its other half \"unet.x.lora.up.weight\" in diffusers' lora.down");
    b = begin(NULL);
    add_half(&b, "unet.x.lora_A.weight", 1);
    add_half(&b, "unet.x.lora_B.weight", 2);
    add_half(&b, "unet.x.lora.down.weight", 1);
    add_half(&b, "unet.x.lora.up.weight", 2);
    assert_refused(&b, "are of one layer; a pair for each is wanted");
}

static void foreign_keys_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const keys[][2] = {
        {"lora_unet_x.hada_w1_a", "\"lora_unet_x.hada_w1_a\" is of LoHa"},
        {"lora_unet_x.lokr_w1", "LoKr"},
        {"lora_unet_x.dora_scale", "DoRA"},
        {"lora_unet_x.lora_mid.weight", "Tucker"},
        {"lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight", "SDXL"},
        {"unet.x.lora_down.weight", "is not how a LoRA's tensors are called"},
        {"lora_unet_x.lora_A.weight", "is not how a LoRA's tensors are called"},
        {"lora_unet_.lora_down.weight", "is not how a LoRA's tensors are called"},
        {"unet.x.weight", "\"unet.x.weight\" is not how a LoRA's tensors are called"},
        {"vae.x.lora_A.weight", "is not how a LoRA's tensors are called"}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct builder b = begin(NULL);
        add_half(&b, keys[i][0], 1);
        assert_refused(&b, keys[i][1]);
    }
    struct builder dora =
        begin("\"lora_adapter_metadata\": \"{\\\"unet.use_dora\\\": true, \\\"unet.r\\\": 2}\"");
    add_half(&dora, "unet.x.lora_A.weight", 1);
    assert_refused(&dora, "has unet.use_dora: not supported");
    struct builder text =
        begin("\"lora_adapter_metadata\": \"{\\\"unet.lora_alpha\\\": \\\"8\\\"}\"");
    add_half(&text, "unet.x.lora_A.weight", 1);
    assert_refused(&text, "its lora_adapter_metadata says unet.lora_alpha is a string");
}

static void an_alpha_that_is_no_number_is_refused(void **state)
{
    (void)state;
    const float wrong[] = {NAN, 1.0f};
    for (size_t i = 0; i < 2; i++) {
        struct builder b = begin(NULL);
        add_half(&b, "lora_unet_x.lora_down.weight", 1);
        add_half(&b, "lora_unet_x.lora_up.weight", 2);
        add(&b, "lora_unet_x.alpha", i ? "[2]" : "[]", wrong, i + 1);
        assert_refused(&b, "\"lora_unet_x.alpha\" is not one finite number");
    }
}

static void numbers_that_are_no_floats_are_refused(void **state)
{
    (void)state;
    struct builder b = begin(NULL);
    add_half(&b, "lora_unet_x.lora_down.weight", 1);
    add_half(&b, "lora_unet_x.lora_up.weight", 2);
    char *type = strstr(strstr(b.header, "lora_up"), "F32");
    memcpy(type, "I32", 3);
    assert_refused(&b, "\"lora_unet_x.lora_up.weight\" is I32; F32, F16 or BF16 is wanted");
}

static void a_file_without_tensors_is_refused(void **state)
{
    (void)state;
    struct builder b = begin(NULL);
    assert_refused(&b, "has no tensors");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_scheme_of_names_finds_its_layer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(schemes_may_stand_side_by_side, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_networks_layer_and_a_bias_are_left_alone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(alpha_over_rank_scales, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pefts_own_settings_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_convolution_gets_its_own_kernel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_linear_may_be_a_1x1_convolution, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_shape_is_refused_with_all_three, set_up, tear_down),
        cmocka_unit_test_setup_teardown(half_a_pair_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_layer_with_two_schemes_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(foreign_keys_are_refused_by_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_alpha_that_is_no_number_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_that_are_no_floats_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_without_tensors_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
