#include "pm/model/text_encoder.h"

#include "pm/model/component_config.h"
#include "pm/model/linear.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool read_config(struct pm_text_encoder *e, const json_t *config, const char *path,
                        struct pm_error *err)
{
    static const char *const activations[] = {"quick_gelu", "gelu", NULL};
    static const enum pm_activation kinds[] = {PM_QUICK_GELU, PM_GELU};
    size_t positions = PM_TOKENS;
    double eps = 1e-5;
    int activation = 0;
    /* transformers' defaults */
    *e = (struct pm_text_encoder){
        .vocabulary = 49408, .channels = 512, .feed_channels = 2048, .heads = 8, .layer_count = 12};
    const char *model_type = "clip_text_model";
    if (!json_is_object(config))
        return pm_fail(err, PM_E_FORMAT, "%s: an object {...} is wanted, not %s", path,
                       pm_json_kind(config));
    PM_TRY(pm_json_string(config, path, "model_type", &model_type, err));
    PM_TRY(pm_json_size(config, path, "vocab_size", 1, 1 << 20, &e->vocabulary, err));
    PM_TRY(pm_json_size(config, path, "hidden_size", 1, 8192, &e->channels, err));
    PM_TRY(pm_json_size(config, path, "intermediate_size", 1, 65536, &e->feed_channels, err));
    PM_TRY(pm_json_size(config, path, "num_attention_heads", 1, 256, &e->heads, err));
    PM_TRY(pm_json_size(config, path, "num_hidden_layers", 1, 128, &e->layer_count, err));
    PM_TRY(pm_json_size(config, path, "max_position_embeddings", 1, 4096, &positions, err));
    PM_TRY(pm_json_number(config, path, "layer_norm_eps", 0.0, 1.0, &eps, err));
    PM_TRY(pm_json_choice(config, path, "hidden_act", activations, &activation, err));
    e->eps = (float)eps;
    e->activation = kinds[activation];
    if (strcmp(model_type, "clip_text_model") != 0)
        return pm_fail(err, PM_E_FORMAT,
                       "%s: \"model_type\" is \"%s\"; only clip_text_model is supported", path,
                       model_type);
    if (positions != PM_TOKENS)
        return pm_fail(err, PM_E_FORMAT,
                       "%s: \"max_position_embeddings\" is %zu; only %d is supported", path,
                       positions, PM_TOKENS);
    if (e->channels % e->heads != 0)
        return pm_fail(err, PM_E_FORMAT, "%s: \"hidden_size\" %zu is no multiple of its %zu heads",
                       path, e->channels, e->heads);
    return true;
}

static bool load_layer(struct pm_text_layer *layer, const struct pm_text_encoder *e,
                       struct pm_weights *weights, const char *prefix, size_t index,
                       struct pm_error *err)
{
    static const char *const qkv[] = {"q_proj", "k_proj", "v_proj", NULL};
    char name[96];
    snprintf(name, sizeof name, "%sencoder.layers.%zu", prefix, index);
    size_t c = e->channels;
    PM_TRY(pm_weights_norm(&layer->norm1, weights, c, err, "%s.layer_norm1", name));
    PM_TRY(pm_weights_fused_linear(&layer->qkv, weights, c, c, PM_BIAS, qkv, err, "%s.self_attn",
                                   name));
    PM_TRY(
        pm_weights_linear(&layer->out, weights, c, c, PM_BIAS, err, "%s.self_attn.out_proj", name));
    PM_TRY(pm_weights_norm(&layer->norm2, weights, c, err, "%s.layer_norm2", name));
    PM_TRY(pm_weights_linear(&layer->feed_in, weights, e->feed_channels, c, PM_BIAS, err,
                             "%s.mlp.fc1", name));
    return pm_weights_linear(&layer->feed_out, weights, c, e->feed_channels, PM_BIAS, err,
                             "%s.mlp.fc2", name);
}

static bool load_weights(struct pm_text_encoder *e, struct pm_weights *weights,
                         struct pm_error *err)
{
    /* published files name everything below "text_model."; newer transformers leave it out */
    e->added_first = e->vocabulary;
    const char *prefix =
        pm_weights_has(weights, "text_model.final_layer_norm.weight") ? "text_model." : "";
    PM_TRY(pm_weights_floats(&e->token_embedding, weights, e->vocabulary, e->channels, err,
                             "%sembeddings.token_embedding.weight", prefix));
    PM_TRY(pm_weights_floats(&e->position_embedding, weights, PM_TOKENS, e->channels, err,
                             "%sembeddings.position_embedding.weight", prefix));
    e->layers = pm_arena_bytes(weights->layers, e->layer_count * sizeof *e->layers);
    for (size_t i = 0; i < e->layer_count; i++)
        PM_TRY(load_layer(&e->layers[i], e, weights, prefix, i, err));
    PM_TRY(
        pm_weights_norm(&e->final_norm, weights, e->channels, err, "%sfinal_layer_norm", prefix));
    return pm_weights_check_all_used(weights, err);
}

bool pm_text_encoder_load_from(struct pm_text_encoder *out, const struct pm_component *component,
                               struct pm_loras *loras, struct pm_arena *memory,
                               struct pm_error *err)
{
    struct pm_weights weights;
    PM_TRY(read_config(out, component->config, component->path, err));
    pm_weights_open(&weights, component, memory);
    weights.loras = loras;
    weights.network = PM_LORA_TEXT_ENCODER;
    bool ok = load_weights(out, &weights, err);
    pm_weights_close(&weights);
    return ok;
}

bool pm_text_encoder_load(struct pm_text_encoder *out, const char *folder, struct pm_arena *memory,
                          struct pm_error *err)
{
    struct pm_component component;
    PM_TRY(pm_component_open(&component, folder, PM_TEXT_ENCODER, err));
    bool ok = pm_text_encoder_load_from(out, &component, NULL, memory, err);
    pm_component_close(&component);
    return ok;
}

static void layer_forward(float *x, const struct pm_text_encoder *e,
                          const struct pm_text_layer *layer, size_t prompts,
                          struct pm_arena *scratch)
{
    const struct pm_kernels *k = pm_kernels();
    size_t mark = scratch->used, c = e->channels, rows = prompts * PM_TOKENS;
    float *normed = pm_arena_floats(scratch, rows * c);
    float *qkv = pm_arena_floats(scratch, rows * 3 * c);
    float *feed = pm_arena_floats(scratch, rows * e->feed_channels);
    struct pm_attention_shape shape = {.batch = prompts,
                                       .heads = e->heads,
                                       .head_size = c / e->heads,
                                       .queries = PM_TOKENS,
                                       .keys = PM_TOKENS,
                                       .q_stride = 3 * c,
                                       .k_stride = 3 * c,
                                       .v_stride = 3 * c,
                                       .out_stride = c,
                                       .causal = true};
    shape.scale = 1.0f / sqrtf((float)shape.head_size);
    k->layer_norm(normed, x, layer->norm1.gamma, layer->norm1.beta, rows, c, e->eps);
    pm_linear_forward(qkv, normed, &layer->qkv, rows, PM_IDENTITY, NULL, scratch);
    k->attention(normed, qkv, qkv + c, qkv + 2 * c, &shape, scratch);
    pm_linear_forward(x, normed, &layer->out, rows, PM_IDENTITY, x, scratch);

    k->layer_norm(normed, x, layer->norm2.gamma, layer->norm2.beta, rows, c, e->eps);
    pm_linear_forward(feed, normed, &layer->feed_in, rows, e->activation, NULL, scratch);
    pm_linear_forward(x, feed, &layer->feed_out, rows, PM_IDENTITY, x, scratch);
    scratch->used = mark;
}

void pm_text_encoder_add(struct pm_text_encoder *e, size_t first, const float *vectors,
                         size_t count)
{
    PM_ASSERT(e->added_count == 0 && first <= e->vocabulary);
    e->added_embedding = vectors;
    e->added_first = first;
    e->added_count = count;
}

/* One token's vector, [channels]. */
static const float *embedding(const struct pm_text_encoder *e, int32_t id)
{
    PM_ASSERT(id >= 0 && (size_t)id < e->added_first + e->added_count);
    size_t index = (size_t)id;
    return index < e->added_first ? e->token_embedding + index * e->channels
                                  : e->added_embedding + (index - e->added_first) * e->channels;
}

void pm_text_encoder_forward(float *context, const struct pm_text_encoder *e, const int32_t *ids,
                             size_t prompts, float *hidden, struct pm_arena *scratch)
{
    size_t mark = scratch->used, c = e->channels, rows = prompts * PM_TOKENS;
    float *x = pm_arena_floats(scratch, rows * c);
    for (size_t r = 0; r < rows; r++) {
        const float *token = embedding(e, ids[r]);
        const float *position = e->position_embedding + r % PM_TOKENS * c;
        for (size_t i = 0; i < c; i++) x[r * c + i] = token[i] + position[i];
    }
    for (size_t i = 0; i < e->layer_count; i++) {
        if (hidden) memcpy(hidden + i * rows * c, x, rows * c * sizeof *x);
        layer_forward(x, e, &e->layers[i], prompts, scratch);
    }
    if (hidden) memcpy(hidden + e->layer_count * rows * c, x, rows * c * sizeof *x);
    pm_kernels()->layer_norm(context, x, e->final_norm.gamma, e->final_norm.beta, rows, c, e->eps);
    scratch->used = mark;
}
