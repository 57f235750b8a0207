"""Torch's global switches are seen when a restorer leaves them changed."""

import json

import pytest
import torch

from evalkit.profiling.clock import torch_flags


def test_flags_are_the_same_until_something_changes():
    assert torch_flags() == torch_flags()
    json.dumps(torch_flags())


@pytest.fixture
def restored_flags():
    before = torch.get_default_dtype(), torch.get_num_threads()
    yield
    torch.set_grad_enabled(True)
    torch.set_default_dtype(before[0])
    torch.set_num_threads(before[1])
    torch.backends.cudnn.benchmark = False
    torch.set_float32_matmul_precision("highest")
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        (lambda: torch.set_grad_enabled(False), "grad"),
        (lambda: setattr(torch.backends.cudnn, "benchmark", True), "cudnn_benchmark"),
        (lambda: torch.set_default_dtype(torch.float64), "default_dtype"),
        (lambda: torch.set_num_threads(torch.get_num_threads() + 1), "n_threads"),
        (
            lambda: torch.set_float32_matmul_precision("high"),
            "float32_matmul_precision",
        ),
        (
            lambda: torch.use_deterministic_algorithms(True),
            "deterministic_algorithms",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_change_is_seen(restored_flags, change, flag):
    before = torch_flags()
    change()
    changed = {name for name, value in torch_flags().items() if value != before[name]}
    assert flag in changed
