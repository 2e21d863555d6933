"""The editor through its traits, without a browser."""

import copy
import gc
import io
import resource
import sys
from datetime import UTC, datetime

import ipywidgets
import numpy as np
import pytest
import torch
import traitlets
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_painting import ACTIONS

import histcolor as hc
from histcolor import edit
from histcolor.editor.controls import STATIC, TOOLS
from histcolor.editor.widget import HistogramEditor
from histcolor.plots import visible_mass


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return hc.Colorizer(hc.ModelConfig(**{**vars(hc.PRESETS["tiny"]), "bins": 8, "keep": 16})).eval()


@pytest.fixture(scope="module")
def photo():
    return hc.demo_photo("chelsea")[:, 60:220, 100:300]


@pytest.fixture
def editor(model, photo):
    editor = HistogramEditor(model, photo, hc.demo_photo("coffee"), size=32, transport=0.0)
    editor.wait()
    yield editor
    editor.close()


def plane_of(editor):
    return np.frombuffer(editor.plane.mass, np.uint8).reshape(8, 8)


def uploaded(name, content):
    """What a FileUpload holds after a reader chose a file."""
    time = datetime.fromtimestamp(0, UTC)
    return ({"name": name, "type": "", "size": len(content), "last_modified": time, "content": memoryview(content)},)


def assert_consistent(editor):
    """The page shows the histogram that the kernel holds, and its picture."""
    result = editor.wait()
    assert result.target is editor.hist
    assert (plane_of(editor) == (visible_mass(editor.hist) * 255).round().byte().numpy()).all()
    assert editor.photo_view.version == editor.version
    state = editor.painting.state
    assert editor.controls.hue.value == pytest.approx(max(-180, min(180, state.hue)))
    assert [m.value for m in editor.controls.mix] == pytest.approx(list(state.mix))
    assert editor.controls.undo.disabled == (not editor.painting.done)
    assert editor.controls.redo.disabled == (not editor.painting.undone)
    assert editor.edit == {}


def test_an_edit_changes_plane_and_picture(editor):
    before, picture, version = plane_of(editor).copy(), editor.photo_view.after, editor.version
    editor.edit = {"tool": "paint", "path": [(0, 90)], "radius": 20, "strength": 1}
    result = editor.wait()
    changed = np.argwhere(plane_of(editor) > before)
    assert {tuple(place) for place in changed.tolist()} >= {(3, 7), (4, 7)}  # a around 0, b around 90
    assert editor.photo_view.after != picture
    assert editor.version > version
    assert "Hellinger" in editor.controls.number.value
    assert f"{result.distance:.3f}" in editor.controls.number.value
    assert_consistent(editor)
    editor.edit = {"tool": "undo"}
    assert (plane_of(editor) == before).all()
    assert_consistent(editor)


def test_the_same_edit_twice_is_two_edits(editor):
    for _ in range(2):
        editor.edit = {"tool": "paint", "path": [(0, 90)], "strength": 0.5}
    assert len(editor.painting.done) == 2


def test_what_the_page_sends(editor):
    editor.plane.edit = {"tool": "paint", "path": [[0, 90], [10, 90]], "radius": 20, "strength": 0.5, "serial": 1}
    assert len(editor.painting.done) == 1
    editor.plane.edit = {"tool": "undo", "serial": 2}
    assert not editor.painting.done
    assert_consistent(editor)


def test_controls_edit_and_follow(editor):
    controls = editor.controls
    controls.hue.value = 90
    controls.saturation.value = 0.5
    controls.mix[0].value = 0.5
    assert (editor.painting.state.hue, editor.painting.state.saturation) == (90, 0.5)
    assert editor.painting.state.mix == (0.5, 0, 1)
    controls.undo.click()
    assert controls.mix[0].value == 0
    controls.reset.click()
    assert (controls.hue.value, controls.saturation.value) == (0, 1)
    controls.redo.click()  # nothing to redo after an edit
    controls.palette.value = "#00f"
    assert editor.hist.equal(edit.from_palette("#00f", 8))
    controls.clip.click()
    assert editor.hist.equal(edit.clip_to_gamut(edit.from_palette("#00f", 8), editor.live.lightness))
    controls.radius.value = 33
    assert editor.plane.radius == 33
    for _, tool, _, _ in TOOLS:
        editor.plane.tool = tool  # as its key does
        assert controls.tools.value == editor.photo_view.tool == editor.reference_view.tool == tool
    controls.transport.value = 1.0
    assert editor.transport == 1.0
    assert_consistent(editor)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ({"tool": "paint", "path": [(0, 999)]}, "got 999"),
        ({"tool": "smear"}, "no tool 'smear'"),
        ({"tool": "palette", "colours": "red"}, "entry 1 is 'red'"),
        ({"tool": "mix", "weights": [0, 0, 0]}, "must not all be 0"),
        ({"tool": "erase", "path": [(0, 0)], "radius": 500}, "leaves no colour"),
    ],
)
def test_a_bad_edit_is_said_in_one_sentence(editor, action, words):
    before = editor.hist
    editor.edit = action
    assert words in editor.message
    assert words.replace("'", "&#x27;") in editor.controls.message.value
    assert editor.hist is before
    assert_consistent(editor)
    editor.edit = {"tool": "paint", "path": [(0, 0)]}
    assert editor.message == ""


def test_sliders_at_nothing_are_refused_and_put_back(editor):
    editor.controls.mix[2].value = 0
    assert "must not all be 0" in editor.message
    assert editor.controls.mix[2].value == 1
    assert_consistent(editor)


def test_eyedropper_picks_from_every_photo(editor, photo):
    editor.controls.tools.value = "pick"
    small = hc.demo_photo("coffee")
    editor.reference_view.pick = {"x": 0.5, "y": 0.9, "serial": 1}
    a, b = editor.plane.mark
    _, height, width = small.shape
    around = hc.rgb_to_lab(small[:, int(0.9 * height) - 5 : int(0.9 * height) + 6, width // 2 - 5 : width // 2 + 6])
    assert (a, b) == pytest.approx(around[1:].mean((1, 2)).tolist(), abs=4)
    assert editor.hist.equal(edit.paint(editor.painting.first.painted, (a, b), radius=12, strength=0.1))
    editor.photo_view.divider = 0.5
    editor.photo_view.pick = {"x": 0.2, "y": 0.5, "serial": 2}  # the gray side
    assert editor.plane.mark == pytest.approx([0, 0], abs=0.5)
    editor.photo_view.pick = {"x": 1.0, "y": 1.0, "serial": 3}  # the corner itself
    rgb = editor.wait().rgb
    assert editor.message == ""
    assert len(editor.painting.done) == 3
    assert rgb.shape[0] == 3


def test_explorer_both_ways(editor):
    editor.controls.tools.value = "look"
    editor.photo_view.look = {"x": 0.3, "y": 0.7, "serial": 1}
    glow = np.frombuffer(editor.plane.glow, np.uint8)
    assert glow.size == 64
    assert glow.max() == 255
    assert len(editor.plane.mark) == 2
    editor.plane.look = {"ab": editor.plane.mark, "serial": 2}
    assert editor.plane.glow == b""
    assert editor.photo_view.heat.startswith(b"\xff\xd8")
    editor.edit = {"tool": "hue", "degrees": 90}  # another histogram: the old heat map is wrong
    assert editor.photo_view.heat == b""
    editor.plane.look = {"ab": [0, 0], "serial": 3}
    editor.controls.tools.value = "paint"
    assert editor.photo_view.heat == b""


def test_choosing_photos_and_references(editor, tmp_path):
    editor.controls.names.value = "astronaut"
    assert editor.live.photo.L.shape == (1, 512, 512)
    assert editor.wait().rgb.shape == (3, 512, 512)
    editor.controls.references.value = "rocket"
    assert editor.painting.state.mix == (0, 1, 0)
    content = (editor.photo_view.before, editor.reference_view.after)
    editor.controls.own_photo.value = uploaded("x.jpg", b"no photo")
    assert "not a readable image" in editor.message
    assert (editor.photo_view.before, editor.reference_view.after) == content
    file = tmp_path / "small.png"
    Image.new("L", (30, 20), 90).save(file)
    editor.controls.own_photo.value = uploaded("small.png", file.read_bytes())
    assert editor.message == ""
    assert editor.wait().rgb.shape == (3, 20, 30)
    editor.controls.own_reference.value = uploaded("small.png", file.read_bytes())
    assert editor.hist.sum() == pytest.approx(1)
    assert editor.hist.max() > 0.2  # gray alone
    assert_consistent(editor)


def test_a_gray_photo_says_how_to_begin(model):
    editor = HistogramEditor(model, torch.full((3, 20, 30), 0.4), size=32)
    assert "choose a reference" in editor.message
    editor.edit = {"tool": "average"}
    assert "not taught to colour without a histogram" in editor.message
    assert editor.controls.average.layout.display == "none"
    editor.edit = {"tool": "palette", "colours": "#c33"}
    assert editor.message == ""
    editor.close()


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_wrong_transport_strength(editor, model, photo, bad):
    before = editor.transport
    with pytest.raises(traitlets.TraitError, match="transport"):
        editor.transport = bad
    assert editor.transport == editor.controls.transport.value == before
    with pytest.raises(traitlets.TraitError, match="transport"):
        HistogramEditor(model, photo, size=32, transport=bad)


def test_average_histogram(model, photo):
    model = copy.deepcopy(model)
    model.average[2, 6], model.average[4, 4] = 0.5, 1.5
    gray = HistogramEditor(model, torch.full((3, 20, 30), 0.4), size=32)
    assert "the network chose its colours" in gray.message
    assert torch.equal(gray.hist, model.average / 2)
    assert torch.equal(gray.wait().rgb, hc.colorize(model, torch.full((3, 20, 30), 0.4), size=32))
    editor = HistogramEditor(model, photo, size=32)
    assert editor.transport == editor.controls.transport.value == 0.5
    assert torch.equal(editor.wait().rgb, hc.colorize(model, photo, editor.hist, transport=0.5, size=32))
    first = editor.hist
    assert not torch.equal(first, model.average / 2)
    assert editor.controls.average.layout.display is None
    editor.controls.average.click()
    assert torch.equal(editor.hist, model.average / 2)
    assert_consistent(editor)
    editor.edit = {"tool": "undo"}
    assert torch.equal(editor.hist, first)
    gray.close()
    editor.close()


def test_saving_and_loading(editor, model, photo, tmp_path):
    editor.edit = {"tool": "paint", "path": [(0, 90)], "strength": 1}
    editor.transport = 0.5
    editor.save_picture(tmp_path / "out.png")
    expected = hc.colorize(model, photo, editor.hist, transport=0.5, size=32)
    assert torch.allclose(hc.read_image(tmp_path / "out.png"), expected, atol=0.5 / 255 + 1e-5)
    editor.save_histogram(tmp_path / "out.npy")
    saved = np.load(tmp_path / "out.npy")
    assert (saved.shape, saved.dtype) == ((8, 8), np.float32)
    editor.save_histogram(tmp_path / "plane.png")
    assert hc.read_image(tmp_path / "plane.png").shape == (3, 64, 64)
    editor.edit = {"tool": "reset"}
    editor.load_histogram(tmp_path / "out.npy")
    assert torch.allclose(editor.hist, torch.from_numpy(saved), atol=1e-7)
    (tmp_path / "bad.npy").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"bad\.npy: is no \.npy file"):
        editor.load_histogram(tmp_path / "bad.npy")
    editor.controls.own_histogram.value = uploaded("h.npy", b"x")
    assert "h.npy: is no .npy file" in editor.message


def test_downloads_hold_what_the_kernel_has(editor, monkeypatch):
    sent = []
    monkeypatch.setattr(editor.photo_view, "send", lambda content, buffers: sent.append((content, buffers[0])))
    for button in editor.controls.saves.values():
        button.click()
    names = [content["name"] for content, _ in sent]
    assert names == ["coloured.png", "histogram.npy", "histogram.png"]
    assert sent[0][1].startswith(b"\x89PNG")
    assert (np.load(io.BytesIO(sent[1][1])) == editor.hist.numpy()).all()


def test_every_part_can_be_named_and_reached(editor):
    """Each control has a name and a tip for those who can not see it; the scripts need no network."""

    def parts(widget):
        yield widget
        for child in getattr(widget, "children", ()):
            yield from parts(child)

    for part in parts(editor):
        if isinstance(part, ipywidgets.Button | ipywidgets.FloatSlider | ipywidgets.FileUpload):
            assert part.tooltip
            assert part.description
    for script in STATIC.glob("*.js"):
        assert "http" not in script.read_text()


def test_a_failure_in_the_background_is_said(editor, monkeypatch):
    def full(*_, **__):
        raise MemoryError("no memory left")

    monkeypatch.setattr(sys.modules["histcolor.editor.live"], "colorize", full)
    editor.edit = {"tool": "paint", "path": [(0, 0)]}
    with pytest.raises(MemoryError):
        editor.wait()
    assert editor.message == "The picture could not be made: no memory left"
    monkeypatch.undo()
    editor.edit = {"tool": "undo"}
    assert editor.message == ""
    assert_consistent(editor)


@pytest.mark.slow
def test_a_thousand_random_edits(model, photo):
    """No exception, the state consistent after each sequence, and memory flat."""
    editor = HistogramEditor(model, photo, size=32)
    count, memory = 0, []

    @settings(deadline=None, max_examples=130, derandomize=True, database=None)
    @given(st.lists(ACTIONS, min_size=6, max_size=12), st.floats(0, 1))
    def run(actions, strength):
        nonlocal count
        for action in actions:
            editor.edit = action
            count += 1
        editor.transport = strength
        assert_consistent(editor)
        gc.collect()
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)

    run()
    editor.close()
    assert count >= 1000
    # the peak may still rise while caches fill; over the second half it is flat to within 20 MB
    assert memory[-1] - memory[len(memory) // 2] < 20
