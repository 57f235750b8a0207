"""Small networks of twelve architectures with seeded random values, for tests."""

import importlib

import torch
from safetensors.torch import save_file

NETWORKS = {
    "ESRGAN": {"num_filters": 8, "num_blocks": 1, "scale": 4},
    "Compact": {"num_feat": 8, "num_conv": 2, "upscale": 2},
    "SPAN": {
        "num_in_ch": 3,
        "num_out_ch": 3,
        "feature_channels": 8,
        "upscale": 2,
    },
    "SAFMN": {"dim": 8, "n_blocks": 1, "upscaling_factor": 2},
    "PLKSR": {"dim": 8, "n_blocks": 1, "upscaling_factor": 2, "kernel_size": 5},
    "MoSR": {"n_block": 1, "dim": 8, "upscale": 2},
    "SwinIR": {
        "img_size": 16,
        "embed_dim": 8,
        "depths": [2],
        "num_heads": [2],
        "window_size": 8,
        "upscale": 2,
        "upsampler": "pixelshuffledirect",
    },
    "NAFNet": {"width": 8, "enc_blk_nums": [1], "dec_blk_nums": [1]},
    "RCAN": {"scale": 2, "n_resgroups": 1, "n_resblocks": 1, "n_feats": 16},
    "DITN": {"dim": 8, "ITL_blocks": 1, "SAL_blocks": 1, "upscale": 2},
    "SwiftSRGAN": {"num_channels": 8, "num_blocks": 1, "upscale_factor": 2},
    "OmniSR": {"num_feat": 8, "up_scale": 2},
}


def save_network(name, path, **more):
    """Write a fresh network of an architecture; the same values each time.

    `more` are arguments of its class in place of those of `NETWORKS`.
    """
    with torch.random.fork_rng():
        torch.manual_seed(len(name))
        home = importlib.import_module(f"spandrel.architectures.{name}")
        state = getattr(home, name)(**NETWORKS[name] | more).state_dict()
    *_, last_bias = (key for key in state if key.endswith("bias"))
    state[last_bias] += 0.5  # else much of the picture is black, and so the same
    if path.suffix == ".safetensors":
        save_file({key: value.contiguous() for key, value in state.items()}, path)
    else:
        torch.save({"params_ema": state}, path)
    return path
