/* promptmill config CONFIG: what a run will go by, in full. */
#include "config_options.h"
#include "verbs.h"

#include "pm/runtime/exit_status.h"

#include <stdio.h>
#include <stdlib.h>

static const char doc[] = "\nPrint a config with its flags laid over it and everything explicit: "
                          "the JSON that a run keeps in its store, or one value of it.";

/* Strings as they are; a value that is not there as nothing. */
static void print_value(const json_t *value)
{
    char *text = json_is_string(value) || !value ? NULL : pm_json_text(value);
    if (text)
        printf("%s\n", text);
    else if (value)
        printf("%s\n", json_string_value(value));
    free(text);
}

int verb_config(int argc, char **argv)
{
    struct config_options options;
    struct pm_config config = {0};
    struct pm_error err = {0};
    bool helped;
    if (!config_options_parse(&options, argc, argv, doc, CONFIG_GET, true, &helped))
        return PM_EXIT_INPUT;
    if (helped) return PM_EXIT_DONE;
    pm_log_init(options.log_level, 0, 1);
    const json_t *value = NULL;
    bool ok = pm_config_load(&config, options.config_path, options.overrides,
                             options.override_count, &err);
    ok = ok && (!options.key || pm_config_value(&value, &config, options.key, &err));
    if (!ok) {
        pm_log(PM_LOG_ERROR, "%s", err.message);
        pm_config_free(&config);
        return PM_EXIT_INPUT;
    }
    if (options.key) {
        print_value(value);
    } else {
        char *text = pm_config_text(&config);
        printf("%s\n", text);
        free(text);
    }
    pm_config_free(&config);
    return PM_EXIT_DONE;
}
