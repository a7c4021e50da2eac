#include "pm/model/component.h"

#include "pm/model/component_config.h"

#include <stdlib.h>
#include <string.h>

const char *pm_network_name(enum pm_network network)
{
    static const char *const names[] = {
        [PM_UNET] = "unet", [PM_VAE] = "vae", [PM_TEXT_ENCODER] = "text_encoder"};
    return names[network];
}

const char *pm_network_stem(enum pm_network network)
{
    return network == PM_TEXT_ENCODER ? "model" : "diffusion_pytorch_model";
}

bool pm_component_open(struct pm_component *out, const char *folder, enum pm_network network,
                       struct pm_error *err)
{
    char path[PM_CONFIG_PATH_BYTES];
    *out = (struct pm_component){0};
    PM_TRY(pm_config_path(path, folder, err));
    PM_TRY(pm_json_load(&out->config, path, PM_CONFIG_MAX_BYTES, err));
    out->path = strdup(path);
    if (!out->path) pm_die("no memory for a path");
    if (pm_tensor_set_open(&out->set, folder, pm_network_stem(network), err)) return true;
    pm_component_close(out);
    return false;
}

void pm_component_close(struct pm_component *component)
{
    pm_tensor_set_close(&component->set);
    json_decref(component->config);
    free(component->path);
    *component = (struct pm_component){0};
}
