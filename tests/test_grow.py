"""Growing: the wide network is the narrow one, its copies part when they learn, and nothing else may differ."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from histcolor.grow import copies, grow
from histcolor.model import PRESETS, Colorizer

TINY = PRESETS["tiny"]
WIDE = replace(TINY, width=8, channels=32, lateral=16, squeeze=8)


def trained_like(config):
    """A network whose every weight counts: fresh ones have zeros in the last layer and in all biases."""
    model = Colorizer(config)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(0.05 * torch.randn_like(p))
        model.usual.uniform_()
    return model.eval()


def task(bins):
    hist = torch.rand(2, bins, bins) ** 8
    return torch.rand(2, 1, 64, 32) * 100, hist / hist.sum((1, 2), keepdim=True)


@pytest.mark.parametrize(
    ("narrow", "change"),
    [
        (TINY, {"width": 8}),
        (TINY, {"channels": 32}),
        (TINY, {"lateral": 16}),
        (TINY, {"squeeze": 8}),
        (TINY, {"width": 12, "channels": 48, "squeeze": 12}),
        (replace(TINY, channels=64), {"channels": 128}),  # 64 channels need no layer to come to their number
        (replace(TINY, channels=64), {"width": 8}),
        (replace(TINY, squeeze=0), {"width": 8, "channels": 32}),
        (replace(TINY, norm="instance"), {"width": 8, "channels": 32, "lateral": 16, "squeeze": 8}),
        (replace(TINY, readout="features", values="Phi_R"), {"width": 8, "lateral": 16, "squeeze": 8}),
        (replace(TINY, attention=False, readout="features"), {"width": 8, "channels": 32}),
    ],
)
def test_a_grown_network_computes_the_same(narrow, change):
    model = trained_like(narrow)
    wide = grow(model, replace(narrow, **change))
    assert sum(p.numel() for p in wide.parameters()) > sum(p.numel() for p in model.parameters())
    L, hist = task(narrow.bins)
    with torch.no_grad():
        expected = model(L, hist)
        torch.testing.assert_close(wide(L, hist), expected, atol=2e-5, rtol=0)
    assert expected.std() > 0.01, "a network that gives one colour shows nothing"
    assert torch.equal(wide.usual, model.usual)


def test_copies_part_when_they_learn():
    wide = grow(trained_like(TINY), WIDE)
    L, hist = task(16)
    wide(L, hist).square().mean().backward()
    for name, layer in wide.unet.named_modules():
        if isinstance(layer, nn.Conv2d) and layer.out_channels > 2:
            first, second = layer.weight.grad.chunk(2)
            assert not torch.allclose(first, second, rtol=1e-3, atol=0), name


def test_the_narrow_network_stays_as_it_was():
    model = trained_like(TINY)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    one, two, other = grow(model, WIDE), grow(model, WIDE), grow(model, WIDE, seed=1)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(torch.equal(v, two.state_dict()[k]) for k, v in one.state_dict().items())
    assert not torch.equal(one.unet.group2[0].weight, other.unet.group2[0].weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 6}, "4 channels can not be copied to 6"),
        ({"width": 2}, "4 channels can not be copied to 2"),
        ({"bins": 32}, "can only grow in width, channels, lateral, squeeze"),
        ({"squeeze": 0}, "can only grow"),
        ({"balance": 0}, "can only grow"),
    ],
)
def test_what_can_not_grow_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        grow(Colorizer(TINY), replace(TINY, **change))


def test_torn_groups_are_refused():
    assert copies([(8, 16), (2, 2)]).tolist() == [*range(8), *range(8), 8, 9]
    with pytest.raises(ValueError, match="12 channels can not grow"):
        copies([(12, 24)])
