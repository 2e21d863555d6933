"""What lesson 02 shows and asks: a small scene for equation (2), pictures of the attention, and the stubs' checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from histcolor.color import gray_rgb, lab_to_rgb, unscale_ab
from histcolor.edit import RADIUS
from histcolor.editor.explore import AttentionMaps, places_of, tokens_near
from histcolor.lessons.stub import Stub
from histcolor.plots import histogram_picture, image_grid, show_image, tint
from histcolor.unet import upsample


@dataclass(frozen=True)
class Scene:
    """A picture of 8 × 8 places with sky, grass and a house, and a histogram of three colours for it."""

    L: Tensor  #: ``[1, 1, 8, 8]`` in [0, 100]
    f_t: Tensor  #: F_T, ``[1, 3, 8, 8]``: how much a place is like sky, like grass, like a house
    f_r: Tensor  #: F_R, ``[1, 3, 3]``: how much each of three tokens (axis 1) belongs to sky, to grass, to a house
    ab: Tensor  #: the tokens' colours, blue, green and red: ``[1, 3, 2]``, a and b in [-110, 110]


def small_scene() -> Scene:
    """Make the scene; a little noise, always the same, stands for what a real network is unsure about."""
    kind = torch.tensor([[0] * 8] * 4 + [[1] * 8] * 4)
    kind[3:6, 4:7] = 2
    noise = torch.Generator().manual_seed(0)
    f_t = F.one_hot(kind, 3).permute(2, 0, 1)[None] + 0.25 * torch.randn(1, 3, 8, 8, generator=noise)
    f_r = torch.eye(3)[None] + 0.1 * torch.randn(1, 3, 3, generator=noise)
    L = torch.tensor([72.0, 55.0, 45.0])[kind][None, None]
    return Scene(L, f_t, f_r, torch.tensor([[[-8.0, -32.0], [-38.0, 38.0], [52.0, 34.0]]]))


def paint(L: Tensor, ab: Tensor) -> Tensor:
    """Put colours on a gray photo: L ``[1, 1, H, W]``, ab/110 ``[1, 2, h, w]`` → RGB ``[3, H, W]``."""
    return lab_to_rgb(torch.cat([L, unscale_ab(upsample(ab, L.shape[-2:]))], dim=1))[0]


def scene_figure(scene: Scene, weights: Tensor) -> Figure:
    """Draw the small scene: its L, the attention to each of its three tokens, and the attended colours.

    ``weights`` are softmax_j(M(i, j)), ``[1, 64, 3]``, each place summing to 1.
    """
    pixels = F.interpolate(scene.L, scale_factor=24, mode="nearest")
    gray = gray_rgb(pixels)[0]
    maps = F.interpolate(weights.transpose(1, 2).unflatten(2, (8, 8)), scale_factor=24, mode="nearest")[0]
    tinted = [tint(gray, heat, ab) for heat, ab in zip(maps, scene.ab[0], strict=True)]
    attended = torch.einsum("tyx,tc->cyx", maps, scene.ab[0])
    titles = ["8×8 places: $T_L$", "attention to blue", "… to green", "… to red", r"$\Sigma_j$ weight × colour"]
    return image_grid([[gray, *tinted, lab_to_rgb(torch.cat([pixels[0], attended]))]], titles, height=2.4)


def main_colours(maps: AttentionMaps, count: int, apart: float = 22.0) -> list[tuple[float, float]]:
    """Choose the heaviest colours of a histogram that are at least ``apart`` units of ab from one another."""
    chosen: list[Tensor] = []
    for ab in maps.colours.flatten(0, 1)[_mass_near(maps).flatten().argsort(descending=True)]:
        if all((ab - other).norm() >= apart for other in chosen):
            chosen.append(ab)
        if len(chosen) == count:
            break
    return [(float(a), float(b)) for a, b in chosen]


def _mass_near(maps: AttentionMaps) -> Tensor:
    """The mass within a brush's radius of each token, so that a broad hill counts more than a lonely peak."""
    colours = maps.colours.flatten(0, 1)
    near = (torch.cdist(colours, colours) <= RADIUS).float() @ maps.mass.flatten()
    return torch.where(maps.mass.flatten() > 0, near, 0).view_as(maps.mass)


def attention_figure(gray: Tensor, maps: AttentionMaps, colours: Sequence[tuple[float, float]]) -> Figure:
    """Draw where colours go: one picture for each of them, tinted with the colour itself.

    Args:
        gray: the gray photo, RGB ``[3, H, W]`` in [0, 1].
        maps: from :func:`histcolor.editor.explore.attention_maps`.
        colours: (a, b) each.
    """
    pictures, titles = [gray], ["the gray photo"]
    for a, b in colours:
        pictures.append(tint(gray, places_of(maps, (a, b)), (a, b)))
        share = float(maps.mass[tokens_near(maps, (a, b))].sum())
        titles.append(f"a {a:.0f}, b {b:.0f}: {share:.0%} of the mass".replace("-", "−"))
    return image_grid([pictures], titles, height=2.6)


def palette_figure(
    spots: Sequence[Tensor],
    answers: Mapping[bool, Sequence[Tensor]],
    changes: Mapping[bool, float],
    size: tuple[int, int],
) -> Figure:
    """Draw F_U' for two histograms without and with R_P, its C numbers reduced to three (PCA) and shown as RGB.

    Args:
        spots: two histograms, ``[bins, bins]``.
        answers: whether R_P was given → F_U' for each histogram, ``[1, C, places]``.
        changes: whether R_P was given → how much F_U' differs between the two, as a share.
        size: height and width of the grid of places.
    """
    rows = torch.cat([f_u[0].T for pair in answers.values() for f_u in pair])
    centred = rows - rows.mean(0)
    three = centred @ torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -3:]
    low, high = three.quantile(0.02), three.quantile(0.98)
    pictures = ((three - low) / (high - low)).clamp(0, 1).T.unflatten(1, (-1, *size)).unbind(1)
    targets = [F.pad(histogram_picture(spot / spot.sum(), 65.0), (1, 1, 1, 1), value=0.7) for spot in spots]
    columns = [
        "target histogram",
        *(f"{'with' if key else 'without'} $R_P$:\nchanges by {changes[key]:.1%}" for key in answers),
    ]
    pairs = [pictures[2 * i : 2 * i + 2] for i in range(len(answers))]
    return image_grid([[target, *(pair[i] for pair in pairs)] for i, target in enumerate(targets)], columns, height=1.9)


def usage_figure(uses: Mapping[str, Tensor], mass: Tensor, ab: Tensor, pictures: Sequence[Tensor]) -> Figure:
    """Draw how much each token is used against its mass, a panel for each way; below, the attended colours.

    Tokens that get less than the axes show stand at their lower edge, as triangles, with their number and their mass.

    Args:
        uses: title → each token's share of all attention, ``[T]``.
        mass: each token's share of the histogram, ``[T]``.
        ab: the tokens' colours divided by 110, ``[T, 2]``.
        pictures: RGB ``[3, H, W]``, one for each of ``uses``.
    """
    colours = lab_to_rgb(torch.cat([torch.full((1, len(ab), 1), 55.0), unscale_ab(ab).T[..., None]]))[..., 0].T.numpy()
    figure, axes = plt.subplots(2, len(uses), figsize=(3.4 * len(uses), 6.4), squeeze=False)
    ends = (1e-4, 1.0)
    for axis, (title, use) in zip(axes[0], uses.items(), strict=True):
        axis.plot(ends, ends, color="#374151", lw=1)
        look = {"edgecolors": "#374151", "linewidths": 0.3, "zorder": 3}
        shown, unused = (mass >= ends[0]) & (use >= ends[0]), (mass >= ends[0]) & (use < ends[0])
        axis.scatter(mass[shown], use[shown], s=28, c=colours[shown.numpy()], **look)
        if unused.any():
            count = int(unused.sum())
            axis.scatter(
                mass[unused],
                torch.full((count,), ends[0]),
                s=46,
                c=colours[unused.numpy()],
                marker="v",
                clip_on=False,
                **look,
            )
            words = f"▼ {count} token{'s' * (count > 1)} with\n{float(mass[unused].sum()):.1%} of the mass"
            axis.text(0.05, 0.95, words, transform=axis.transAxes, va="top", fontsize=11)
        axis.set(xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal", title=title)
        axis.set(xlabel="mass of the token", ylabel="its share of all attention")
    for axis, picture in zip(axes[1], pictures, strict=True):
        show_image(axis, picture)
    return figure


def _some(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def _centred(F_T: Tensor) -> Tensor:
    rows = F_T.flatten(2).transpose(1, 2)
    return rows - rows.mean(2, keepdim=True)


def _mixed_places(F_T):
    """Each row mixes numbers of several places, since reshape reads memory in order, channel by channel: flatten the
    places first (flatten(2)), then swap the axes (transpose(1, 2))."""
    rows = F_T.reshape(1, -1, F_T.shape[1])
    return F.normalize(rows - rows.mean(2, keepdim=True), dim=2)


def _not_centred(F_T):
    """The rows have length 1, but their mean is not 0: subtract each row's mean first."""
    return F.normalize(F_T.flatten(2).transpose(1, 2), dim=2)


def _not_normalised(F_T):
    """The rows are centred, but do not have length 1: divide each by its norm."""
    return _centred(F_T)


def _centred_channels(F_T):
    """You subtracted the mean over the places (dim=1): subtract each place's mean over its channels (dim=2)."""
    rows = F_T.flatten(2).transpose(1, 2)
    return F.normalize(rows - rows.mean(1, keepdim=True), dim=2)


def _normalised_channels(F_T):
    """You gave each channel length 1 (dim=1): each place, a row, needs length 1 (dim=2)."""
    return F.normalize(_centred(F_T), dim=1)


PHI = Stub(
    "phi",
    lambda F_T: F.normalize(_centred(F_T), dim=2),
    lambda: (_some(1, 5, 3, 4) + 1,),
    (_mixed_places, _not_centred, _not_normalised, _centred_channels, _normalised_channels),
)


def _over_places(M, mass, temperature):
    """The softmax runs over the places (dim=0), so each token shares itself among places: in (2) each place shares
    itself among tokens (dim=-1)."""
    return torch.softmax(M / temperature + mass.log(), dim=0)


def _without_mass(M, mass, temperature):
    """The mass is missing: all tokens count alike, the rare and the frequent ones."""
    return torch.softmax(M / temperature, dim=-1)


def _mass_added(M, mass, temperature):
    """You added the mass itself. Softmax takes exponentials, and a factor outside is a logarithm inside: add
    mass.log()."""
    return torch.softmax(M / temperature + mass, dim=-1)


def _mass_multiplied(M, mass, temperature):
    """You multiplied M by the mass, which changes how alike place and token are, not how often a token counts: add
    mass.log()."""
    return torch.softmax(M * mass / temperature, dim=-1)


def _times_temperature(M, mass, temperature):
    """You multiplied by the temperature: divide by it, so that a low one makes the choice sharper."""
    return torch.softmax(M * temperature + mass.log(), dim=-1)


def _mass_divided(M, mass, temperature):
    """The temperature divides the logarithm of the mass, too: only M is divided."""
    return torch.softmax((M + mass.log()) / temperature, dim=-1)


WEIGH = Stub(
    "weigh",
    lambda M, mass, temperature: torch.softmax(M / temperature + mass.log(), dim=-1),
    lambda: (_some(6, 4).tanh(), torch.tensor([0.5, 0.3, 0.15, 0.05]), 0.25),
    (_over_places, _without_mass, _mass_added, _mass_multiplied, _times_temperature, _mass_divided),
)


def _rows_to_one(weights: Tensor) -> Tensor:
    return weights / weights.sum(1, keepdim=True)


def _rows_left(weights, mass):
    """The columns are right, but a place's weights do not sum to 1 any more: divide each row by its sum."""
    return weights * (mass / weights.mean(0))


def _all_alike(weights, mass):
    """Now every token is used alike: a column's mean should be the token's mass."""
    return _rows_to_one(weights / weights.mean(0))


def _use_ignored(weights, mass):
    """You multiplied by the mass, but did not divide by what each token already gets: weights.mean(0)."""
    return _rows_to_one(weights * mass)


def _wrong_mean(weights, mass):
    """You divided by the mean over the tokens: what a token gets is its mean over the places, weights.mean(0)."""
    return weights * mass / weights.mean(1, keepdim=True)


REBALANCE = Stub(
    "rebalance",
    lambda weights, mass: _rows_to_one(weights * (mass / weights.mean(0))),
    lambda: (torch.softmax(_some(6, 4), dim=-1), torch.tensor([0.5, 0.3, 0.15, 0.05])),
    (_rows_left, _all_alike, _use_ignored, _wrong_mean),
)
