/* "profile": the defaults of published programs. docs/profiles.md says where each is from. */
#include "config_impl.h"

#include <string.h>

static const struct {
    const char *name;
    const char *json; /* keys of the config; of "defaults", keys of the manifest */
} profiles[] = {
    {"ptp-stable",
     "{\"steps\": 50, \"guidance_scale\": 7.5, \"scheduler\": \"pndm\", \"negative_prompt\": \"\","
     " \"defaults\": {\"seed\": 8888, \"noise\": \"torch\", \"cross_replace_steps\": 0.8,"
     " \"self_replace_steps\": 0.4, \"self_replace_max_side\": 0.25, \"mapper\": \"reference\","
     " \"local_blend.threshold\": 0.3, \"local_blend.start\": 0.0}}"},
    {"ptp-null-text",
     "{\"steps\": 50, \"guidance_scale\": 7.5, \"scheduler\": \"ddim\", \"negative_prompt\": \"\","
     " \"defaults\": {\"seed\": 8888, \"noise\": \"torch\", \"cross_replace_steps\": 0.8,"
     " \"self_replace_steps\": 0.5, \"self_replace_max_side\": 0.5, \"mapper\": \"reference\","
     " \"local_blend.threshold\": 0.3, \"local_blend.start\": 0.2, \"fit\": \"crop\","
     " \"inversion\": {\"method\": \"null-text\", \"inner_steps\": 10, \"epsilon\": 1e-5,"
     " \"epsilon_growth\": 2e-5, \"learning_rate\": 0.01, \"learning_rate_decay\": 0.01}}}"},
    {"pnpinversion",
     "{\"steps\": 50, \"guidance_scale\": 7.5, \"scheduler\": \"ddim\", \"negative_prompt\": \"\","
     " \"defaults\": {\"seed\": 1234, \"noise\": \"torch\", \"edit\": \"refine\","
     " \"cross_replace_steps\": 0.4, \"self_replace_steps\": 0.6, \"self_replace_max_side\": 0.5,"
     " \"mapper\": \"reference\", \"local_blend.threshold\": 0.3, \"local_blend.start\": 0.2,"
     " \"fit\": \"crop\", \"inversion\": \"direct\"}}"},
    {"ip2p",
     "{\"steps\": 100, \"guidance_scale\": 7.5, \"scheduler\": \"ddim\", \"negative_prompt\": \"\","
     " \"defaults\": {\"noise\": \"torch\", \"edit\": \"refine\", \"cross_replace_steps\": 0.0,"
     " \"self_replace_steps\": 0.5, \"self_replace_max_side\": 1.0}}"},
};
enum { PROFILES = sizeof profiles / sizeof *profiles };

static const json_t *said(const json_t *config, const char *key)
{
    const json_t *defaults = json_object_get(config, "defaults");
    const json_t *value = json_object_get(defaults, key);
    return value ? value : json_object_get(config, key); /* seed and noise may stand there */
}

/* What a profile says of manifest keys, where the config does not; one of two ways to say how large
 * maps are replaced is as good as the other. */
static void take_defaults(json_t *config, json_t *of_profile)
{
    const char *key;
    json_t *value;
    pm_json_set_missing(config, "defaults", json_object());
    json_t *defaults = json_object_get(config, "defaults");
    if (!json_is_object(defaults)) return;
    if (said(config, "self_replace_max_pixels"))
        json_object_del(of_profile, "self_replace_max_side");
    json_object_foreach(of_profile, key, value)
    {
        if (!said(config, key)) json_object_set(defaults, key, value);
    }
}

bool pm_config_take_profile(json_t *config, const char *where, struct pm_error *err)
{
    const char *names[PROFILES + 1] = {NULL}, *key;
    int chosen = -1;
    json_t *value;
    for (size_t i = 0; i < PROFILES; i++) names[i] = profiles[i].name;
    PM_TRY(pm_json_choice(config, where, "profile", names, &chosen, err));
    if (chosen < 0) return true;
    json_t *profile = json_loads(profiles[chosen].json, 0, NULL);
    PM_ASSERT(profile);
    take_defaults(config, json_object_get(profile, "defaults"));
    json_object_foreach(profile, key, value)
    {
        pm_json_set_missing(config, key, json_incref(value));
    }
    json_decref(profile);
    return true;
}
