#include "test.h"

#include "scenes_tokenizer.h"
#include "temporary.h"

#include "pm/control/align.h"
#include "pm/control/words.h"
#include "pm/model/embeddings.h"

#include <stdio.h>
#include <string.h>

enum { VECTORS = 3, CHANNELS = 4 };

static const float vectors[VECTORS * CHANNELS] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
static size_t own_tokens;

static int set_up(void **state)
{
    if (load_tokenizer(state) != 0) return -1;
    own_tokens = pm_tokenizer_size(tokenizer);
    return temporary_make(state);
}

static int tear_down(void **state)
{
    free_tokenizer(state);
    return temporary_remove(state);
}

static bool open_file(struct pm_embeddings **out, const char *key, const char *shape,
                      const char *token, struct pm_error *err)
{
    char header[512];
    size_t count = strcmp(shape, "[4]") == 0 ? 4 : 12;
    snprintf(header, sizeof header,
             "{\"%s\": {\"dtype\": \"F32\", \"shape\": %s, \"data_offsets\": [0, %zu]}}", key,
             shape, 4 * count);
    temporary_write_safetensors("word.safetensors", header, vectors, 4 * count);
    const struct pm_embedding_file file = {.path = temporary_path("word.safetensors"),
                                           .token = token};
    return pm_embeddings_open(out, &file, 1, err);
}

static void teach(const char *token, size_t count)
{
    struct pm_error err = {0};
    assert_ok(pm_tokenizer_add_word(tokenizer, token, count, &err), err);
}

static struct pm_tokens tokens_of(const char *prompt)
{
    struct pm_tokens tokens;
    struct pm_error err = {0};
    assert_ok(pm_tokenize(&tokens, tokenizer, prompt, &err), err);
    return tokens;
}

static void a_word_of_three_vectors_is_three_tokens_of_one_word(void **state)
{
    (void)state;
    teach("<Cat-Toy>", 3);
    int32_t first = (int32_t)own_tokens;
    struct pm_tokens plain = tokens_of("a on a meadow"), t = tokens_of("a <cat-toy> on a meadow");
    assert_int_equal(t.count, plain.count + 3);
    assert_int_equal(t.ids[1], plain.ids[1]);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(t.ids[2 + i], first + i);
        assert_int_equal(t.word[2 + i], 1);
    }
    assert_int_equal(t.word[5], 2);
    assert_memory_equal(t.ids + 5, plain.ids + 2, (PM_TOKENS - 5) * sizeof *t.ids);
    assert_string_equal(pm_token_text(tokenizer, first), "<Cat-Toy>");
    assert_string_equal(pm_token_text(tokenizer, first + 2), "<Cat-Toy>_2");
    assert_null(pm_token_text(tokenizer, first + 3));
    assert_int_equal(pm_tokenizer_size(tokenizer), own_tokens + 3);
}

static void a_single_vector_is_named_by_its_token(void **state)
{
    (void)state;
    teach("<x>", 2);
    struct pm_tokens t = tokens_of("<x>_1 and,<X>!");
    assert_int_equal(t.ids[1], own_tokens + 1);
    size_t at = 1;
    while (t.ids[at] != (int32_t)own_tokens) at++;
    assert_int_equal(t.ids[at + 1], own_tokens + 1);
    assert_int_equal(t.word[at], 1);
}

static void several_words_get_ids_in_order(void **state)
{
    (void)state;
    teach("<a>", 2);
    teach("<b>", 1);
    struct pm_tokens t = tokens_of("<b> <a>");
    const int32_t ids[] = {(int32_t)own_tokens + 2, (int32_t)own_tokens, (int32_t)own_tokens + 1};
    assert_memory_equal(t.ids + 1, ids, sizeof ids);
}

static void blends_windows_and_alignment_see_it_as_a_word(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_token_set set;
    static float map[PM_TOKENS * PM_TOKENS];
    teach("<cat-toy>", 2);
    const char *source = "a ball on a meadow", *target = "a <cat-toy> on a meadow";
    struct pm_tokens s = tokens_of(source), t = tokens_of(target);
    assert_ok(pm_words_find(&set, target, &t, "<cat-toy>", &err), err);
    assert_int_equal(set.count, 2);
    assert_true(set.has[2] && set.has[3]);
    assert_ok(pm_align_replace(map, source, &s, target, &t, PM_MAPPER_CORRECTED, &err), err);
    for (size_t w = 2; s.word[w] == 1; w++)
        assert_true(map[w * PM_TOKENS + 2] == map[w * PM_TOKENS + 3] &&
                    map[w * PM_TOKENS + 2] > 0.0f);
    int from[PM_TOKENS];
    float alpha[PM_TOKENS];
    pm_align_refine(from, alpha, &s, &t);
    assert_true(alpha[1] == 1.0f && alpha[2] == 0.0f && alpha[3] == 0.0f && alpha[4] == 1.0f);
}

static void a_word_that_cannot_be_new_is_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    char longest[202];
    memset(longest, 'x', 201);
    longest[201] = '\0';
    assert_fails(pm_tokenizer_add_word(tokenizer, "ball", 1, &err), err,
                 "the new word \"ball\" is a token that the tokenizer has already");
    assert_fails(pm_tokenizer_add_word(tokenizer, "<|endoftext|>", 1, &err), err, "has already");
    assert_fails(pm_tokenizer_add_word(tokenizer, "", 1, &err), err, "has 0 bytes; 1 to 200");
    assert_fails(pm_tokenizer_add_word(tokenizer, longest, 1, &err), err, "has 201 bytes");
    assert_fails(pm_tokenizer_add_word(tokenizer, "cat toy", 1, &err), err, "has white space");
    assert_fails(pm_tokenizer_add_word(tokenizer, "\xFF", 1, &err), err, "is not UTF-8");
    teach("<a>", 2);
    assert_fails(pm_tokenizer_add_word(tokenizer, "<A>", 1, &err), err, "has already");
    assert_fails(pm_tokenizer_add_word(tokenizer, "<a>_1", 1, &err), err, "has already");
    assert_int_equal(pm_tokenizer_size(tokenizer), own_tokens + 2);
}

static void files_give_their_vectors_and_word(void **state)
{
    (void)state;
    static const char *const cases[][4] = {/* key, shape, token asked for, word */
                                           {"<cat-toy>", "[3,4]", NULL, "<cat-toy>"},
                                           {"<cat-toy>", "[4]", NULL, "<cat-toy>"},
                                           {"<cat-toy>", "[3,4]", "<mine>", "<mine>"},
                                           {"emb_params", "[3,4]", "<mine>", "<mine>"}};
    struct pm_arena memory;
    pm_arena_init(&memory, 1 << 16);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pm_embeddings *e = NULL;
        struct pm_error err = {0};
        const float *out;
        struct pm_tokenizer *t;
        size_t count = i == 1 ? 1 : VECTORS;
        assert_ok(open_file(&e, cases[i][0], cases[i][1], cases[i][2], &err), err);
        assert_int_equal(pm_embeddings_count(e), count);
        assert_ok(pm_embeddings_vectors(&out, e, CHANNELS, &memory, &err), err);
        assert_memory_equal(out, vectors, count * CHANNELS * sizeof *out);
        assert_fails(pm_embeddings_vectors(&out, e, CHANNELS + 1, &memory, &err), err,
                     "its vectors have 4 channels, the text encoder's 5");
        assert_ok(pm_tokenizer_load(&t, "models/scenes/tokenizer", &err), err);
        assert_ok(pm_embeddings_add_words(e, t, &err), err);
        assert_string_equal(pm_token_text(t, (int32_t)own_tokens), cases[i][3]);
        pm_tokenizer_free(t);
        pm_embeddings_close(e);
    }
    pm_arena_free(&memory);
}

/* A prompt has 77 tokens, two of them its start and its end. */
static void a_word_of_more_vectors_than_a_prompt_has_room_for_is_refused(void **state)
{
    (void)state;
    struct pm_embeddings *e;
    struct pm_error err = {0};
    static const float many[76];
    temporary_write_safetensors("many.safetensors",
                                "{\"<a>\": {\"dtype\": \"F32\", \"shape\": [76, 1], "
                                "\"data_offsets\": [0, 304]}}",
                                many, sizeof many);
    const struct pm_embedding_file file = {.path = temporary_path("many.safetensors")};
    assert_fails(pm_embeddings_open(&e, &file, 1, &err), err,
                 "many.safetensors: \"<a>\" has 76 vectors; a prompt has room for 75");
}

static void a_word_that_the_tokenizer_has_is_refused_with_its_file(void **state)
{
    (void)state;
    struct pm_embeddings *e = NULL;
    struct pm_error err = {0};
    assert_ok(open_file(&e, "emb_params", "[3,4]", "ball", &err), err);
    assert_fails(pm_embeddings_add_words(e, tokenizer, &err), err, "word.safetensors: ");
    assert_non_null(strstr(err.message, "has already"));
    pm_embeddings_close(e);
}

static void files_that_are_no_embedding_are_refused(void **state)
{
    (void)state;
    struct pm_embeddings *e;
    struct pm_error err = {0};
    static const char two[] = "{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": "
                              "[0, 4]}, \"%s\": {\"dtype\": \"F32\", \"shape\": [1], "
                              "\"data_offsets\": [4, 8]}}";
    char header[256];
    assert_fails(open_file(&e, "emb_params", "[3,4]", NULL, &err), err,
                 "word.safetensors does not say for which word it is");
    assert_fails(open_file(&e, "<a>", "[3,2,2]", NULL, &err), err,
                 "\"<a>\" is no list of vectors [n, channels]");
    const struct pm_embedding_file file = {.path = temporary_path("two.safetensors")};
    snprintf(header, sizeof header, two, "b");
    temporary_write_safetensors("two.safetensors", header, vectors, 8);
    assert_fails(pm_embeddings_open(&e, &file, 1, &err), err,
                 "has 2 tensors; an embedding has one");
    snprintf(header, sizeof header, two, "clip_g");
    temporary_write_safetensors("two.safetensors", header, vectors, 8);
    assert_fails(pm_embeddings_open(&e, &file, 1, &err), err, "is an embedding for SDXL");
    static const unsigned char zip[16] = "PK\003\004 archive/", pickle[16] = "\x80\x02\x8A\nl\xFC";
    temporary_write("two.safetensors", zip, sizeof zip);
    assert_fails(pm_embeddings_open(&e, &file, 1, &err), err, "is a pickled file of PyTorch's");
    temporary_write("two.safetensors", pickle, sizeof pickle);
    assert_fails(pm_embeddings_open(&e, &file, 1, &err), err, "is a pickled file of PyTorch's");
}

static void more_tokens_than_a_prompt_has_are_counted(void **state)
{
    (void)state;
    struct pm_tokens t;
    struct pm_error err = {0};
    teach("<long>", 75);
    assert_int_equal(tokens_of("<long>").count, PM_TOKENS);
    assert_fails(pm_tokenize(&t, tokenizer, "a <long>", &err), err, "has 78 tokens");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_word_of_three_vectors_is_three_tokens_of_one_word, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_single_vector_is_named_by_its_token, set_up, tear_down),
        cmocka_unit_test_setup_teardown(several_words_get_ids_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(blends_windows_and_alignment_see_it_as_a_word, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_word_that_cannot_be_new_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_give_their_vectors_and_word, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_word_of_more_vectors_than_a_prompt_has_room_for_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_word_that_the_tokenizer_has_is_refused_with_its_file,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_that_are_no_embedding_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_tokens_than_a_prompt_has_are_counted, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
