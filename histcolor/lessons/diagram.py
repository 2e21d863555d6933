"""The network as one picture: Figure 1 of the paper drawn anew, with a shape on every arrow."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, Polygon, Rectangle
from torch import Tensor

from histcolor.images import to_uint8
from histcolor.model import ModelConfig
from histcolor.plots import histogram_picture

PHOTO, HIST, MATCH, PAINT, INK = "#2b6cb0", "#b7791f", "#6b46c1", "#2f855a", "#1f2937"
LIGHT = {PHOTO: "#dbeafe", HIST: "#fdf0cf", MATCH: "#ede4fb", PAINT: "#d9f2e1"}
#: each arrow's name, its shape in the paper's symbols, and the same shape filled with a model's numbers
ARROWS = {
    "T_L": (r"$T_L$", "1×H×W", "1×{H}×{W}"),
    "maps": ("four maps", "$c_k$×H/$s_k$×W/$s_k$", "{c}"),
    "laterals": ("", "$c$×H/4×W/4, each", "{lateral}×{h}×{w}, each"),
    "joined": ("", "C×H/4×W/4", "{C}×{h}×{w}"),
    "F_T": (r"$F_T$", "C×H/4×W/4", "{C}×{h}×{w}"),
    "R_I": (r"$R_I$", "3×B×B", "3×{B}×{B}"),
    "stem": ("", "64×√T×√T", "64×{t}×{t}"),
    "F_R": (r"$F_R$", "C×√T×√T", "{C}×{t}×{t}"),
    "Phi_T": (r"$\Phi_T$", r"$\frac{HW}{16}$×C", "{places}×{C}"),
    "Phi_R": (r"$\Phi_R^\top$", "C×T", "{C}×{T}"),
    "M": ("M", r"$\frac{HW}{16}$×T", "{places}×{T}"),
    "F_U'": (r"$F_U'$", "C×H/4×W/4", "{C}×{h}×{w}"),
    "F_U": (r"$F_U$", "C×H×W", "{F}×{H}×{W}"),
    "T_L again": (r"$T_L$", "1×H×W", "1×{H}×{W}"),
    "Y_ab": (r"$Y_{ab}$", "2×H×W", "2×{H}×{W}"),
}


def numbers(config: ModelConfig, channels: Sequence[int], size: tuple[int, int]) -> dict[str, object]:
    """Collect what the shapes of :data:`ARROWS` are for a model, its backbone's channels and a working size (H, W)."""
    H, W = size
    return {
        "H": H, "W": W, "h": H // 4, "w": W // 4, "C": config.channels, "B": config.bins, "lateral": config.lateral,
        "t": config.bins // config.stride, "places": H * W // 16, "c": ", ".join(map(str, channels)),
        "T": config.keep or (config.bins // config.stride) ** 2, "F": config.squeeze or config.channels,
    }  # fmt: skip


class _Board:
    """A drawing area of 16 × 8 units, with the few kinds of things that the diagram is made of."""

    def __init__(self, axes: Axes, labels: dict[str, tuple[str, str]]) -> None:
        self.axes, self.labels = axes, labels
        axes.set(xlim=(0, 16), ylim=(0, 8), aspect="equal")
        axes.set_axis_off()

    def text(self, x: float, y: float, words: str, size: float = 11.5, **options) -> None:
        options = {"ha": "center", "va": "center", "color": INK, **options}
        self.axes.text(x, y, words, fontsize=size, **options)

    def panel(self, x: float, y: float, width: float, height: float, colour: str, title: str) -> None:
        style = "round,pad=0,rounding_size=0.25"
        self.axes.add_patch(
            FancyBboxPatch((x, y), width, height, boxstyle=style, fc="#f8fafc", ec=colour, lw=1.6, ls=(0, (5, 3)))
        )
        left, top = x + 0.2, y + height - 0.32
        self.text(left, top, title, 13, ha="left", color=colour, weight="bold")

    def box(self, x: float, y: float, width: float, height: float, colour: str, words: str) -> None:
        """A layer, centred on (x, y)."""
        corner, style = (x - width / 2, y - height / 2), "round,pad=0,rounding_size=0.1"
        self.axes.add_patch(
            FancyBboxPatch(corner, width, height, boxstyle=style, fc=LIGHT[colour], ec=colour, lw=1.6, zorder=3)
        )
        self.text(x, y, words, zorder=4)

    def matrix(self, x: float, y: float, rows: int, columns: int, colour: str, *, cell: float = 0.14) -> None:
        """A matrix of cells, its lower left corner at (x, y)."""
        for i in range(rows):
            for j in range(columns):
                place = (x + j * cell, y + i * cell)
                self.axes.add_patch(Rectangle(place, cell, cell, fc=LIGHT[colour], ec=colour, lw=0.7, zorder=3))

    def join(self, x: float, y: float, colour: str) -> None:
        """The paper's ⊕: concatenation."""
        self.axes.add_patch(Circle((x, y), 0.2, fc="white", ec=colour, lw=1.6, zorder=3))
        self.axes.plot((x - 0.2, x + 0.2), (y, y), color=colour, lw=1.4, zorder=4)
        self.axes.plot((x, x), (y - 0.2, y + 0.2), color=colour, lw=1.4, zorder=4)

    def arrow(
        self,
        points: Sequence[tuple[float, float]],
        colour: str,
        key: str = "",
        at: tuple[float, float] = (0, 0),
        **text,
    ) -> None:
        """A bent line with a head at its end; its name and shape stand at ``at``."""
        *start, before, end = points
        self.axes.plot(*zip(*start, before, strict=True), color=colour, lw=1.8, solid_joinstyle="round", zorder=2)
        style = {"arrowstyle": "-|>,head_width=0.28,head_length=0.5", "color": colour, "lw": 1.8, "shrinkA": 0}
        self.axes.annotate("", end, before, arrowprops={**style, "shrinkB": 0}, zorder=2)
        if key:
            self.text(*at, "\n".join(filter(None, self.labels[key])), 11, color=colour, linespacing=1.25, **text)

    def picture(self, rgb: Tensor, x: float, y: float, side: float, words: str, colour: str = INK) -> None:
        """A square picture, centred on (x, y), with words below it."""
        short = min(rgb.shape[1:])
        top, left = ((n - short) // 2 for n in rgb.shape[1:])
        square = rgb[None, :, top : top + short, left : left + short]
        small = F.interpolate(square, (192, 192), mode="bilinear", antialias=True)[0].clamp(0, 1)
        extent = (x - side / 2, x + side / 2, y - side / 2, y + side / 2)
        self.axes.imshow(to_uint8(small), extent=extent, zorder=3)
        self.axes.add_patch(Rectangle(extent[::2], side, side, fill=False, ec=colour, lw=1.2, zorder=4))
        self.text(x, y - side / 2 - 0.14, words, 11, va="top", color=colour)


def network_diagram(
    gray: Tensor, hist: Tensor, coloured: Tensor, *, numbers: dict[str, object] | None = None, blank: bool = False
) -> Figure:
    """Draw the network from its two inputs to the coloured photo, with a shape on every arrow.

    Args:
        gray: the gray photo, RGB ``[3, H, W]`` in [0, 1].
        hist: the target histogram, ``[bins, bins]``.
        coloured: the result, RGB ``[3, H, W]`` in [0, 1].
        numbers: of one model, from :func:`numbers`; None: shapes are in the paper's symbols.
        blank: draw a question mark for every name and shape, for learners to fill in.
    """
    labels = {
        key: ("", "?") if blank else (name, filled.format(**numbers) if numbers else symbols)
        for key, (name, symbols, filled) in ARROWS.items()
    }
    figure, axes = plt.subplots(figsize=(14, 7), layout="none")
    figure.subplots_adjust(0, 0, 1, 1)
    board = _Board(axes, labels)
    if not blank:
        board.text(0.1, 7.75, "S finds out which colour belongs where, C paints", 15, ha="left", weight="bold")
    board.panel(2.5, 0.1, 9.25, 6.85, MATCH, "S")
    board.panel(11.95, 2.0, 3.95, 3.6, PAINT, "C")
    _photo_branch(board, gray)
    _histogram_branch(board, hist)
    _attention(board)
    _painter(board, coloured)
    return figure


def _photo_branch(board: _Board, gray: Tensor) -> None:
    y = 5.35
    board.picture(gray, 0.75, y, 1.4, "gray photo", PHOTO)
    board.arrow([(1.45, y), (2.85, y)], PHOTO, "T_L", (1.97, y + 0.38))
    board.axes.add_patch(
        Polygon([(2.85, y + 0.85), (4.0, y + 0.5), (4.0, y - 0.5), (2.85, y - 0.85)], closed=True,
                fc=LIGHT[PHOTO], ec=PHOTO, lw=1.6, zorder=3)
    )  # fmt: skip
    board.text(3.43, y, "ImageNet\nnetwork\n(pretrained)", zorder=4)
    for k, side in enumerate((0.42, 0.32, 0.22, 0.14)):
        middle = y + 0.72 - 0.48 * k
        board.axes.plot((4.0, 4.45), (y + 0.3 - 0.2 * k, middle), color=PHOTO, lw=1.2, zorder=1)
        corner = (4.66 - side / 2, middle - side / 2)
        board.axes.add_patch(Rectangle(corner, side, side, fc=LIGHT[PHOTO], ec=PHOTO, lw=1.2, zorder=3))
        board.arrow([(4.9, middle), (5.2, middle)], PHOTO)
        board.box(5.82, middle, 1.24, 0.4, PHOTO, "2 conv 3×3")
        board.axes.plot((6.44, 6.95), (middle, y), color=PHOTO, lw=1.2, zorder=1)
    board.text(4.66, y + 1.25, "\n".join(filter(None, board.labels["maps"])), 11, color=PHOTO)
    board.text(7.5, y + 0.82, "".join(board.labels["laterals"]), 11, color=PHOTO)
    board.join(7.1, y, PHOTO)
    board.arrow([(7.3, y), (8.55, y)], PHOTO, "joined", (7.92, y + 0.25))
    board.box(9.15, y, 1.2, 0.9, PHOTO, "3 residual\nblocks")


def _histogram_branch(board: _Board, hist: Tensor) -> None:
    y = 1.1
    board.picture(histogram_picture(hist, 65.0), 0.75, y, 1.4, "target histogram", HIST)
    board.arrow([(1.45, y), (2.9, y)], HIST, "R_I", (1.97, y + 0.38))
    board.text(1.97, y - 0.25, r"$[R_H, R_P]$", 10, color=HIST)
    board.box(3.6, y, 1.4, 0.9, HIST, "conv 3×3\n64 channels")
    board.arrow([(4.3, y), (5.6, y)], HIST, "stem", (4.95, y + 0.25))
    board.box(6.2, y, 1.2, 0.9, HIST, "3 residual\nblocks")


def _attention(board: _Board) -> None:
    x, y, cell = 6.1, 2.6, 0.14
    rows, columns, channels = 9, 12, 3
    board.matrix(x - 0.75, y, rows, channels, PHOTO)
    board.matrix(x, y, rows, columns, MATCH)
    board.matrix(x, y - 0.62, channels, columns, HIST)
    wide, tall = columns * cell, rows * cell
    plate = {"boxstyle": "round,pad=0.25", "fc": LIGHT[MATCH], "ec": "none"}
    board.text(x - 0.95, y + tall / 2, "\n".join(filter(None, board.labels["Phi_T"])), 12.5, ha="right", color=PHOTO)
    board.text(x + wide + 0.12, y - 0.41, "  ".join(filter(None, board.labels["Phi_R"])), 12, ha="left", color=HIST)
    board.text(x + wide / 2, y + tall / 2, "\n".join(filter(None, board.labels["M"])), 12.5, zorder=5, bbox=plate)
    board.arrow(
        [(9.15, 4.9), (9.15, 4.15), (x - 0.54, 4.15), (x - 0.54, y + tall)], PHOTO, "F_T", (9.27, 4.5), ha="left"
    )
    board.arrow(
        [(6.8, 1.1), (x + wide / 2, 1.1), (x + wide / 2, y - 0.62)], HIST, "F_R", (x + wide / 2 + 0.14, 1.4), ha="left"
    )
    board.arrow([(x + wide, y + tall / 2), (8.15, y + tall / 2)], MATCH)
    board.box(9.0, y + tall / 2, 1.7, 0.95, MATCH, "softmax over\ntokens, then\n" + r"$\Sigma_j\,\ldots\,\Phi_R(j)$")
    board.text(9.0, y - 0.08, "equation (2)", 11, color=MATCH)
    board.arrow([(9.85, y + tall / 2), (11.15, y + tall / 2)], MATCH, "F_U'", (10.5, y + tall / 2 + 0.38))
    board.box(11.4, y + tall / 2, 0.5, 0.95, MATCH, "")
    board.text(11.4, y + tall / 2, "enlarge", 11, rotation=90, zorder=5)
    board.text(
        2.7,
        3.23,
        "M has a row\nfor each place\nof the photo,\na column for\neach token",
        11,
        ha="left",
        color="#4b5563",
    )


def _painter(board: _Board, coloured: Tensor) -> None:
    y = 3.23
    board.arrow([(11.65, y), (13.1, y)], MATCH, "F_U", (12.6, y + 0.38))
    board.arrow([(0.75, 6.05), (0.75, 7.3), (13.3, 7.3), (13.3, y + 0.2)], PHOTO, "T_L again", (13.45, 6.4), ha="left")
    board.join(13.3, y, PAINT)
    heights = (1.7, 1.2, 0.8, 0.5, 0.5, 0.5, 0.8, 1.2, 1.7)
    for k, height in enumerate(heights):
        corner = (13.72 + 0.21 * k, y - height / 2)
        board.axes.add_patch(Rectangle(corner, 0.14, height, fc=LIGHT[PAINT], ec=PAINT, lw=1.3, zorder=3))
    for k in range(3):
        left, right, top = 13.79 + 0.21 * k, 13.79 + 0.21 * (8 - k), y - heights[k] / 2
        low = y - 1.02 + 0.1 * k
        board.axes.plot((left, left, right, right), (top, low, low, top), color=PAINT, lw=1, zorder=1)
    board.arrow([(13.5, y), (13.72, y)], PAINT)
    board.text(14.62, y + 1.3, "U-Net: ten groups,\nthree skips, added", 11, color=PAINT)
    board.arrow([(15.54, y), (15.72, y), (15.72, 0.95), (14.35, 0.95)], PAINT, "Y_ab", (15.05, 1.33))
    board.picture(coloured, 13.65, 0.95, 1.4, "", PAINT)
    board.text(12.85, 0.95, "result:\n" + r"$[T_L, Y_{ab}]$", 11, ha="right", color=PAINT)
