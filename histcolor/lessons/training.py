"""What lesson 03 shows and asks: spoilt colours, packs, figures of runs, λ2's trade, the paper's stages, the stubs."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torchvision.transforms.functional import center_crop, gaussian_blur

from histcolor.batch import Batch
from histcolor.color import AB_MAX, gray_rgb, lab_to_rgb, rgb_to_lab
from histcolor.colorize import colorize, resize
from histcolor.data import Pack, build_pack
from histcolor.demo import demo_photo, save_demo_crops
from histcolor.experiments.charts import FAINT, INK
from histcolor.experiments.definition import read_experiment
from histcolor.experiments.recipe import Recipe, option_fields
from histcolor.experiments.styling import BLUE, GRAY, GREEN, ORANGE
from histcolor.histogram import ab_histogram, intersection, soft_ab_histogram
from histcolor.images import read_csv, write_image
from histcolor.lessons.notebook import project_root
from histcolor.lessons.stub import Stub
from histcolor.losses import Loss, huber, sobel
from histcolor.metrics import FIDELITY_BINS, colourfulness, psnr, round8
from histcolor.model import PRESETS, ModelConfig
from histcolor.optimize import TrainConfig, learning_rate
from histcolor.plots import image_grid, show_histogram, show_image
from histcolor.validate import make_validator

TRAIN_ON, TEST_ON = ("astronaut", "motorcycle", "rocket"), ("chelsea", "coffee")  #: no photo is in both
#: where our recipe differs: what the paper says, or the plainest choice where it says nothing
PAPER_RULES = {
    "lr": 1e-4, "schedule": "constant", "warmup": 1, "weight_decay": 0.0, "cross": 0.0, "ema": 0.0, "clip": 1e9,
    "precision": "float32",
}  # fmt: skip
#: photos of the paper's D_t, and of ImageNet's training set without it
TINY_SET, LARGE_SET = 10_000, 1_281_167 - 10_000

# --- section 1: the loss ---


def spoil(t_ab: Tensor, seed: int = 0) -> dict[str, Tensor]:
    """Spoil a photo's colours in five ways; ab/110 ``[1, 2, H, W]`` → the same, by what was done, the truth first."""
    shuffle = torch.randperm(t_ab[0, 0].numel(), generator=torch.Generator().manual_seed(seed))
    return {
        "the truth": t_ab,
        "no colour": 0 * t_ab,
        "opposite hues": -t_ab,
        "tinted": t_ab + t_ab.new_tensor([0.0, -0.1])[:, None, None],
        "blurred": gaussian_blur(t_ab, 31, 6.0),
        "shuffled": t_ab.flatten(2)[..., shuffle].view_as(t_ab),
    }


def losses_figure(L: Tensor, spoilt: Mapping[str, Tensor], weighted: pd.DataFrame) -> Figure:
    """Draw what each term of the loss notices of spoilt colours: where, or in which bins, and how much.

    Args:
        L: ``[1, H, W]`` in [0, 100].
        spoilt: from :func:`spoil`.
        weighted: the terms of (3), each with its weight; a line for each of ``spoilt``.
    """
    t_ab = spoilt["the truth"]
    target = soft_ab_histogram(t_ab * AB_MAX, FIDELITY_BINS)[0]
    rows = [[], [], []]
    for y in spoilt.values():
        rows[0].append(huber(y, t_ab).sum(1)[0])
        rows[1].append(huber(sobel(y), sobel(t_ab)).sum(1)[0])
        rows[2].append((soft_ab_histogram(y * AB_MAX, FIDELITY_BINS)[0] - target).T)  # b upwards
    names = ("where $L_{GT}$ sees errors", "where $L_{Grad}$ does", "$T_H - R_H$, for $L_H$")
    figure, axes = plt.subplots(4, len(spoilt), figsize=(12.6, 9.4))
    for column, (name, y) in enumerate(spoilt.items()):
        show_image(axes[0, column], lab_to_rgb(torch.cat([L, y[0] * AB_MAX])))
        axes[0, column].set_title(name, fontsize=14)
        for row, maps in enumerate(rows):
            axis, top = axes[row + 1, column], float(torch.stack(maps).abs().quantile(0.99))
            look = (
                {"cmap": "gist_heat_r", "vmin": 0} if row < 2 else {"cmap": "PuOr_r", "vmin": -top, "origin": "lower"}
            )
            axis.imshow(maps[column].numpy(), vmax=top, **look)
            number = weighted.iloc[column, row]
            axis.set_xlabel("blind: 0" if column and number < 1e-6 else f"{number:.3f}", fontsize=13)
            if column and number < 1e-6:
                axis.xaxis.label.set(color=ORANGE, weight="bold")
            axis.set(xticks=(), yticks=())
            axis.spines[:].set(visible=True, color=FAINT)
    for axis, name in zip(axes[1:, 0], names, strict=True):
        axis.set_ylabel(name, fontsize=13)
    figure.suptitle("Two terms are blind to something; all three together see every error here", fontsize=15)
    return figure


# --- sections 2 to 4: data and runs ---


def make_packs(work: Path, photos: int, size: int, data: str = "", seed: int = 0) -> tuple[Pack, Pack, pd.DataFrame]:
    """Make a pack to train on and one to test on, of crops of scikit-image's photos; no photo is in both.

    Args:
        work: the folder for them; the run of an earlier call is removed from it, but not if there is ``data``.
        photos: how many crops to train on. A gray photo and a tiny file are added, which a pack rejects.
        size: pixels a side that the network will see.
        data: another pack to train on, seen from the project's folder.
        seed: decides where the crops lie.

    Returns:
        The two packs, and up to four of the files that were rejected: columns ``file`` and ``rejected``, the reason.
    """
    for old in ("photos", "test_photos", "train", "test", "unbroken", "killed", *(() if data else ("run",))):
        shutil.rmtree(work / old, ignore_errors=True)
    save_demo_crops(work / "test_photos", 30, names=TEST_ON, seed=1)
    build_pack([work / "test_photos"], work / "test", size, quiet=True)
    folder = project_root() / data if data else work / "train"
    if not data:
        save_demo_crops(work / "photos", photos, names=TRAIN_ON, seed=seed)
        write_image(demo_photo("camera"), work / "photos/added_gray.jpg")
        write_image(demo_photo("rocket")[:, :16, :16], work / "photos/added_tiny.jpg")
        build_pack([work / "photos"], folder, size + size // 8, quiet=True)
    left_out = pd.read_csv(folder / "manifest.csv").dropna(subset="rejected")
    return Pack.open(folder), Pack.open(work / "test"), left_out.tail(4)[["file", "rejected"]]


def short_recipe(preset: str, *, steps: int, batch_size: int, size: int, seed: int) -> Recipe:
    """Make the recipe of a short run: the preset's own, or the paper's rules for the preset ``paper``."""
    log_every = min(50, max(1, steps // 30))
    rules = PAPER_RULES if preset == "paper" else {"warmup": max(1, steps // 10)}
    config = {"steps": steps, "batch_size": batch_size, "size": size, "seed": seed, "log_every": log_every}
    return Recipe(PRESETS[preset], Loss(), TrainConfig(save_every=5 * log_every, **config, **rules))


def batch_figure(batch: Batch, share: Sequence[float], shown: int = 6) -> Figure:
    """Draw a batch: the true photos, what the network sees of them, and their target histograms.

    ``share`` says for each photo how much of its target histogram is its own: see :class:`histcolor.batch.Plan`.
    """
    shown = min(shown, len(batch.L))
    figure, axes = plt.subplots(3, shown, figsize=(2.2 * shown, 6.6), squeeze=False)
    for i in range(shown):
        show_image(axes[0, i], lab_to_rgb(torch.cat([batch.L[i], batch.t_ab[i] * AB_MAX])))
        show_image(axes[1, i], gray_rgb(batch.L[i : i + 1])[0])
        kind = {1.0: "self-reference", 0.0: "cross-reference"}.get(float(share[i]), f"{share[i]:.0%} its own")
        show_histogram(axes[2, i], batch.hist[i], float(batch.L[i].mean()), kind)
        axes[2, i].title.set(fontsize=12, color=INK if share[i] == 1 else ORANGE)
        axes[2, i].set(xticks=(), yticks=(), xlabel="", ylabel="")
    for axis, name in zip(axes[:, 0], ("the true photo", "the network sees: $T_L$", "and $R_H$"), strict=True):
        axis.text(-0.06, 0.5, name, transform=axis.transAxes, rotation=90, ha="right", va="center", fontsize=12)
    return figure


def resume_figure(by_hand: Sequence[float], module: Sequence[dict], killed: Sequence[dict], resumed: Sequence[dict]):
    """Draw the losses of one run computed three times: by the page's loop, by ``train``, and killed and resumed.

    All but the first are lines of a history, with ``step`` and ``loss``.
    """
    figure, axis = plt.subplots(figsize=(8.4, 4))
    axis.plot(range(1, len(by_hand) + 1), by_hand, color=BLUE, alpha=0.3, lw=9, label="the loop on this page")
    looks = {"train()": (module, {"marker": ".", "color": INK, "ms": 7}), "killed": (killed, {"marker": "x"})}
    looks["killed"][1].update(color=ORANGE, ms=12, mew=2.2)
    looks["resumed from its last checkpoint"] = (resumed, {"marker": "o", "mfc": "none", "ms": 12, "color": GREEN})
    for name, (lines, look) in looks.items():
        axis.plot([x["step"] for x in lines], [x["loss"] for x in lines], ls="", label=name, **{"mew": 1.8, **look})
    axis.set_title("One curve, computed three times", fontsize=14)
    axis.set(xlabel="step", ylabel="loss (3)")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=10)
    return figure


def make_checks(train_pack: Pack, test_pack: Pack, size: int) -> Callable[[nn.Module, int], dict[str, float]]:
    """Make the validator of the short run: the test's numbers, and ``psnr_train``, on crops that it trains on."""
    seen, unseen = (make_validator(pack, size=size, photos=20) for pack in (train_pack, test_pack))
    return lambda model, step: {**unseen(model, step), "psnr_train": seen(model, step)["psnr"]}


def curves_figure(history: pd.DataFrame, shipped: Mapping[str, float]) -> Figure:
    """Draw a short run: the loss, and the PSNR gained on photos that it trains on and on others.

    Args:
        history: a run's ``history.csv``, with the columns of :func:`make_checks`; the first line
            is that of the first weights.
        shipped: what :func:`make_checks` measured for the shipped model.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11.4, 4.2))
    losses, checks = history.dropna(subset="loss"), history.dropna(subset="psnr")
    left.plot(losses["photos"], losses["loss"], color=GRAY, alpha=0.35, lw=1)
    smooth = losses["loss"].rolling(max(1, len(losses) // 6), min_periods=1, center=True).mean()
    left.plot(losses["photos"], smooth, color=INK, lw=2.6)
    left.set_title("The loss (3) falls …", fontsize=14)
    left.set(xlabel="photos seen", ylim=(0, None))
    for column, name, colour in (("psnr_train", "it trains on", BLUE), ("psnr", "it never sees", ORANGE)):
        gained = checks[column] - checks[column].iloc[0]
        right.plot(checks["photos"], gained, "-o", color=colour, lw=2.4, ms=5, label=f"photos that {name}")
    right.axhline(0, color=FAINT, lw=1.2, zorder=0)
    right.axhline(shipped["psnr"] - checks["psnr"].iloc[0], color=ORANGE, ls="--", lw=1.6, label="… the shipped model")
    right.set_title("… but does PSNR rise on other photos, too?", fontsize=14)
    right.set(xlabel="photos seen", ylabel="PSNR gained since the first weights, dB")
    right.margins(y=0.12)
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=11)
    return figure


def photos_figure(models: Mapping[str, nn.Module], train_pack: Pack, size: int) -> Figure:
    """Draw what models make of a photo that was trained on, and of the two of the test, one with the other's colours.

    ``models`` by the titles of their columns.
    """
    crops = [torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255 for pixels in train_pack.images[:40]]
    seen = max(crops, key=lambda crop: float(colourfulness(crop)))
    first, second = (resize(center_crop(x, [min(x.shape[1:])] * 2), seen.shape[1:]) for x in map(demo_photo, TEST_ON))
    rows, notes = [], []
    for photo, reference in ((seen, seen), (first, first), (second, second), (second, first)):
        lab, ab = rgb_to_lab(photo), rgb_to_lab(reference)[1:]
        row = [round8(colorize(m, photo, ab_histogram(ab, m.config.bins), size=size)) for m in models.values()]
        if photo is reference:
            marks = [f"{float(psnr(rgb, photo)):.1f} dB" for rgb in row]
        else:
            has, target = (ab_histogram(rgb_to_lab(torch.stack(x))[:, 1:], FIDELITY_BINS) for x in (row, [reference]))
            marks = [f"fidelity {value:.2f}" for value in intersection(has, target).tolist()]
        rows.append([gray_rgb(lab[None, :1])[0], reference, *row])
        notes.append(["", "", *marks])
    labels = ("it trained on this", "it never saw this", "nor this", "colours of another")
    figure = image_grid(rows, ["gray", "target from", *models], notes=notes, height=2.2)
    for i, label in enumerate(labels):
        axis = figure.axes[i * len(rows[0])]
        axis.text(-0.05, 0.5, label, transform=axis.transAxes, rotation=90, ha="right", va="center")
    for axis in figure.axes:
        axis.title.set_fontsize(13)
        for text in axis.texts:
            text.set_fontsize(12)
    return figure


# --- section 5: λ2 ---


def lambda_2_trials(results: Path) -> pd.DataFrame:
    """Read what λ2 did in the experiment of the losses, against its run with λ2 = 10: same budget, photos and seed.

    With cross-reference λ2 is the same.

    Args:
        results: the project's folder of results, with ``tables/losses``.

    Returns:
        Columns ``lambda_2``, and ``psnr`` (dB) and ``fidelity`` (intersection, cross-reference), both minus those of
        λ2 = 10.
    """
    methods = read_experiment(project_root() / "notebooks/experiments.toml", "losses").methods
    weights = {method.name: method.recipe.loss.lambda_2 for method in methods if method.recipe.loss.lambda_1}
    pairs = read_csv(results / "tables/losses/differences.csv").query("method in @weights")
    trials = pairs.pivot(index="method", columns="number", values="difference")[["psnr", "cross_intersection"]]
    trials.loc["all three"] = 0.0
    trials.insert(0, "lambda_2", trials.index.map(weights))
    return trials.rename(columns={"cross_intersection": "fidelity"}).sort_values("lambda_2", ignore_index=True)


def lambda_2_figure(trials: pd.DataFrame, chosen: Sequence[float]) -> Figure:
    """Draw PSNR over histogram fidelity for all λ2 of :func:`lambda_2_trials`, and mark the chosen ones."""
    figure, axis = plt.subplots(figsize=(8, 4.8))
    axis.axhline(0, color=FAINT, lw=1.2, zorder=0)
    axis.axvline(0, color=FAINT, lw=1.2, zorder=0)
    axis.plot("fidelity", "psnr", data=trials, color=GRAY, lw=1.6, zorder=1)
    for line in trials.itertuples():
        on = line.lambda_2 in chosen
        look = {"ms": 15 if on else 9, "color": ORANGE if on else GRAY, "zorder": 2}
        axis.plot(line.fidelity, line.psnr, "o", **look)
        text = f"$\\lambda_2$ = {line.lambda_2:g}" if line.lambda_2 else "without $L_H$"
        if on and line.lambda_2 != 10:
            text += f"\n{line.psnr:+.2f} dB, {line.fidelity:+.2f}".replace("-", "−")
        place = {"xytext": (13, 9) if line.lambda_2 else (-20, -32), "textcoords": "offset points", "va": "center"}
        look = {"color": INK if on else "#6b7280", "fontsize": 13 if on else 11}
        axis.annotate(text, (line.fidelity, line.psnr), **look, **place)
    axis.set_title("The more the histogram counts, the nearer to the target, and the lower PSNR", fontsize=13)
    axis.set_xlabel("histogram fidelity (intersection, cross-reference), against $\\lambda_2$ = 10", fontsize=11)
    axis.set_ylabel("PSNR in dB, against $\\lambda_2$ = 10", fontsize=11)
    axis.margins(x=0.36, y=0.18)
    return figure


# --- section 6: long runs ---


def options(recipe: Recipe, preset: str) -> str:
    """Write the options of ``histcolor train`` that give a recipe: those that differ from the preset's defaults."""
    plain, words = Recipe(PRESETS[preset]), [f"--preset {preset}"]
    parts = {ModelConfig: "model", Loss: "loss", TrainConfig: "train"}
    for name, (kind, _) in option_fields().items():
        here, there = (getattr(getattr(one, parts[kind]), name) for one in (recipe, plain))
        if here != there:
            option = name.replace("_", "-")
            words.append(f"--{'' if here else 'no-'}{option}" if isinstance(here, bool) else f"--{option} {here}")
    return " ".join(words)


def paper_stages(batch_size: int = 8, seed: int = 0) -> tuple[list[tuple[str, Recipe]], pd.DataFrame]:
    """Plan the paper's three stages of training (3.1).

    The paper does not say how large a batch is. For D_l it counts all of ImageNet's training photos without D_t.

    Returns:
        The command of each stage with the recipe that it stands for, and a table of the stages.
    """
    commands, table, init = [], [], ""
    for stage, (data, count, size, epochs, schedule) in enumerate(
        (
            ("data/imagenet-tiny", TINY_SET, 128, 100, "constant"),
            ("data/imagenet-144", LARGE_SET, 128, 3, "constant"),
            ("data/imagenet-288", LARGE_SET, 256, 3, "step"),
        ),
        start=1,
    ):
        steps = math.ceil(epochs * count / batch_size)
        rules = PAPER_RULES | {"schedule": schedule, "size": size, "steps": steps, "batch_size": batch_size}
        recipe = Recipe(PRESETS["paper"], train=TrainConfig(seed=seed, **rules))
        run = f"runs/paper-{stage}"
        commands.append((f"histcolor train --data {data} --run {run} {options(recipe, 'paper')}{init}", recipe))
        init = f" --init {run}/model.safetensors"
        rates = (f"{learning_rate(recipe.train, k * steps // epochs):.0e}" for k in (0, epochs // 2, epochs - 1))
        table.append([stage, f"{size}×{size}", epochs, steps, epochs * count, " → ".join(dict.fromkeys(rates))])
    return commands, pd.DataFrame(table, columns=["stage", "pixels", "epochs", "steps", "photos seen", "learning rate"])


# --- the stubs ---


def _some(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def _squares(x, y, delta):
    """This is ½(x − y)² everywhere: from δ on the function must be a straight line, so that large errors count less."""
    return (x - y) ** 2 / 2


def _lines(x, y, delta):
    """This is the straight line everywhere: where |x − y| < δ the function is ½(x − y)²."""
    return delta * (x - y).abs() - delta**2 / 2


def _jump(x, y, delta):
    """There is a jump at δ: the straight line needs − ½δ², so that both parts meet."""
    d = (x - y).abs()
    return torch.where(d < delta, d**2 / 2, delta * d)


def _no_half(x, y, delta):
    """The ½ of the square is missing: at δ the parts do not meet."""
    d = (x - y).abs()
    return torch.where(d < delta, d**2, delta * d - delta**2 / 2)


def _signed(x, y, delta):
    """You compared x − y with δ, not |x − y|: large negative errors are still squared."""
    d = x - y
    return torch.where(d < delta, d**2 / 2, delta * d - delta**2 / 2)


def _divided(x, y, delta):
    """You divided by δ (the smooth L1 loss): Huber's function is δ times that."""
    d = (x - y).abs()
    return torch.where(d < delta, d**2 / 2 / delta, d - delta / 2)


def _huber(x, y, delta):
    d = (x - y).abs()
    return torch.where(d < delta, d**2 / 2, delta * d - delta**2 / 2)


HUBER = Stub(
    "huber",
    _huber,
    lambda: (_some(6, 5), _some(6, 7)[:, :5], 0.5),
    (_squares, _lines, _jump, _no_half, _signed, _divided),
)


def _lambda_1_everywhere(gt, grad, hist, own, lambda_1, lambda_2):
    """You multiplied L_GT by λ1, too: in (3) λ1 is the weight of L_Grad alone."""
    return (own * lambda_1 * (gt + grad) + lambda_2 * hist).mean()


def _all_terms(gt, grad, hist, own, lambda_1, lambda_2):
    """With cross-reference the photo is not the true result: there L_GT and L_Grad must not count (multiply by own)."""
    return (gt + lambda_1 * grad + lambda_2 * hist).mean()


def _only_own(gt, grad, hist, own, lambda_1, lambda_2):
    """L_H counts with cross-reference, too: it is the only term that does. Multiply L_GT and L_Grad alone by own."""
    return (own * (gt + lambda_1 * grad + lambda_2 * hist)).mean()


def _weights_swapped(gt, grad, hist, own, lambda_1, lambda_2):
    """λ1 and λ2 are swapped: in (3) λ1 is the weight of L_Grad, λ2 that of L_H."""
    return (own * (gt + lambda_2 * grad) + lambda_1 * hist).mean()


def _each_photo(gt, grad, hist, own, lambda_1, lambda_2):
    """This is one number for each photo: a gradient needs one number for the batch, the mean."""
    return own * (gt + lambda_1 * grad) + lambda_2 * hist


def _summed(gt, grad, hist, own, lambda_1, lambda_2):
    """This is the sum over the batch, so a larger batch would have a larger loss: take the mean."""
    return (own * (gt + lambda_1 * grad) + lambda_2 * hist).sum()


TOTAL = Stub(
    "total",
    lambda gt, grad, hist, own, lambda_1, lambda_2: (own * (gt + lambda_1 * grad) + lambda_2 * hist).mean(),
    lambda: (*(_some(6, k).abs().mean(1) for k in (2, 3, 4)), torch.tensor([1.0, 0, 1, 1, 0, 1]), 0.7, 10.0),
    (_all_terms, _only_own, _weights_swapped, _lambda_1_everywhere, _each_photo, _summed),
)


def _cosine(step, steps):
    return 0.5 * (1 + torch.cos(math.pi * step / steps))


def _no_warmup(step, steps, peak, warmup):
    """The warm-up is missing: multiply by (step + 1) / warmup, but at most by 1."""
    return peak * _cosine(step, steps)


def _endless_warmup(step, steps, peak, warmup):
    """The warm-up never ends: its factor must not become larger than 1 (clamp(max=1))."""
    return peak * (step + 1) / warmup * _cosine(step, steps)


def _from_zero(step, steps, peak, warmup):
    """The first step has the rate 0, so it is lost: steps count from 0, the warm-up takes step + 1."""
    return peak * (step / warmup).clamp(max=1) * _cosine(step, steps)


def _negative(step, steps, peak, warmup):
    """This is the cosine itself, which becomes negative: raise it by 1 and halve it."""
    return peak * ((step + 1) / warmup).clamp(max=1) * torch.cos(math.pi * step / steps)


def _only_warmup(step, steps, peak, warmup):
    """After the warm-up the rate stays at its peak: multiply by ½(1 + cos(π · step / steps))."""
    return peak * ((step + 1) / warmup).clamp(max=1)


def _no_peak(step, steps, peak, warmup):
    """The peak is missing: this rises to about 1, and the rate should rise to the peak."""
    return ((step + 1) / warmup).clamp(max=1) * _cosine(step, steps)


RATE = Stub(
    "rate",
    lambda step, steps, peak, warmup: peak * ((step + 1) / warmup).clamp(max=1) * _cosine(step, steps),
    lambda: (torch.arange(40.0), 40, 2.0, 8),
    (_no_warmup, _endless_warmup, _from_zero, _negative, _only_warmup, _no_peak),
)
