"""The methods compared in Table 2: their parts by hand, and each one through the common loop."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

import histcolor as hc
from histcolor import baselines
from histcolor.backbone import PACKAGED, imagenet_weights, load_imagenet_weights
from histcolor.baselines import TRAINED, Classifier
from histcolor.baselines.classified import NEAREST, ClassLoss, ColourClasses, class_weights
from histcolor.baselines.grid import SIDE, STEP, gamut_cells, grid_cell
from histcolor.baselines.hints import ColourHints, GlobalHints, weighted_palette
from histcolor.baselines.network import fully_connected
from histcolor.checkpoint import build, save_model
from histcolor.color import AB_MAX
from histcolor.colorize import predict
from histcolor.experiments.recipe import Recipe
from histcolor.losses import Loss
from histcolor.optimize import TrainConfig
from histcolor.train import train

TINY = hc.PRESETS["tiny"]
AUTOMATIC = [name for name, kind in TRAINED.items() if not kind.sees_histogram]
CLASSIFIED = [name for name, kind in TRAINED.items() if issubclass(kind, Classifier)]


def recipe(name):
    """A method's run at a tiny size: enough for its loss to fall."""
    loss = Loss(lambda_2=0 if name in AUTOMATIC else 10)
    config = TrainConfig(
        steps=16, batch_size=4, size=32, lr=4e-3, warmup=2, log_every=4, save_every=8,
        cross=0.0 if name in AUTOMATIC else 0.2, ema=0.9, precision="float32",
    )  # fmt: skip
    return Recipe(TINY, loss, config, name)


def run(name, pack, folder, **options):
    """Train a method, or go on."""
    made = recipe(name)
    return train(*made.make(pack), pack, made.train, folder, quiet=True, **options)


@pytest.fixture(scope="module", params=list(TRAINED))
def trained(request, pack, tmp_path_factory):
    """A method's name, its model after a few steps, and the run's folder."""
    folder = tmp_path_factory.mktemp("methods") / request.param
    return request.param, run(request.param, pack, folder), folder


@pytest.fixture(scope="module")
def classes():
    return ColourClasses()


def srgb_colours(n=120):
    """Random sRGB colours, its eight corners among them, as ab ``[1, 2, n, n]``."""
    rgb = torch.rand(3, n, n)
    rgb[:, 0, :8] = torch.tensor([[(i >> k) & 1 for k in range(3)] for i in range(8)]).T.float()
    return hc.rgb_to_lab(rgb)[None, 1:]


def test_the_grid_holds_srgb_and_little_else(classes):
    assert len(classes) == 261
    assert torch.isin(grid_cell(srgb_colours()), gamut_cells()).all()
    assert torch.equal(grid_cell(classes.centres.T[None, :, :, None]).flatten(), gamut_cells())
    assert classes.centres.abs().max() <= AB_MAX
    assert (classes.centres % STEP == 0).all()
    # the number of classes is the shape of a weight: no rounding of a platform may change it
    for shift in (-0.01, 0.01):
        levels = torch.arange(256) / 255
        u, v = torch.meshgrid(levels, levels, indexing="ij")
        faces = [torch.stack([torch.full_like(u, w), u, v]).roll(k, 0) for k in range(3) for w in (0.0, 1.0)]
        assert torch.equal(grid_cell(hc.rgb_to_lab(torch.stack(faces))[:, 1:] + shift).unique(), gamut_cells())


def test_soft_encoding_is_a_gaussian_over_the_five_nearest(classes):
    ab = srgb_colours()
    index, share = classes.soft_encode(ab)
    assert index.shape == share.shape == (1, 120, 120, NEAREST)
    torch.testing.assert_close(share.sum(-1), torch.ones(1, 120, 120))
    assert (share.diff(dim=-1) <= 0).all(), "nearest first"
    distance = (ab.movedim(1, -1).unsqueeze(-2) - classes.centres).square().sum(-1)  # to all classes
    expected = distance.topk(NEAREST, largest=False).values
    torch.testing.assert_close(distance.gather(-1, index), expected)
    weights = torch.exp(-expected / (2 * 5.0**2))
    torch.testing.assert_close(share, weights / weights.sum(-1, keepdim=True))
    mean = (classes.centres[index] * share[..., None]).sum(-2)
    off = (mean - ab.movedim(1, -1)).norm(dim=-1)
    assert off.mean() < 0.5
    assert off.max() < STEP / 2
    index, share = classes.soft_encode(torch.tensor([20.0, -30.0])[None, :, None, None])
    assert classes.centres[index[0, 0, 0, 0]].tolist() == [20, -30], "a first, then b"


def test_annealed_mean_lies_between_mode_and_mean(classes):
    def class_of(a, b):
        return (classes.centres == torch.tensor([a, b])).all(1).nonzero().item()

    logits = torch.full((1, len(classes), 2, 3), -1e4)
    logits[:, class_of(40.0, 10.0)] = 0.75**0.5
    logits[:, class_of(-20.0, 30.0)] = 0.0
    p = torch.softmax(torch.tensor([0.75**0.5, 0.0]), 0)
    mean = p[0] * torch.tensor([40.0, 10.0]) + p[1] * torch.tensor([-20.0, 30.0])
    found = {T: classes.annealed_mean(logits, T)[0, :, 1, 2] * AB_MAX for T in (1e-3, 0.38, 1.0)}
    torch.testing.assert_close(found[1.0], mean)
    torch.testing.assert_close(found[1e-3], torch.tensor([40.0, 10.0]))
    assert mean[0] < found[0.38][0] < 40
    with torch.autocast("cpu", torch.bfloat16):  # as in training's validation: no rounding of colours
        assert torch.equal(classes.annealed_mean(logits, 1.0)[0, :, 1, 2] * AB_MAX, found[1.0])


def test_distribution_of_a_pack(classes, pack):
    p = classes.distribution(pack)
    assert p.shape == (261,)
    assert p.sum() == pytest.approx(1)
    ab = hc.rgb_to_lab(torch.from_numpy(pack.images[:, ::4, ::4].copy()).permute(0, 3, 1, 2) / 255)[:, 1:]
    mean = (p[:, None] * classes.centres).sum(0)
    torch.testing.assert_close(mean, ab.mean((0, 2, 3)), atol=0.5, rtol=0)
    assert torch.equal(p, classes.distribution(pack)), "a resumed run must weight as before"
    weights = class_weights(p)
    assert (p * weights).sum() == pytest.approx(1)
    assert weights[p.argmax()] == weights.min()


def test_class_weights_are_the_papers():
    p = torch.tensor([0.7, 0.2, 0.1, 0.0])
    weights = class_weights(p)
    assert (p * weights).sum() == pytest.approx(1)
    raw = 1 / (0.5 * p + 0.5 / 4)  # Zhang et al. 2016, (4)
    torch.testing.assert_close(weights / weights[0], raw / raw[0])
    torch.testing.assert_close(class_weights(p, mixture=1.0), torch.ones(4))


def class_loss(classes, weights=None):
    """The loss of logits and truth; what the histogram's loss takes besides is not looked at."""
    loss = ClassLoss(classes, weights)
    return lambda logits, t_ab: loss(logits, t_ab, None, None, None)


def test_class_loss_is_the_cross_entropy_by_hand():
    classes = ColourClasses()
    t_ab = (torch.rand(2, 2, 6, 7) - 0.5) * 0.6
    logits = torch.randn(2, len(classes), 6, 7)
    index, share = classes.soft_encode(t_ab * AB_MAX)
    dense = torch.zeros(2, 6, 7, len(classes)).scatter(-1, index, share)
    each = -(dense * logits.movedim(1, -1).softmax(-1).log()).sum(-1)
    loss, terms = class_loss(classes)(logits.requires_grad_(), t_ab)
    torch.testing.assert_close(loss, each.mean())
    assert terms == {"classes": loss}
    assert not terms["classes"].requires_grad
    weights = torch.rand(len(classes)) + 0.5
    loss, _ = class_loss(classes, weights)(logits, t_ab)
    torch.testing.assert_close(loss, (weights[dense.argmax(-1)] * each).mean())  # v of the likeliest class
    (gradient,) = torch.autograd.grad(class_loss(classes)(logits, t_ab)[0], logits)
    expected = (logits.softmax(1) - dense.movedim(-1, 1)) / each.numel()
    torch.testing.assert_close(gradient, expected, atol=1e-7, rtol=1e-4)


def test_class_loss_is_least_for_the_truth():
    classes = ColourClasses()
    t_ab = (torch.rand(1, 2, 4, 4) - 0.5) * 0.6
    index, share = classes.soft_encode(t_ab * AB_MAX)
    truth = torch.zeros(1, 4, 4, len(classes)).scatter(-1, index, share).clamp(min=1e-12).log().movedim(-1, 1)
    best = class_loss(classes)(truth, t_ab)[0]
    torch.testing.assert_close(best, -(share * share.log()).sum(-1).mean(), atol=1e-5, rtol=1e-4)
    assert class_loss(classes)(truth.flip(1), t_ab)[0] > best + 1
    assert class_loss(classes)(truth + 0.1 * torch.randn_like(truth), t_ab)[0] > best


def blobs():
    """A histogram of three separated blobs with masses 0.5, 0.3 and 0.2, and their mean colours."""
    hist, plane = torch.zeros(32, 32), hc.palette(32)
    places = [(5, 6, 0.2), (20, 25, 0.5), (28, 8, 0.3)]
    for i, j, mass in places:
        hist[i : i + 2, j : j + 2] = mass * torch.tensor([[0.4, 0.3], [0.2, 0.1]])
    means = [(hist[i : i + 2, j : j + 2, None] * plane[i : i + 2, j : j + 2]).sum((0, 1)) / m for i, j, m in places]
    return hist, torch.stack([means[1], means[2], means[0]])


def test_k_means_finds_the_blobs():
    hist, means = blobs()
    ab, mass = weighted_palette(hist[None], 3)
    torch.testing.assert_close(ab[0], means)
    torch.testing.assert_close(mass[0], torch.tensor([0.5, 0.3, 0.2]))


def test_k_means_is_the_same_in_any_batch():
    hists = torch.stack([blobs()[0], hc.ab_histogram(srgb_colours()[0], 32), blobs()[0].T])
    together = weighted_palette(hists, 6)
    for i in range(3):
        for whole, alone in zip(together, weighted_palette(hists[i : i + 1], 6), strict=True):
            assert torch.equal(whole[i], alone[0])
    assert all(torch.equal(x, y) for x, y in zip(together, weighted_palette(hists, 6), strict=True))
    torch.testing.assert_close(together[1].sum(1), torch.ones(3))
    assert (together[1].diff(dim=1) <= 0).all(), "heaviest first"
    # what the palette stands for is the histogram's mean
    mean = (together[0] * together[1][..., None]).sum(1)
    torch.testing.assert_close(mean, torch.einsum("nij,ijc->nc", hists, hc.palette(32)), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("bins", [16, 17])  # with an odd number gray is a bin of its own
def test_fewer_colours_than_wanted(bins):
    hist = torch.zeros(2, bins, bins)
    hist[0, 3, 4] = 1
    hist[1, 3, 4], hist[1, bins // 2, bins // 2] = 0.25, 0.75
    ab, mass = weighted_palette(hist, 5)
    assert torch.isfinite(ab).all()
    torch.testing.assert_close(mass, torch.tensor([[1.0, 0, 0, 0, 0], [0.75, 0.25, 0, 0, 0]]))
    torch.testing.assert_close(ab[0, 0], hc.palette(bins)[3, 4])
    torch.testing.assert_close(ab[1, :2], torch.stack([hc.palette(bins)[bins // 2, bins // 2], hc.palette(bins)[3, 4]]))
    assert (ab[mass == 0] == 0).all()
    assert torch.isfinite(ColourHints(bins, 8, colours=5)(hist)).all()


@pytest.mark.parametrize("bins", [16, 22, 64])
def test_global_hints_see_the_histogram_on_their_grid(bins):
    hints = GlobalHints(bins, 8)
    torch.testing.assert_close(hints.share.sum(0), torch.ones(bins))
    hist = hc.ab_histogram(srgb_colours()[0], bins)[None]
    coarse = hints.share @ hist @ hints.share.T
    assert coarse.sum() == pytest.approx(1)
    # mass keeps its place: the mean colour stays, as a bin's mass is taken as uniform within it
    along = torch.arange(SIDE) * STEP - AB_MAX
    grid = torch.stack(torch.meshgrid(along, along, indexing="ij"), dim=-1)
    mean = [torch.einsum("ij,ijc->c", h, p) for h, p in ((coarse[0], grid), (hist[0], hc.palette(bins)))]
    torch.testing.assert_close(mean[0], mean[1], atol=1.0, rtol=0)
    seen = []
    hints.layers.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    assert hints(hist).shape == (1, 8)
    assert seen[0].shape == (1, len(gamut_cells()) + 1)
    chroma = (hist[0] * hc.palette(bins).norm(dim=-1)).sum() / AB_MAX
    assert seen[0][0, -1] == pytest.approx(chroma.item())
    # at 64 bins little straddles the gamut's edge, and that alone is left out
    assert seen[0][0, :-1].square().sum() > (0.99 if bins == 64 else 0.8)


def test_four_layers():
    layers = fully_connected(5, 3, 4)
    assert [type(m).__name__ for layer in layers for m in layer] == ["Linear", "ReLU", "LayerNorm"] * 4
    assert layers(torch.rand(2, 5)).shape == (2, 3)


def test_they_learn(trained):
    name, _, folder = trained
    history = pd.read_csv(folder / "history.csv")
    assert ("classes" in history) == (name in CLASSIFIED)
    # without L_H, whose part in the loss goes with the number of cross-references
    losses = history["classes"] if "classes" in history else history["gt"] + history["grad"]
    assert losses.iloc[-1] < 0.97 * losses.iloc[0]


def test_they_are_saved_and_loaded(trained):
    name, model, folder = trained
    loaded = hc.load(folder / "model.safetensors")
    assert type(loaded) is TRAINED[name]
    assert loaded.config == TINY
    L, hist = torch.rand(2, 1, 32, 32) * 100, hc.ab_histogram(srgb_colours()[0], TINY.bins).expand(2, -1, -1)
    with torch.no_grad():
        y_ab = model(L, hist)
        torch.testing.assert_close(loaded(L, hist), y_ab, atol=0.02, rtol=0)  # float16
    assert y_ab.shape == (2, 2, 32, 32)
    assert 0 < y_ab.abs().max() <= 1
    raw = model.train()(L, hist)
    model.eval()
    assert raw.shape[1] == (261 if name in CLASSIFIED else 2)
    assert y_ab.requires_grad is False


def test_they_resume_to_the_same_bits(trained, pack, tmp_path):
    name, _, folder = trained
    run(name, pack, tmp_path, minutes=0)  # stops at the first line of the history
    run(name, pack, tmp_path)
    one, two = (torch.load(place / "state.pt", weights_only=True) for place in (folder, tmp_path))
    for part in ("model", "average"):
        assert one[part].keys() == two[part].keys()
        assert all(torch.equal(one[part][k], two[part][k]) for k in one[part])


def test_they_colour_a_photo_with_any_histogram(trained, photos):
    name, model, _ = trained
    image = hc.read_image(photos / "coffee_cup.jpg")[:, :90, :70]
    warm, cold = torch.zeros(2, TINY.bins, TINY.bins)
    warm[11:14, 10:13] = 1
    cold[5:7, 3:6] = 1
    encoded = hc.encode(model, image, size=64)
    if name in AUTOMATIC:
        with pytest.raises(ValueError, match="sees no histogram"):
            hc.colorize(model, encoded, warm)
        assert torch.equal(*(predict(model, encoded, h) for h in (warm, cold))), "an automatic method must not see it"
        assert hc.colorize(model, encoded).shape == image.shape
        return
    outputs = [hc.colorize(model, encoded, h) for h in (warm, cold)]
    assert outputs[0].shape == image.shape
    assert (outputs[0] - outputs[1]).abs().max() > 1e-4  # few steps: still faint
    both = hc.colorize(model, encoded, torch.stack([warm, cold]))
    torch.testing.assert_close(both, torch.stack(outputs), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["zhang2017", "xiao2019"])
def test_hints_are_as_large_as_what_they_are_added_to(name):
    model = build(TINY, name)
    hists = torch.zeros(2, TINY.bins, TINY.bins)
    hists[0, 11:14, 10:13], hists[1, 5:7, 3:6] = 1 / 9, 1 / 6
    hint = model.hints(hists)
    assert 0.8 < hint.std() < 1.2
    assert (hint[0] - hint[1]).std() > 0.5


def test_they_start_from_gray():
    for name in ("automatic", "iizuka2016", "zhang2017", "xiao2019"):
        model = build(TINY, name).eval()
        hist = torch.full((1, TINY.bins, TINY.bins), 1 / TINY.bins**2)
        with torch.no_grad():
            assert (model(torch.rand(1, 1, 32, 32) * 100, hist) == 0).all(), name


def test_fusion_sees_the_whole_photo_everywhere():
    model = build(TINY, "iizuka2016").eval()
    photo = model.encode(torch.rand(2, 1, 64, 64) * 100)
    assert photo.f_t.shape == (2, model.photo.backbone.channels[-1], 1, 1)
    hint = model.hints(photo.f_t)
    assert hint.shape == (2, 8 * TINY.width)
    assert not torch.equal(hint[0], hint[1])
    assert photo.expand(2).f_t.shape == photo.f_t.shape


def test_hypercolumns_stand_at_each_place():
    model = build(replace(TINY, squeeze=0), "larsson2016").eval()
    photo = model.encode(torch.rand(1, 1, 64, 64) * 100)
    assert photo.f_t.shape == (1, TINY.channels, 16, 16)
    assert model.unet.group1[0].in_channels == 1 + TINY.channels
    assert not any(name.startswith("photo.blocks") for name in model.state_dict())


def test_a_method_without_a_histogram_is_not_trained_with_one(pack):
    made = recipe("automatic")
    with pytest.raises(ValueError, match="'automatic' sees no histogram: it needs cross=0 and dropped=0"):
        replace(made, train=replace(made.train, cross=0.2)).make(pack)
    with pytest.raises(ValueError, match="no method 'nonesuch'; there are colorizer, automatic"):
        build(TINY, "nonesuch")


@pytest.mark.parametrize("method", ["automatic", "iizuka2016", "larsson2016"])
def test_checkpoints_without_the_backbone(tmp_path, method):
    model = build(TINY, method)
    if photo := getattr(model, "photo", None):
        load_imagenet_weights(photo.backbone, imagenet_weights(PACKAGED))
    save_model(model, tmp_path / "light.safetensors", backbone=False)
    one, other = model.state_dict(), baselines.load(tmp_path / "light.safetensors").state_dict()
    assert all(torch.equal(one[name].half(), other[name].half()) for name in one)
    assert (tmp_path / "light.safetensors").stat().st_size < 2e6
