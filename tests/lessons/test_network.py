"""Lesson 02's own parts: the diagram, the small scene, the colours chosen, and the stubs with their checks."""

import re
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import nbformat
import pytest
import torch
from matplotlib.patches import FancyBboxPatch

import histcolor as hc
from histcolor.attention import attend, balance, normalise
from histcolor.checkpoint import build
from histcolor.editor.explore import attention_maps
from histcolor.lessons import network
from histcolor.lessons.diagram import ARROWS, network_diagram, numbers

pytestmark = pytest.mark.usefixtures("style")
PAGE = nbformat.read(Path(__file__).parents[2] / "notebooks" / "02_network.ipynb", as_version=4)
STUBS = {stub.name: stub for stub in (network.PHI, network.WEIGH, network.REBALANCE)}


def words(figure):
    return "\n".join(text.get_text() for text in figure.axes[0].texts)


@pytest.fixture
def inputs():
    return torch.rand(3, 20, 30), torch.full((16, 16), 1 / 256), torch.rand(3, 20, 30)


def test_every_arrow_of_the_diagram_has_its_shape(inputs):
    symbols = words(network_diagram(*inputs))
    for key, (name, shape, _) in ARROWS.items():
        assert name in symbols, key
        assert shape in symbols, key


def test_the_diagram_has_a_models_numbers(inputs):
    model = build(hc.PRESETS["tiny"])
    filled = words(network_diagram(*inputs, numbers=numbers(model.config, model.photo.backbone.channels, (64, 96))))
    photo = model.encode(torch.full((1, 1, 64, 96), 50.0))
    tokens = model.tokens(torch.full((1, 16, 16), 1 / 256))
    expected = ("×".join(map(str, photo.f_t[0].shape)), f"{photo.f_t[0, 0].numel()}×{tokens.f_r.shape[1]}")
    assert expected == ("16×16×24", "384×64")
    for shape in (*expected, "24, 40, 112, 320", "1×64×96"):
        assert shape in filled
    assert "×H" not in filled


def test_a_blank_diagram_gives_nothing_away(inputs):
    blank = words(network_diagram(*inputs, blank=True))
    assert blank.count("?") == len(ARROWS)
    assert not any(sign in blank for sign in ("F_", "Phi_T", "T_L$\n", "×H", "×T"))


def test_the_painter_is_given_the_enlarged_map(inputs):
    axes = network_diagram(*inputs).axes[0]
    boxes = [patch.get_bbox() for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    s, c = sorted((box for box in boxes if box.width > 3), key=lambda box: box.x0)
    (enlarge,) = (text.get_position()[0] for text in axes.texts if text.get_text() == "enlarge")
    assert s.x0 < enlarge < s.x1 < c.x0, "S gives F_U, C takes it"


def test_tokens_with_hardly_any_attention_are_drawn_at_the_edge():
    mass, use = torch.tensor([0.6, 0.3, 0.0999, 1e-5]), torch.tensor([0.9, 0.1, 1e-6, 1e-6])
    figure = network.usage_figure({"one": use}, mass, torch.zeros(4, 2), [torch.rand(3, 4, 4)])
    shown, unused = (points.get_offsets().tolist() for points in figure.axes[0].collections)
    assert [x for x, _ in shown] == pytest.approx([0.6, 0.3])
    assert unused == [pytest.approx([0.0999, 1e-4])]
    assert [text.get_text() for text in figure.axes[0].texts] == ["▼ 1 token with\n10.0% of the mass"]


def test_the_small_scene_puts_the_right_colours_into_their_places():
    scene = network.small_scene()
    query, key = (normalise(scene.f_t).flatten(2).transpose(1, 2) / 0.2, normalise(scene.f_r, 2))
    attended = attend(query, key, None, scene.ab).unflatten(2, (8, 8))[0]
    assert attended[0, 4, 5] > 40, "a red house"
    assert attended[1, 0].mean() < -20, "a blue sky"
    assert attended[0, 7].mean() < -20, "green grass"
    assert scene.f_t.equal(network.small_scene().f_t), "the same for every class"


def test_main_colours_are_heavy_and_apart():
    torch.manual_seed(0)
    model = build(hc.PRESETS["tiny"]).eval()
    hist = torch.zeros(16, 16)
    hist[2, 2], hist[13, 13], hist[13, 12], hist[8, 8] = 0.2, 0.4, 0.3, 0.1
    maps = attention_maps(model, hc.encode(model, torch.rand(3, 32, 32), size=32), hist)
    centres = hc.palette(16)
    chosen = network.main_colours(maps, 3)
    assert chosen[0] in [tuple(centres[13, 13].tolist()), tuple(centres[13, 12].tolist())]
    assert chosen[1:] == [tuple(centres[2, 2].tolist()), tuple(centres[8, 8].tolist())]


def solutions():
    """The functions in the page's hidden solutions, by name."""
    found = {}
    for cell in PAGE.cells:
        for text in re.findall(r"```python\n(def .*?)```", cell.source, re.S):
            space = {"torch": torch}
            exec(text, space)
            found |= {name: space[name] for name in STUBS if name in space}
    return found


@pytest.mark.parametrize("name", STUBS)
def test_the_pages_solution_is_accepted(name):
    assert STUBS[name].check(solutions()[name]) == f"{name}: right."


@pytest.mark.parametrize(
    ("stub", "mistake"),
    [(stub, mistake) for stub in STUBS.values() for mistake in stub.mistakes],
    ids=lambda value: value.name if hasattr(value, "name") else value.__name__.strip("_"),
)
def test_typical_mistakes_are_explained(stub, mistake):
    answer = stub.check(lambda *inputs: mistake(*inputs))
    assert answer == f"{stub.name}: not yet. {' '.join(mistake.__doc__.split())}"


def test_other_answers_are_told_what_is_wrong():
    check = network.PHI.check
    assert check(lambda F_T: None) == "phi: not filled in yet."
    assert check(lambda F_T: F_T.nonesuch()).startswith("phi: stops with AttributeError: 'Tensor' object has no")
    assert check(lambda F_T: {1}) == "phi: must return a tensor, not set."
    assert check(lambda F_T: F_T[0]).endswith("The result has shape [5, 3, 4], needed is [1, 12, 5].")
    assert "The largest difference" in check(lambda F_T: torch.zeros(1, 12, 5))
    assert "not yet" in check(lambda F_T: torch.full((1, 12, 5), torch.nan))


def test_the_page_asks_each_stub_once():
    code = "\n".join(cell.source for cell in PAGE.cells if cell.cell_type == "code")
    for name in STUBS:
        assert code.count(f"def {name}(") == code.count(f"{name.upper()}.check({name})") == 1


def test_rebalancing_is_the_modules_first_round():
    logits, mass = 3 * torch.randn(1, 7, 4), torch.tensor([[0.5, 0.3, 0.15, 0.05]])
    weights = torch.softmax(logits + mass.log()[:, None], dim=2)
    module = torch.softmax(logits + balance(logits, mass.log(), 1)[:, None], dim=2)
    torch.testing.assert_close(network.REBALANCE.right(weights[0], mass[0]), module[0])
