"""What a time depends on besides the timed code."""

from typing import Any


def torch_flags() -> dict[str, Any]:
    """Torch's global switches, any of which changes times or pictures.

    One restorer that leaves them changed (GPEN's detector switches gradients off and
    cuDNN's autotuning on, for the whole process) changes the next one's figures:
    compare them before and after a call.

    Returns
    -------
    dict
        JSON-able.

    """
    import torch

    return {
        "grad": torch.is_grad_enabled(),
        "inference_mode": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cuda"),
        "autocast_cpu": torch.is_autocast_enabled("cpu"),
        "default_dtype": str(torch.get_default_dtype()),
        "default_device": str(torch.get_default_device()),
        "n_threads": torch.get_num_threads(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn": torch.backends.cudnn.enabled,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "mkldnn": torch.backends.mkldnn.enabled,
    }
