"""Joint self-attention over places and tokens, and bilinear interpolation by products."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from histcolor.checkpoint import build
from histcolor.joint import Joint, upsample
from histcolor.model import PRESETS

CONFIG = replace(PRESETS["tiny"], joint=2, semantics=True)


@pytest.mark.parametrize("size", [(8, 12), (16, 24), (13, 7), (4, 6), (2, 3)])
def test_upsample_is_bilinear_interpolation(size):
    x = torch.rand(2, 3, 4, 6, requires_grad=True)
    expected = F.interpolate(x, size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(upsample(x, size), expected)
    weights = torch.rand_like(expected)
    gradients = [
        torch.autograd.grad((y * weights).sum(), x, retain_graph=True)[0] for y in (upsample(x, size), expected)
    ]
    torch.testing.assert_close(*gradients)


def test_upsample_keeps_channels_last():
    x = torch.rand(2, 8, 4, 4).to(memory_format=torch.channels_last)
    assert upsample(x, (8, 8)).is_contiguous(memory_format=torch.channels_last)


def test_it_starts_as_nothing():
    with_it = build(CONFIG).eval()
    without = build(PRESETS["tiny"]).eval()
    without.load_state_dict({k: v for k, v in with_it.state_dict().items() if k in without.state_dict()})
    L, hist = torch.rand(2, 1, 64, 64) * 100, torch.rand(2, 16, 16)
    hist = hist / hist.sum((1, 2), keepdim=True)
    for model in (with_it, without):  # or the U-Net says nothing
        torch.nn.init.constant_(model.unet.out.weight, 0.01)
    with torch.no_grad():
        torch.testing.assert_close(with_it(L, hist), without(L, hist))


def test_order_of_tokens_does_not_matter_but_that_they_are_asked_does():
    torch.manual_seed(0)
    joint = Joint(16, 2)
    torch.nn.init.normal_(joint.given)
    f_t, f_r = torch.randn(2, 16, 8, 8), torch.randn(2, 10, 16)
    ab, mass, asked = torch.rand(2, 10, 2), torch.rand(2, 10).log(), torch.tensor([True, False])
    places, tokens = joint(f_t, f_r, ab, mass, asked)
    assert places.shape == f_t.shape
    assert tokens.shape == f_r.shape
    order = torch.randperm(10)
    shuffled = joint(f_t, f_r[:, order], ab[:, order], mass[:, order], asked)
    torch.testing.assert_close(shuffled[0], places, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(shuffled[1], tokens[:, order], atol=1e-5, rtol=1e-4)
    other = joint(f_t, f_r, ab, mass, ~asked)
    assert (other[0] - places).abs().max() > 1e-3


def test_every_new_weight_learns():
    model = build(CONFIG).train()
    torch.nn.init.normal_(model.unet.out.weight)
    for layer in (model.joint.to_place, model.joint.to_token, model.unet.see):
        torch.nn.init.normal_(layer.weight, std=0.1)
    hist = torch.rand(2, 16, 16)
    hist = hist / hist.sum((1, 2), keepdim=True)
    model(torch.rand(2, 1, 64, 64) * 100, hist).square().mean().backward()
    silent = [
        n for n, p in model.named_parameters() if n.startswith(("joint.", "unet.see")) and not p.grad.abs().max() > 0
    ]
    assert not silent


@pytest.mark.parametrize(
    "change",
    [{"attention": False, "readout": "features"}, {"attention": False, "readout": "features", "guide": "none"}],
)
def test_they_need_places_and_tokens(change):
    with pytest.raises(ValueError, match="joint and semantics need F_T and tokens"):
        replace(CONFIG, **change)
