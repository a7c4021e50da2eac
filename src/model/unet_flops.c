#include "pm/model/unet_flops.h"

static double conv_flops(double in, double out, double kernel, double pixels)
{
    return 2.0 * in * out * kernel * kernel * pixels;
}

static double resnet_flops(const struct pm_resnet *r, double pixels)
{
    double flops = conv_flops((double)r->in, (double)r->out, 3.0, pixels) +
                   conv_flops((double)r->out, (double)r->out, 3.0, pixels);
    if (r->has_shortcut) flops += conv_flops((double)r->in, (double)r->out, 1.0, pixels);
    return flops;
}

/* Of the tokens' side, keys and values are made once a prompt, not in each evaluation. */
static double transformer_flops(const struct pm_transformer *t, double pixels, double tokens)
{
    double channels = (double)t->channels;
    double linear = 3.0 + 1.0 + 1.0 + 1.0 + 8.0 + 4.0; /* qkv, out; q, out; feed in, out */
    double block = 2.0 * linear * channels * channels * pixels +
                   2.0 * 2.0 * pixels * (pixels + tokens) * channels;
    return 2.0 * 2.0 * channels * channels * pixels + (double)t->depth * block;
}

static double layers_flops(const struct pm_unet_block *block, double pixels, double tokens)
{
    double flops = 0.0;
    for (size_t i = 0; i < block->layers; i++) {
        flops += resnet_flops(&block->resnets[i], pixels);
        if (block->attends) flops += transformer_flops(&block->transformers[i], pixels, tokens);
    }
    return flops;
}

double pm_unet_flops(const struct pm_unet *unet, size_t height, size_t width, size_t tokens)
{
    const struct pm_unet_config *c = &unet->config;
    double flops = 0.0, n = (double)tokens, pixels[PM_MAX_LEVELS] = {0};
    for (size_t i = 0; i < c->levels; i++) {
        pixels[i] = (double)height * (double)width;
        height = (height + 1) / 2;
        width = (width + 1) / 2;
    }
    double first = (double)c->channels[0], ends = (double)c->in_channels + (double)c->out_channels;
    flops += conv_flops(ends, first, 3.0, pixels[0]);
    for (size_t i = 0; i < c->levels; i++) {
        size_t up = c->levels - 1 - i; /* of the block that comes i-th on the way up */
        double down_channels = (double)c->channels[i], up_channels = (double)c->channels[up];
        flops += layers_flops(&unet->down[i], pixels[i], n);
        flops += layers_flops(&unet->up[i], pixels[up], n);
        if (unet->down[i].resamples)
            flops += conv_flops(down_channels, down_channels, 3.0, pixels[i + 1]);
        if (unet->up[i].resamples)
            flops += conv_flops(up_channels, up_channels, 3.0, pixels[up - 1]);
    }
    double coarsest = pixels[c->levels - 1];
    for (size_t i = 0; i < 2; i++) flops += resnet_flops(&unet->mid.resnets[i], coarsest);
    return flops + transformer_flops(&unet->mid.transformers[0], coarsest, n);
}
