"""The network: shapes, switches, the equations of 2.2, and the traps of the authors' release."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from histcolor.attention import balance, normalise, token_colours
from histcolor.backbone import VGG19, VGG_LAYERS, build_backbone, free, load_imagenet_weights, vgg_layer_names
from histcolor.baselines.automatic import Automatic
from histcolor.checkpoint import build
from histcolor.histogram import ab_histogram, mean_ab, palette
from histcolor.model import PRESETS, Colorizer, ModelConfig, config_from_dict
from histcolor.unet import in_eights, make_norm, upsample

TINY = PRESETS["tiny"]
SWITCHES = [
    {},
    {"palette": False},
    {"readout": "features", "balance": 0},
    {"readout": "features", "values": "Phi_R"},
    {"readout": "features", "attention": False},
    {"readout": "features", "attention": False, "palette": False},
    {"keep": 20},
    {"keep": 0},
    {"stride": 2},
    {"squeeze": 0},
    {"norm": "instance"},
]


def random_input(config, n=2, size=64):
    ab = torch.randn(n, 2, size, size) * 20
    return torch.rand(n, 1, size, size) * 100, ab_histogram(ab, config.bins)


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_every_switch_colours_and_learns(switch):
    config = replace(TINY, **switch)
    model = build(config).train()
    L, hist = random_input(config)
    y_ab = model(L, hist)
    assert y_ab.shape == (2, 2, 64, 64)
    (y_ab - 0.1).square().mean().backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    unused = [name for name, p in trained.items() if p.grad is None]
    assert not unused, "every trained weight must take part"
    assert all(torch.isfinite(p.grad).all() for p in trained.values())


@pytest.mark.parametrize("name", ["base", "small"])
def test_presets_build_and_run(name):
    model = build(PRESETS[name]).eval()
    with torch.no_grad():
        assert model(*random_input(model.config, 1)).shape == (1, 2, 64, 64)


def test_paper_preset_is_the_paper():
    model = build(PRESETS["paper"]).eval()
    L, hist = random_input(model.config, 1, 32)
    with torch.no_grad():
        photo, tokens = model.encode(L), model.tokens(hist)
        assert photo.f_t.shape == (1, 128, 8, 8)  # H/4 × W/4, C = 128
        assert tokens.f_r.shape == (1, 64 * 64, 128)  # 64×64 tokens whatever the photo
        y_ab = model.decode(photo, hist)
    assert y_ab.shape == (1, 2, 32, 32)
    assert y_ab.abs().max() <= 1
    assert [m.out_channels for m in model.unet.group4 if hasattr(m, "out_channels")] == [512] * 3
    norms = {type(m).__name__ for m in model.unet.modules() if "Norm" in type(m).__name__}
    assert norms == {"InstanceNorm2d"}
    assert not model.log_temperature.requires_grad
    assert float(model.log_temperature.exp()) == pytest.approx(0.01)


def test_vgg_layers_by_name():
    from torchvision.models import vgg19

    names = vgg_layer_names(vgg19(weights=None).features)
    # the indices that the literature uses for these layers of torchvision's VGG19
    assert [names.index(layer) for layer in VGG_LAYERS] == [8, 13, 22, 31]


@pytest.mark.slow
def test_vgg_backbone_equals_torchvision():
    from torchvision.models import vgg19

    network = vgg19(weights=None).eval()
    backbone = VGG19().eval()
    load_imagenet_weights(backbone, network.state_dict())
    rgb = torch.rand(1, 3, 32, 32)
    x = (rgb - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    with torch.no_grad():
        maps = backbone(rgb)
        for index, ours in zip((8, 13, 22, 31), maps, strict=True):
            torch.testing.assert_close(ours, network.features[: index + 1](x))


def test_backbone_weights_must_be_complete():
    backbone = build_backbone("tf_efficientnet_lite0")
    state = backbone.net.state_dict()
    load_imagenet_weights(backbone, {**state, "classifier.weight": torch.zeros(1)})
    state.pop("conv_stem.weight")
    with pytest.raises(ValueError, match=r"lack 1 of its tensors, first conv_stem\.weight"):
        load_imagenet_weights(backbone, state)


def test_backbone_weights_must_fit_and_be_finite():
    backbone = build_backbone("tf_efficientnet_lite0")
    state = backbone.net.state_dict()
    before = state["conv_stem.weight"].clone()
    for wrong in (torch.zeros(2), torch.full_like(before, torch.nan)):
        with pytest.raises(ValueError, match=r"a tensor 'conv_stem\.weight' of another shape, or with NaN"):
            load_imagenet_weights(backbone, {**state, "conv_stem.weight": wrong})
    assert torch.equal(backbone.net.state_dict()["conv_stem.weight"], before)


@pytest.mark.parametrize("name", ["nonesuch", "hf_hub:timm/resnet18.a1_in1k", "resnet18"])
def test_backbones_are_a_closed_list(monkeypatch, name):
    monkeypatch.setattr("timm.create_model", lambda *args, **kwargs: pytest.fail("timm was asked"))
    with pytest.raises(ValueError, match=f"no backbone '{name}'; there are vgg19, tf_efficientnet_lite0"):
        build_backbone(name)


def test_backbone_stays_frozen_and_in_eval_mode():
    model = build(TINY).train()
    assert not any(p.requires_grad for p in model.photo.backbone.parameters())
    assert not any(m.training for m in model.photo.backbone.modules())
    before = {k: v.clone() for k, v in model.photo.backbone.state_dict().items()}
    model(*random_input(TINY))
    assert all(torch.equal(before[k], v) for k, v in model.photo.backbone.state_dict().items())


@pytest.mark.parametrize(("channels", "groups"), [(3, 1), (16, 2), (17, 1), (28, 2), (100, 10), (256, 32)])
def test_groups_divide_the_channels(channels, groups):
    norm = make_norm("group", channels)
    assert norm.num_groups == groups
    assert norm(torch.rand(2, channels, 4, 4)).shape == (2, channels, 4, 4)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float32])
def test_attended_colours_are_not_rounded(precision):
    L, hist = random_input(TINY)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision is torch.bfloat16):
        assert build(TINY).train()(L, hist).dtype == torch.float32


def test_normalise_centres_and_has_unit_length():
    phi = normalise(torch.randn(2, 16, 5, 5) + 3)
    torch.testing.assert_close(phi.mean(1), torch.zeros(2, 5, 5), atol=1e-6, rtol=0)
    torch.testing.assert_close(phi.norm(dim=1), torch.ones(2, 5, 5))
    assert torch.isfinite(normalise(torch.ones(1, 4, 2, 2))).all()  # a constant feature has no direction


@pytest.mark.parametrize("values", ["F_R", "Phi_R"])
def test_attention_is_equation_2(values):
    config = replace(TINY, readout="features", balance=0, values=values)
    model = build(config).eval()
    L, hist = random_input(config)
    with torch.no_grad():
        f_t, tokens = model.encode(L).f_t, model.tokens(hist)
        phi_t, phi_r = normalise(f_t), normalise(tokens.f_r, 2)
        weights = torch.softmax(torch.einsum("nchw,ntc->nhwt", phi_t, phi_r) / config.temperature, dim=-1)
        value = phi_r if values == "Phi_R" else tokens.f_r
        expected = torch.einsum("nhwt,ntc->nchw", weights, value)
        torch.testing.assert_close(model.attend(f_t, tokens), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("rounds", [0, 2])
def test_palette_readout_is_a_mean_of_token_colours(rounds):
    config = replace(TINY, balance=rounds, keep=40)
    model = build(config).eval()
    L, hist = random_input(config, 1)
    with torch.no_grad():
        photo = model.encode(L)
        weights = model.attention_weights(photo, hist)
        torch.testing.assert_close(weights.sum((-2, -1)), torch.ones(1, 16, 16))
        colours = palette(config.bins).permute(2, 0, 1) / 110
        expected = torch.einsum("nhwij,cij->nchw", weights, colours)
        attended = model.attend(photo.f_t, model.tokens(hist))
        torch.testing.assert_close(attended[:, -2:], expected, atol=1e-5, rtol=1e-4)


def test_training_starts_from_the_histograms_mean_colour():
    model = build(replace(TINY, balance=0, keep=0, temperature=1e4)).eval()  # so hot that all logits are equal
    L, hist = random_input(TINY)
    with torch.no_grad():
        y_ab = model(L, hist) - torch.tanh(model.unet.out.bias)[:, None, None]
    torch.testing.assert_close(y_ab, (mean_ab(hist) / 110)[:, :, None, None].expand_as(y_ab), atol=1e-4, rtol=0)


def test_balance_uses_each_token_by_its_mass():
    torch.manual_seed(1)
    logits, mass = torch.randn(3, 50, 12) * 2, torch.rand(3, 12)
    mass = mass / mass.sum(1, keepdim=True)
    prior = balance(logits, mass.log(), 50)
    used = torch.softmax(logits + prior[:, None], dim=2).mean(1)
    torch.testing.assert_close(used, mass, atol=1e-4, rtol=1e-3)
    unbalanced = torch.softmax(logits + mass.log()[:, None], dim=2).mean(1)
    assert (unbalanced - mass).abs().max() > 10 * (used - mass).abs().max()
    torch.testing.assert_close(balance(logits, mass.log(), 0), mass.log())


def test_token_colours_are_the_masses_own_means():
    hist = torch.zeros(1, 8, 8)
    hist[0, 2, 5], hist[0, 3, 5] = 0.75, 0.25  # both in token (1, 2) at stride 2
    mass, ab = token_colours(hist, 2)
    assert mass[0].nonzero().flatten().tolist() == [1 * 4 + 2]
    centres = palette(8)
    torch.testing.assert_close(ab[0, 6] * 110, 0.75 * centres[2, 5] + 0.25 * centres[3, 5])
    torch.testing.assert_close(
        ab[0, 0] * 110, centres[0:2, 0:2].mean((0, 1))
    )  # an empty token keeps its place's colour


def test_palette_is_not_transposed_against_the_histogram():
    # a trap of the authors' release: a histogram of pure +a must offer a colour of pure +a
    ab = torch.tensor([60.0, 0.0])[:, None, None].expand(2, 8, 8)
    model = build(replace(TINY, keep=1)).eval()
    tokens = model.tokens(ab_histogram(ab, TINY.bins)[None])
    assert (tokens.ab[0, 0] * 110 - ab[:, 0, 0]).abs().max() < 220 / TINY.bins


def test_expanded_features_equal_a_batch():
    model = build(TINY).eval()
    L, hist = random_input(TINY, 3)
    with torch.no_grad():
        one = model.encode(L[:1])
        together = model.decode(one.expand(3), hist)
        for i in range(3):
            torch.testing.assert_close(together[i], model(L[:1], hist[i : i + 1])[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1, 60, 64), (1, 3, 64, 64), (1, 64, 64), (0, 1, 64, 64)])
def test_wrong_L(shape):
    with pytest.raises(ValueError, match="multiples of 8"):
        build(TINY).encode(torch.zeros(shape))


def test_vgg19_halves_a_photo_four_times():
    model = build(replace(TINY, backbone="vgg19")).eval()
    with pytest.raises(ValueError, match=r"H and W of at least 16 where backbone='vgg19', got \(1, 1, 8, 8\)"):
        model.encode(torch.full((1, 1, 8, 8), 50.0))
    with torch.no_grad():
        assert model.encode(torch.full((1, 1, 16, 16), 50.0)).f_t.shape[-2:] == (4, 4)


@pytest.mark.parametrize("kind", [Colorizer, Automatic])
def test_instance_normalisation_needs_two_places_a_side(kind):
    model = kind(replace(TINY, norm="instance")).eval()
    with pytest.raises(ValueError, match=r"H and W of at least 16 where norm='instance', got \(1, 1, 8, 8\)"):
        model.encode(torch.full((1, 1, 8, 8), 50.0))
    L, hist = torch.full((1, 1, 16, 16), 50.0), torch.full((1, TINY.bins, TINY.bins), TINY.bins**-2.0)
    assert model(L, hist).shape == (1, 2, 16, 16)


@pytest.mark.parametrize(
    ("field", "value"),
    [("width", 0), ("stride", 3), ("bins", 2), ("temperature", 0.0), ("keep", -1), ("readout", "x"), ("values", "x"),
     ("norm", "batch"), ("attention", False)],
)  # fmt: skip
def test_wrong_configurations(field, value):
    with pytest.raises(ValueError, match=field if field != "bins" else "bins must"):
        replace(PRESETS["small"], **{field: value})


def test_layers_start_as_he_et_al_but_for_transposed_convolutions():
    torch.manual_seed(0)
    unet = Colorizer(PRESETS["small"]).unet
    taps = {"skip3": 9, "up8": 4, "up9": 4, "up10": 4}  # of the kernel that an output sees, at stride 2
    he = {name: (2 / (taps[name] * getattr(unet, name).in_channels)) ** 0.5 for name in taps}
    share = {name: float(getattr(unet, name).weight.detach().std()) / he[name] for name in taps}
    assert share == pytest.approx({"skip3": 1.0, "up8": 0.289, "up9": 0.289, "up10": 0.204}, rel=0.03)
    assert not unet.skip3.bias.any()
    assert not unet.out.weight.any()


def test_one_token_is_too_few_for_instance_normalisation():
    with pytest.raises(ValueError, match="bins must be above stride"):
        replace(PRESETS["tiny"], stride=16, norm="instance")


def test_configuration_from_a_dictionary():
    from dataclasses import asdict

    values = asdict(TINY)
    assert config_from_dict(values) == TINY
    with pytest.raises(ValueError, match="unknown fields: colour"):
        config_from_dict({**values, "colour": 1})
    with pytest.raises(ValueError, match="lacks fields: bins"):
        config_from_dict({k: v for k, v in values.items() if k != "bins"})
    assert isinstance(config_from_dict(values), ModelConfig)


def test_where_no_histogram_is_given_the_attention_is_not_balanced():
    model, free = build(TINY).eval(), build(replace(TINY, balance=0)).eval()
    assert not model.automatic
    with pytest.raises(ValueError, match="not taught to colour without a histogram"):
        model.average_histogram()
    model.average.copy_(torch.rand(TINY.bins, TINY.bins) ** 8)
    free.load_state_dict(model.state_dict())
    average = model.average_histogram()
    assert average.sum() == pytest.approx(1)
    L, hist = torch.rand(1, 1, 32, 32).expand(2, -1, -1, -1) * 100, average.expand(2, -1, -1)
    with torch.no_grad():
        balanced, unbalanced = model(L, hist, torch.tensor([False, True])), free(L, hist)
        assert torch.equal(model(L, hist), model(L, hist, torch.tensor([True, True])))
    torch.testing.assert_close(balanced[0], unbalanced[0])
    assert (balanced[1] - unbalanced[1]).abs().max() > 1e-3  # the average histogram, given by hand, is a target


def test_bilinear_upsampling_is_what_the_paper_says():
    # F_U' → F_U "linearly upsampled": the palette readout reaches the output through it, unchanged elsewhere
    model = build(replace(TINY, squeeze=0)).eval()
    L, hist = random_input(TINY, 1)
    with torch.no_grad():
        f_u = model.attend(model.encode(L).f_t, model.tokens(hist))
        up = F.interpolate(f_u[:, -2:], (64, 64), mode="bilinear", align_corners=False)
        residual = torch.tanh(model.unet.out.bias)[:, None, None]
        torch.testing.assert_close(model(L, hist), up + residual, atol=1e-5, rtol=1e-4)


def test_channels_in_eights_change_nothing():
    """Channels are filled up for a GPU's matrix units; padding, stride and bias stay the same."""
    for layer in (nn.Conv2d(19, 16, 3, padding=1), nn.Conv2d(32, 2, 1), nn.Conv2d(3, 5, 3, stride=2)):
        x = torch.rand(2, layer.in_channels, 9, 9)
        torch.testing.assert_close(in_eights(layer, x, fill=True), layer(x))


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "vgg19"])
def test_what_comes_before_the_first_map_stays(name):
    backbone = build_backbone(name).requires_grad_(False).eval()
    free(backbone)
    learns = {n for n, p in backbone.named_parameters() if p.requires_grad}
    assert 0 < len(learns) < len(list(backbone.parameters()))
    first, *later = backbone(torch.rand(1, 3, 64, 64))
    assert not first.requires_grad
    assert all(x.requires_grad for x in later)


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
