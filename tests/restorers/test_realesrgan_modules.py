"""Our definitions of the networks against those of upstream's packages, to the bit."""

from dataclasses import replace

import pytest
import torch

from evalkit.imports.basicsr import missing
from evalkit.restorers.realesrgan.network import NETWORKS, build_module


@pytest.mark.parametrize("name", NETWORKS)
@torch.inference_mode()
def test_our_networks_are_upstreams_to_the_bit(need, name):
    need(not missing("basicsr", "this test"), missing("basicsr", "this test"))
    from evalkit.restorers.realesrgan.upstream import upstream_module

    network = replace(NETWORKS[name], n_blocks=min(2, NETWORKS[name].n_blocks))
    ours, theirs = build_module(network), upstream_module(network)
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict(state, strict=True)
    batch = torch.rand(2, 3, 18, 12, generator=torch.Generator().manual_seed(0))
    output = ours(batch)
    assert output.shape == (2, 3, 18 * network.scale, 12 * network.scale)
    assert torch.equal(output, theirs(batch))
