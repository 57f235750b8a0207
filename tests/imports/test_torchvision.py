"""torchvision without torch's compiler, until somebody asks it."""

import subprocess
import sys

import pytest

ASK = """
import sys
from evalkit.imports.torchvision import import_torchvision
import_torchvision()
import_torchvision()
assert "torch._dynamo" not in sys.modules
import torch
from torchvision.ops import nms, roi_align
boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 5.0]])
assert nms(boxes, torch.tensor([0.5, 0.9]), 0.5).tolist() == [1]
assert roi_align(torch.ones(1, 1, 8, 8), [boxes], 1).tolist() == [[[[1.0]]]] * 2
assert "torch._dynamo" not in sys.modules
supported = sys.modules["torchvision.ops.roi_align"].is_compile_supported
from torch._dynamo import utils
assert "torch._dynamo" in sys.modules
for device in ("cpu", "cuda", "meta"):
    assert supported(device) == utils.is_compile_supported(device)
assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2)).sum() == 4
"""

UPSTREAM = """
import sys, warnings
from evalkit.restorers import load_restorer
warnings.simplefilter("ignore")
load_restorer("gpen-256", weights="random", runner="upstream", device="cpu")
assert "torch._dynamo" in sys.modules
"""

FACES = """
import sys
from evalkit.faces.parser import ParseNet
ParseNet()
assert "torchvision" in sys.modules
assert "torch._dynamo" not in sys.modules
"""


@pytest.mark.slow
@pytest.mark.parametrize("code", [ASK, UPSTREAM, FACES])
def test_ours_goes_without_the_compiler_and_upstream_pays_for_it(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
