#!/usr/bin/env python3
"""Seconds of what a user would run instead, at the size of Stable Diffusion 1.5: a UNet pass, a picture's decoding.

Random weights of the real shape (timing does not depend on their values), 64x64 latents, 77 tokens.

  diffusers       torch, scaled_dot_product_attention: the fastest plain pass, no access to attention maps
  diffusers-p2p   torch, attention maps made, and handed to Python, as every published Prompt-to-Prompt
                  implementation does
  openvino        the UNet converted and run by OpenVINO: the fastest plain pass, no access to attention maps

Prints one line of JSON a peer and part: medians of repeats after one pass that warms up, of the wall clock's seconds
and of the processor's. bench/table.py runs it with settings that are good for torch.
needs: pip install -r bench/requirements.txt
"""
import argparse
import json
import statistics
import time
import warnings

warnings.filterwarnings("ignore")
arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--threads", type=int, default=1)
arguments.add_argument("--batch", type=int, default=4)
arguments.add_argument("--dtype", choices=("fp32", "bf16"), default="fp32")
arguments.add_argument("--repeat", type=int, default=3)
arguments.add_argument("--part", choices=("pass", "decode"), default="pass")
arguments.add_argument("peer", nargs="+", choices=("diffusers", "diffusers-p2p", "openvino"))
a = arguments.parse_args()

import torch  # noqa: E402  (the help text needs none of it)
from diffusers import AutoencoderKL, UNet2DConditionModel  # noqa: E402

torch.set_num_threads(a.threads)
torch.manual_seed(0)
DTYPE = {"fp32": torch.float32, "bf16": torch.bfloat16}[a.dtype]


class MaterialisedAttention:
    """Cross- and self-attention with the probabilities in hand, as Prompt-to-Prompt needs them."""

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **_):
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = (attn.head_to_batch_dim(f(x)) for f, x in
                   ((attn.to_q, hidden_states), (attn.to_k, context), (attn.to_v, context)))
        probs = attn.get_attention_scores(q, k, None)
        out = attn.batch_to_head_dim(torch.bmm(probs, v))
        return attn.to_out[1](attn.to_out[0](out))


def medians(run):
    run()
    wall, cpu = [], []
    for _ in range(a.repeat):
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        run()
        wall.append(time.perf_counter() - wall_start)
        cpu.append(time.process_time() - cpu_start)
    return statistics.median(wall), statistics.median(cpu)


def openvino_pass(unet, inputs):
    import openvino
    model = openvino.convert_model(unet, example_input=inputs)
    compiled = openvino.Core().compile_model(model, "CPU", {
        "INFERENCE_NUM_THREADS": a.threads, "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[a.dtype]})
    request = compiled.create_infer_request()
    arrays = [x.numpy() for x in inputs]
    return lambda: request.infer(arrays)


def torch_pass(unet, inputs, processor):
    unet = unet.to(DTYPE).to(memory_format=torch.channels_last)
    if processor:
        unet.set_attn_processor(processor)
    latent, timestep, context = inputs
    latent, context = latent.to(DTYPE).to(memory_format=torch.channels_last), context.to(DTYPE)
    return lambda: unet(latent, timestep, context).sample


def decoding():
    vae = AutoencoderKL(block_out_channels=(128, 256, 512, 512), layers_per_block=2,
                        down_block_types=("DownEncoderBlock2D",) * 4,
                        up_block_types=("UpDecoderBlock2D",) * 4).eval()
    vae = vae.to(DTYPE).to(memory_format=torch.channels_last)
    latent = torch.randn(1, 4, 64, 64).to(DTYPE).to(memory_format=torch.channels_last)
    return lambda: vae.decode(latent).sample


def main():
    if a.part == "pass":
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8).eval()
        inputs = torch.randn(a.batch, 4, 64, 64), torch.tensor(501), torch.randn(a.batch, 77, 768)
    for peer in a.peer:
        with torch.inference_mode(peer != "openvino"), torch.no_grad():
            if a.part == "decode":
                run = decoding()
            elif peer == "openvino":
                run = openvino_pass(unet, inputs)
            else:
                run = torch_pass(unet, inputs, MaterialisedAttention() if peer == "diffusers-p2p" else None)
            seconds, cpu_seconds = medians(run)
        print(json.dumps({"peer": peer, "part": a.part, "dtype": a.dtype, "threads": a.threads,
                          "batch": 1 if a.part == "decode" else a.batch, "seconds": round(seconds, 4),
                          "cpu_seconds": round(cpu_seconds, 4)}), flush=True)


if __name__ == "__main__":
    main()
