"""Writes scheduler_configs.json and .safetensors: what diffusers' DDIM and PNDM do when they are
made from the configs of other schedulers, and where the last timestep is pure noise.

    python3 -m venv /tmp/v && /tmp/v/bin/pip install torch diffusers
    /tmp/v/bin/python tests/golden/make/schedule.py tests/golden/data
"""
import json
import sys

import diffusers
import torch
from tensors import write_safetensors

SHAPE = (2, 3, 5)
BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)
V, EPS = dict(prediction_type="v_prediction"), dict(prediction_type="epsilon")

# name, class that wrote the file, its keys beside BETAS, steps, class that steps
CASES = [
    ("zero_snr_v_trailing", "DDIM", dict(V, timestep_spacing="trailing", rescale_betas_zero_snr=True,
                                         clip_sample=False), 10, "DDIM"),
    ("zero_snr_v_linspace", "DDIM", dict(V, timestep_spacing="linspace", rescale_betas_zero_snr=True,
                                         clip_sample=False, set_alpha_to_one=False), 7, "DDIM"),
    ("zero_snr_eps_leading", "DDIM", dict(EPS, rescale_betas_zero_snr=True, clip_sample=False,
                                          steps_offset=1), 10, "DDIM"),
    ("linspace_eps", "DDIM", dict(EPS, timestep_spacing="linspace", clip_sample=False), 10, "DDIM"),
    ("pndm_linspace_eps", "PNDM", dict(EPS, timestep_spacing="linspace", skip_prk_steps=True), 10, "PNDM"),
    ("pndm_trailing_v", "PNDM", dict(V, timestep_spacing="trailing", skip_prk_steps=True), 7, "PNDM"),
    ("pndm_of_ddim", "DDIM", dict(EPS, clip_sample=False, set_alpha_to_one=False, steps_offset=1), 7, "PNDM"),
    ("ddim_of_pndm", "PNDM", dict(EPS, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1), 7, "DDIM"),
    ("ddim_of_euler", "EulerDiscrete", dict(V, steps_offset=1), 10, "DDIM"),
    ("ddim_of_euler_ancestral", "EulerAncestralDiscrete", dict(EPS, timestep_spacing="trailing"), 10, "DDIM"),
    ("ddim_of_dpm_solver", "DPMSolverMultistep", dict(EPS, steps_offset=1, use_karras_sigmas=True), 10, "DDIM"),
]


def scheduler(name):
    return getattr(diffusers, name + "Scheduler")


def main(folder):
    torch.manual_seed(1)
    tensors = {"x_T": torch.randn(SHAPE), "model_output": torch.randn(11, *SHAPE)}
    cases = []
    for name, author, keys, steps, sampler in CASES:
        text = scheduler(author)(**BETAS, **keys).to_json_string()
        file = json.loads(text)
        wanted = {} if sampler == author else {"skip_prk_steps": True} if sampler == "PNDM" else {"clip_sample": False}
        s = scheduler(sampler).from_config(dict(file), **wanted)
        s.set_timesteps(steps)
        x, out = tensors["x_T"], []
        for i, t in enumerate(s.timesteps):
            x = s.step(tensors["model_output"][i], t, x).prev_sample
            out.append(x)
        tensors[name + ".out"] = torch.stack(out)
        own = name + "." if name.startswith("zero_snr") else ""
        tensors[own + "alphas_cumprod"] = s.alphas_cumprod
        cases.append({"name": name, "sampler": sampler, "steps": steps, "file": text,
                      "timesteps": s.timesteps.tolist(), "final_alpha_cumprod": float(s.final_alpha_cumprod)})
    with open(folder + "/scheduler_configs.json", "w") as f:
        json.dump({"diffusers": diffusers.__version__, "cases": cases}, f, indent=1)
    write_safetensors(folder + "/scheduler_configs.safetensors", {k: v.numpy() for k, v in tensors.items()})


if __name__ == "__main__":
    main(sys.argv[1])
