"""The editor through its traits, without a browser."""

import copy
import gc
import io
import json
import resource
import sys
import threading
import weakref

import ipywidgets
import numpy as np
import pytest
import torch
import traitlets
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence
from test_painting import ACTIONS

import histcolor as hc
from histcolor import edit
from histcolor.baselines import TRAINED
from histcolor.editor.painting import MOST, PINS
from histcolor.editor.parts import STATIC, FileButton, PhotoView, PlaneView, Slider
from histcolor.editor.saved import PICTURES
from histcolor.editor.starts import PALETTES, REFERENCES, real_histograms
from histcolor.editor.widget import HistogramEditor
from histcolor.histogram import resize_histogram
from histcolor.plots import visible_mass


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """The same on all processors."""
    monkeypatch.setenv("HISTCOLOR_PRECISION", "float32")


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


def say(part, content, *buffers):
    """Send a message as the page does."""
    part._handle_custom_msg(content, [memoryview(buffer) for buffer in buffers])


def slide(slider, value):
    say(slider, {"kind": "slide", "value": value})


def upload(button, name, content, size=1000):
    """What a reader's file becomes: messages with its pieces."""
    pieces = [content[i : i + size] for i in range(0, len(content), size)]
    for i, piece in enumerate(pieces):
        say(button, {"kind": "file", "name": name, "piece": i, "pieces": len(pieces)}, piece)


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def assert_consistent(editor):
    """The page shows the histogram that the kernel holds, and its picture."""
    result = editor.wait()
    assert result.target is editor.hist
    assert (plane_of(editor) == (visible_mass(editor.hist) * 255).round().byte().numpy()).all()
    assert editor.photo_view.version == editor.version
    state = editor.painting.state
    assert editor.controls.hue.value == state.hue
    assert [m.value for m in editor.controls.mix] == pytest.approx(list(state.mix))
    assert editor.controls.buttons["undo"].disabled == (not editor.painting.done)
    assert editor.controls.buttons["redo"].disabled == (not editor.painting.undone)
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
    stroke = {"tool": "paint", "path": [[0, 90], [10, 90]], "radius": 20, "strength": 0.5}
    assert editor.plane.fresh
    first = editor.hist
    say(editor.plane, {"kind": "preview", **stroke})
    preview = editor.wait()
    assert editor.hist is first
    assert editor.plane.fresh, "a preview is no edit"
    assert preview.target.equal(edit.paint(first, stroke["path"], radius=20, strength=0.5))
    say(editor.plane, {"kind": "preview"})  # the stroke was given up
    assert_consistent(editor)
    say(editor.plane, {"kind": "edit", **stroke})
    assert len(editor.painting.done) == 1
    assert not editor.plane.fresh
    assert torch.equal(editor.wait().rgb, preview.rgb)
    say(editor.plane, {"kind": "edit", "tool": "undo"})
    assert not editor.painting.done
    assert_consistent(editor)
    say(editor.plane, {"kind": "preview", "tool": "palette", "colours": "#c33"})
    assert editor.message == "Only paint, erase, move, pin can be previewed."


def test_controls_edit_and_follow(editor):
    controls = editor.controls
    slide(controls.hue, 90)
    slide(controls.saturation, 0.5)
    slide(controls.mix[0], 0.5)
    assert (editor.painting.state.hue, editor.painting.state.saturation) == (90, 0.5)
    assert editor.painting.state.mix == (0.5, 0, 1)
    controls.buttons["undo"].click()
    assert controls.mix[0].value == 0
    controls.buttons["redo"].click()
    assert controls.mix[0].value == 0.5
    editor.edit = {"tool": "reset"}
    assert (controls.hue.value, controls.saturation.value) == (0, 1)
    controls.palette.value = "#00f"
    assert editor.hist.equal(edit.from_palette("#00f", 8))
    controls.buttons["clip"].click()
    assert editor.hist.equal(edit.clip_to_gamut(edit.from_palette("#00f", 8), editor.live.lightness))
    slide(controls.radius, 33)
    assert controls.radius.value == 33
    slide(controls.transport, 1.0)
    assert editor.transport == 1.0
    assert_consistent(editor)


def test_reset_resets_everything(editor):
    controls, first = editor.controls, editor.hist
    start = [part.value for part in controls.parts if isinstance(part, Slider)]
    for slider in (controls.radius, controls.strength, controls.transport, controls.hue, controls.mix[1]):
        slide(slider, slider.high)
    controls.palette.value, controls.tools.value = "#00f", "Move"
    say(editor.plane, {"kind": "edit", "tool": "smear"})
    controls.buttons["reset"].click()
    assert [part.value for part in controls.parts if isinstance(part, Slider)] == start
    assert (editor.transport, controls.tools.value, controls.palette.value, editor.message) == (0, "Paint", "", "")
    assert editor.hist.equal(first)
    assert_consistent(editor)
    controls.menus["reference"].value = "rocket"
    rocket = editor.hist
    editor.edit = {"tool": "hue", "degrees": 50}
    editor.reset()
    assert torch.allclose(editor.hist, rocket, atol=1e-7), "the reference image in use counts"


def test_no_value_comes_back_from_the_page(editor):
    """A page that echoes a rounded value, or sends an old one, changes nothing."""
    editor.edit = {"tool": "hue", "degrees": 33.3}
    before = editor.hist
    for part, name in ((editor.controls.hue, "value"), (editor.controls.transport, "value"), (editor.plane, "mass")):
        old = getattr(part, name)
        part.set_state({name: 33.0 if name == "value" else b"x"})
        assert getattr(part, name) == old
        assert editor.message == f"The page may not set {name}: reload the page."
    assert editor.hist is before
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
    slide(editor.controls.mix[2], 0)
    assert "must not all be 0" in editor.message
    assert editor.controls.mix[2].value == 1
    assert_consistent(editor)


def test_eyedropper_picks_from_every_photo(editor, photo):
    editor.controls.tools.value = "Pick"
    small = hc.demo_photo("coffee")
    say(editor.reference_view, {"kind": "pick", "x": 0.5, "y": 0.9, "gray": False})
    a, b = editor.plane.mark
    _, height, width = small.shape
    around = hc.rgb_to_lab(small[:, int(0.9 * height) - 5 : int(0.9 * height) + 6, width // 2 - 5 : width // 2 + 6])
    assert (a, b) == pytest.approx(around[1:].mean((1, 2)).tolist(), abs=4)
    assert editor.hist.equal(edit.paint(editor.painting.first.painted, (a, b), radius=12, strength=0.1))
    say(editor.photo_view, {"kind": "pick", "x": 0.2, "y": 0.5, "gray": True})
    assert editor.plane.mark == pytest.approx([0, 0], abs=0.5)
    say(editor.photo_view, {"kind": "pick", "x": 1, "y": 1, "gray": False})  # the corner itself
    rgb = editor.wait().rgb
    assert editor.message == ""
    assert len(editor.painting.done) == 3
    assert rgb.shape[0] == 3


def test_explorer_both_ways(editor):
    editor.controls.tools.value = "Look"
    say(editor.photo_view, {"kind": "look", "x": 0.3, "y": 0.7})
    rings = np.array(editor.plane.rings)
    assert 1 <= len(rings) <= 5
    assert 0.03 <= rings[:, 3].min() <= rings[:, 3].sum() <= 1.001
    assert len(editor.plane.mark) == 2
    say(editor.plane, {"kind": "look", "ab": editor.plane.mark})
    assert editor.plane.rings == []
    assert editor.photo_view.heat.startswith(b"\xff\xd8")
    editor.edit = {"tool": "hue", "degrees": 90}  # another histogram: the old heat map is wrong
    assert editor.photo_view.heat == b""
    say(editor.plane, {"kind": "look", "ab": [0, 0]})
    assert editor.photo_view.heat
    editor.controls.tools.value = "Paint"
    assert editor.photo_view.heat == b""


def test_choosing_photos_and_references(editor, tmp_path):
    menus, files = editor.controls.menus, editor.controls.files
    assert (menus["photo"].value, menus["reference"].value) == ("photo from Python", "reference from Python")
    menus["photo"].value = "astronaut"
    assert editor.live.photo.L.shape == (1, 512, 512)
    assert editor.wait().rgb.shape == (3, 512, 512)
    menus["reference"].value = "rocket"
    assert editor.painting.state.mix == (0, 1, 0)
    content = (editor.photo_view.before, editor.reference_view.after)
    upload(files["photo"], "x.jpg", b"no photo")
    assert editor.message.startswith("x.jpg: is not a readable image")
    assert (menus["photo"].value, files["photo"].held) == ("astronaut", "")
    assert (editor.photo_view.before, editor.reference_view.after) == content
    file = tmp_path / "small.png"
    Image.new("L", (30, 20), 90).save(file)
    upload(files["photo"], "small.png", file.read_bytes(), 50)
    assert editor.message == ""
    assert (menus["photo"].value, files["photo"].held) == ("small.png", "small.png")
    assert editor.wait().rgb.shape == (3, 20, 30)
    menus["photo"].value = "chelsea"
    assert files["photo"].held == ""
    menus["photo"].value = "small.png"  # what was loaded before is still there
    assert editor.wait().rgb.shape == (3, 20, 30)
    upload(files["reference"], "small.png", file.read_bytes())
    assert menus["reference"].value == "small.png"
    assert editor.hist.sum() == pytest.approx(1)
    assert editor.hist.max() > 0.2  # gray alone
    assert_consistent(editor)


def test_own_files_of_one_name_stand_side_by_side(editor):
    menu, pictures = editor.controls.menus["photo"], []
    for shade in (90, 200):
        Image.new("L", (30, 20), shade).save(file := io.BytesIO(), "png")
        pictures.append(file.getvalue())
    for content in (*pictures, *pictures):
        upload(editor.controls.files["photo"], "1.png", content)
    assert [name for name in menu.options if "1.png" in name[1]] == [(x, x) for x in ("1.png", "1.png (2)")]
    for name, shade in (("1.png", 90), ("1.png (2)", 200)):
        menu.value = name
        assert editor.controls.files["photo"].held == name
        assert float(editor.wait().rgb.mean()) == pytest.approx(shade / 255, abs=0.1)


def test_texts_tell_of_the_state_that_there_is(editor):
    typed, loaded = editor.controls.palette, editor.controls.files["saved"]
    typed.value = "#00f"
    editor.edit = {"tool": "hue", "degrees": 20}
    assert typed.value == "#00f"
    for _ in range(2):
        editor.edit = {"tool": "undo"}
    assert typed.value == ""
    typed.value = "#00f"  # so it can be typed again
    assert len(editor.painting.done) == 1
    typed.value = "no colour"
    assert editor.message
    assert typed.value == "no colour", "to be mended"
    upload(loaded, "flat.npy", npy(np.ones((4, 4), np.uint8)))
    assert (typed.value, loaded.held) == ("", "flat.npy")
    editor.reset()
    assert loaded.held == ""


def test_a_closed_editor_takes_no_photo(editor, photo):
    live = editor.live
    editor.close()
    with pytest.raises(ValueError, match="The editor was closed"):
        editor.use_photo(photo)
    assert editor.live is live


def test_undo_brings_back_the_reference_image(editor):
    menu, shown = editor.controls.menus["reference"], editor.reference_view
    before, hist = (menu.value, shown.after), editor.hist
    menu.value = "rocket"
    chosen = (menu.value, shown.after)
    assert chosen[1] != before[1]
    editor.edit = {"tool": "undo"}
    assert (menu.value, shown.after) == before
    assert torch.allclose(editor.hist, hist, atol=1e-7)
    editor.edit = {"tool": "redo"}
    assert (menu.value, shown.after) == chosen
    assert_consistent(editor)


def test_a_choice_that_fails_is_not_shown_as_chosen(editor, tmp_path):
    menus = editor.controls.menus
    for what, use in (("photo", editor.use_photo), ("reference", editor.use_reference)):
        Image.new("RGB", (30, 20), "#286").save(tmp_path / "gone.png")
        use(tmp_path / "gone.png")
        menus[what].value = "rocket"
        (tmp_path / "gone.png").unlink()
        done = editor.painting.done
        menus[what].value = "gone.png"
        assert "gone.png" in editor.message
        assert menus[what].value == "rocket"
        assert editor.painting.done is done
    assert_consistent(editor)


def test_a_late_picture_of_the_photo_before_is_dropped(editor):
    before, result = editor.live, editor.wait()
    editor.use_photo("rocket")
    editor.wait()
    seen = (editor.version, editor.photo_view.after, editor.message, len(editor.film.frames))
    editor._show_result(before, None, result)
    editor._show_failure(before, ValueError("of the photo before"))
    assert (editor.version, editor.photo_view.after, editor.message, len(editor.film.frames)) == seen


def test_no_change_is_lost_between_two_threads(editor, monkeypatch):
    """While the thread that makes pictures sends one, the user chooses a pin."""
    sending, tried, sent = threading.Event(), threading.Event(), []

    def slow(self, key=None):
        names = [key] if isinstance(key, str) else sorted(key or ())
        sent.extend((name, getattr(self, name)) for name in names)
        if "version" in names:
            sending.set()
            tried.wait(0.3)

    monkeypatch.setattr(PhotoView, "send_state", slow)
    view = editor.photo_view

    def worker():
        with view.hold_sync():
            view.version = 1000

    thread = threading.Thread(target=worker)
    thread.start()
    assert sending.wait(5)
    view.held = 7
    tried.set()
    thread.join()
    assert sent == [("version", 1000), ("held", 7)]


def test_nothing_is_left_of_a_closed_editor(model, photo):
    widgets = ipywidgets.widgets.widget._instances
    before = set(widgets)
    editor = HistogramEditor(model, photo, size=32)
    editor.wait()
    assert len(set(widgets) - before) > 100
    editor.close()
    assert set(widgets) == before
    with pytest.raises(ValueError, match="was closed"):
        editor.edit = {"tool": "paint", "path": [(0, 0)]}


def test_a_gray_photo_says_how_to_begin(model):
    editor = HistogramEditor(model, torch.full((3, 20, 30), 0.4), size=32)
    assert "choose a reference" in editor.message
    editor.edit = {"tool": "average"}
    assert "not taught to colour without a histogram" in editor.message
    assert editor.controls.buttons["average"].layout.display == "none"
    assert editor.controls.menus["reference"].value == ""
    editor.edit = {"tool": "palette", "colours": "#c33"}
    assert editor.message == ""
    editor.close()


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_wrong_transport_strength(editor, model, photo, bad):
    before = editor.transport
    with pytest.raises(traitlets.TraitError, match="transport"):
        editor.transport = bad
    assert editor.transport == editor.controls.transport.value == before
    with pytest.raises(ValueError, match="transport"):
        HistogramEditor(model, photo, size=32, transport=bad)


@pytest.mark.parametrize("bad", ["no such photo.png", 5, None, torch.zeros(2, 8, 8)])
def test_a_refused_photo_leaves_nothing_behind(model, bad, monkeypatch):
    ignored = []
    monkeypatch.setattr(sys, "unraisablehook", lambda found: ignored.append(found.exc_value))
    with pytest.raises((ValueError, OSError), match=r"photo|tensor|RGB") as error:
        HistogramEditor(model, bad, size=32)
    assert "\n" not in str(error.value)
    del error
    gc.collect()
    assert ignored == [], "Python could remove what there was of the editor"


def test_what_was_wrong_before_is_not_said_of_another_photo(model, photo):
    editor = HistogramEditor(model, torch.full((3, 20, 30), 0.4), size=32)
    for change in (lambda: editor.use_photo(photo), lambda: editor.use_reference("coffee")):
        editor.edit = {"tool": "nonsense"}
        assert editor.message
        change()
        assert editor.message == ""
    editor.close()


def test_back_to_the_photo_itself(model, photo):
    editor = HistogramEditor(model, photo, "coffee", size=32)
    own, theirs = HistogramEditor(model, photo, size=32), editor.hist
    menu = editor.controls.menus["reference"]
    menu.value = ""
    assert menu.label == "the photo itself"
    assert torch.equal(editor.hist, own.hist)
    assert editor.reference_view.after == b""
    editor.edit = {"tool": "undo"}
    assert (menu.value, editor.message) == ("coffee", "")
    assert torch.equal(editor.hist, theirs)
    assert len(editor.reference_view.after)
    editor.use_reference(None)
    editor.edit = {"tool": "reset"}
    assert torch.equal(editor.hist, own.hist)
    own.close()
    editor.close()


def test_the_photo_before_leaves_the_memory(model, photo):
    editor = HistogramEditor(model, photo, size=32)
    editor.wait()
    editor.controls.tools.value = "Look"
    editor.photo_view.handlers["look"](x=0.5, y=0.5)
    before = weakref.ref(editor.live)
    editor.use_photo("coffee")
    editor.wait()
    gc.collect()
    assert before() is None
    editor.close()


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
    assert editor.controls.buttons["average"].layout.display is None
    editor.controls.buttons["average"].click()
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
    with pytest.raises(OSError, match=r"bad\.npy: is no \.npy file"):
        editor.load_histogram(tmp_path / "bad.npy")
    upload(editor.controls.files["saved"], "h.npy", b"x")
    assert "h.npy: is no .npy file" in editor.message
    upload(editor.controls.files["saved"], "flat.npy", npy(np.ones((4, 4), np.uint8)))
    assert editor.controls.files["saved"].held == "flat.npy"
    assert torch.allclose(editor.hist, torch.full((8, 8), 1 / 64))


def test_downloads_hold_what_the_kernel_has(editor, monkeypatch):
    sent = []
    monkeypatch.setattr(editor.photo_view, "send", lambda content, buffers: sent.append((content, buffers[0])))
    for button in editor.controls.saves.values():
        button.click()
    names = [content["name"] for content, _ in sent]
    assert names == [
        "coloured.png", "before_after.png", "edits.webp", "histogram.npy", "histogram.png", "editor.json"
    ]  # fmt: skip
    before, after = (np.array(Image.open(io.BytesIO(content))) for _, content in sent[1::-1])
    height, width, _ = after.shape
    assert before.shape == (height, 2 * width + width // 64, 3)
    assert (before[:, -width:] == after).all(), "the coloured photo stands at the right"
    assert (before[:, :width].max(2) - before[:, :width].min(2)).max() <= 1, "and the gray one at the left"
    assert (np.load(io.BytesIO(sent[3][1])) == editor.hist.numpy()).all()


def frames_of(editor, monkeypatch):
    """The animation that the page is sent, picture by picture."""
    sent = []
    with monkeypatch.context() as patch:
        patch.setattr(editor.photo_view, "send", lambda content, buffers: sent.append(buffers[0]))
        editor.controls.saves["edits"].click()
    with Image.open(io.BytesIO(sent[0])) as file:
        return [np.array(frame.convert("RGB")) for frame in ImageSequence.Iterator(file)]


def test_the_last_edits_are_saved_as_an_animation(editor, monkeypatch):
    assert len(frames_of(editor, monkeypatch)) == 1
    stroke = {"tool": "paint", "path": [(0, 90)], "radius": 20, "strength": 1}
    say(editor.plane, {"kind": "preview", **stroke})
    editor.wait()
    assert len(frames_of(editor, monkeypatch)) == 1, "a preview is no edit"
    editor.edit = stroke
    editor.wait()
    for degrees in (30, 60, 180):
        slide(editor.controls.hue, degrees)
        editor.wait()
    first, painted, turned = frames_of(editor, monkeypatch)
    assert first.shape == (160, 200, 3)
    expected = (editor.wait().rgb.permute(1, 2, 0) * 255).round().numpy()
    assert np.abs(turned - expected).mean() < 6, "a slider is one edit: where it ended"
    assert np.abs(painted - expected).mean() > np.abs(turned - expected).mean()
    for i in range(PICTURES + 2):
        editor.edit = {"tool": "paint", "path": [(-5 * i, 0)]}
        editor.wait()
    assert len(editor.film.frames) == PICTURES, "bounded"
    editor.use_photo("coffee")
    editor.wait()
    assert [frame.shape for frame in frames_of(editor, monkeypatch)] == [(170, 256, 3)]


def test_every_part_can_be_named_and_reached(editor):
    """Each control has a name and a tip for those who can not see it; the scripts need no network."""

    def parts(widget):
        yield widget
        for child in getattr(widget, "children", ()):
            yield from parts(child)

    editor.controls.tools.value = "Pin"  # now all are seen
    for part in parts(editor):
        if isinstance(part, ipywidgets.Button) and part.layout.display != "none":
            assert part.tooltip.strip()
            assert part.description.strip()
        if isinstance(part, Slider | FileButton):
            assert part.tip.strip()
            assert part.name.strip()
        if isinstance(part, ipywidgets.ColorPicker):
            assert part.tooltip.strip()
        if isinstance(part, ipywidgets.Dropdown | ipywidgets.Text):
            assert part.description.strip()
        if isinstance(part, PhotoView | PlaneView):
            assert part.label.strip()
    for script in STATIC.glob("*.js"):
        assert "http" not in script.read_text()


def test_a_failure_in_the_background_is_said(editor, monkeypatch):
    def full(*_, **__):
        raise MemoryError("no memory left")

    monkeypatch.setattr(sys.modules["histcolor.editor.live"], "predict", full)
    editor.edit = {"tool": "paint", "path": [(0, 0)]}
    with pytest.raises(MemoryError):
        editor.wait()
    assert editor.message == "The picture could not be made: no memory left"
    monkeypatch.undo()
    editor.edit = {"tool": "undo"}
    assert editor.message == ""
    assert_consistent(editor)


HEADER = npy(np.zeros((2, 2)))
ENDLESS = [[0, 0]] * 100_000
HOSTILE = [
    ("plane", {"kind": "edit", "tool": ["paint"]}, "no tool ['paint']"),
    ("plane", {"kind": "edit", "tool": {"a": 1}}, "no tool"),
    ("plane", {"kind": "edit"}, "no tool None"),
    ("plane", {"kind": "edit", "tool": "paint"}, "missing 1 required"),
    ("plane", {"kind": "edit", "tool": "paint", "path": ENDLESS}, "100,000 entries, at most 1,024"),
    ("plane", {"kind": "preview", "tool": "erase", "path": ENDLESS}, "100,000 entries"),
    ("plane", {"kind": "edit", "tool": "paint", "path": [[float("nan"), 0]]}, "finite number"),
    ("plane", {"kind": "edit", "tool": "paint", "path": [[0, 0]], "radius": float("inf")}, "radius must be"),
    ("plane", {"kind": "edit", "tool": "paint", "path": "red"}, "must be"),
    ("plane", {"kind": "edit", "tool": "paint", "path": None}, "must be"),
    ("plane", {"kind": "edit", "tool": "move", "start": [0, 0], "end": {}}, "must be a pair"),
    ("plane", {"kind": "edit", "tool": "hue", "degrees": [1]}, "degrees must be"),
    ("plane", {"kind": "edit", "tool": "saturation", "factor": None}, "factor must be"),
    ("plane", {"kind": "edit", "tool": "mix", "weights": [float("nan")] * 3}, "finite"),
    ("plane", {"kind": "edit", "tool": "palette", "colours": "#c33," * 1023}, "at most 1,024"),
    ("plane", {"kind": "edit", "tool": "load", "hist": [["x"]]}, "square array of numbers"),
    ("plane", {"kind": "edit", "tool": "load", "hist": [[1], [1, 2]]}, "square array of numbers"),
    ("plane", {"kind": "edit", "tool": "clip", "L": float("nan")}, "L must be"),
    ("plane", {"kind": "look", "ab": [1]}, "pair"),
    ("plane", {"kind": "look"}, "reload the page"),
    ("plane", {"kind": ["edit"]}, "reload the page"),
    ("plane", {}, "reload the page"),
    ("plane", None, "reload the page"),
    ("plane", "edit", "reload the page"),
    ("photo", {"kind": "look", "x": float("nan"), "y": 0}, "x must be"),
    ("photo", {"kind": "pick", "x": 2, "y": 0, "gray": True}, "x must be"),
    ("photo", {"kind": "pick"}, "reload the page"),
    ("reference", {"kind": "look", "x": 0, "y": 0}, "reload the page"),
    ("hue", {"kind": "slide", "value": "90"}, "Turn hue must be"),
    ("transport", {"kind": "slide", "value": float("nan")}, "must be a finite number in [0, 1]"),
    ("radius", {"kind": "slide", "value": []}, "Brush must be"),
    ("strength", {"kind": "slide", "value": 1e9}, "Strength must be"),
    ("plane", {"kind": "colour", "ab": [999, 0]}, "got 999"),
    ("photo", {"kind": "pin", "number": 0, "x": 2, "y": 0}, "x must be"),
    ("photo", {"kind": "pin", "number": [0], "x": 0, "y": 0}, "no pin [0]"),
    ("photo", {"kind": "pin", "number": 7, "x": 0, "y": 0}, "no pin 7"),
    ("photo", {"kind": "carry", "number": 1}, "reload the page"),
    ("photo", {"kind": "carry", "number": 1, "x": 0, "y": float("nan")}, "y must be"),
    ("photo", {"kind": "hold", "number": 1}, "reload the page"),
    ("photo", {"kind": "edit", "tool": "unpin", "number": True}, "no pin True"),
    ("plane", {"kind": "edit", "tool": "load", "hist": [[1.0]], "points": ENDLESS}, "100,000 entries"),
    ("starts", {"kind": "start", "name": ["Sea"]}, "reload the page"),
    ("starts", {"kind": "start", "name": "/etc/passwd"}, "reload the page"),
]


@pytest.mark.parametrize(("part", "message", "words"), HOSTILE)
def test_malformed_messages_are_refused_on_the_page(editor, part, message, words, caplog):
    before, transport, sliders = editor.hist, editor.transport, editor.controls.radius.value
    say(getattr(editor.controls, part), message)
    assert words in editor.message
    assert len(editor.message) < 400
    assert "\n" not in editor.message
    assert not caplog.records, "never only logged"
    assert editor.hist is before
    assert (editor.transport, editor.controls.radius.value) == (transport, sliders)
    assert_consistent(editor)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (npy(np.full((4, 4), 1j)), "a square array of numbers, got complex128"),
        (npy(np.array([["a"]])), "a square array of numbers, got <U1"),
        (npy(np.ones((4, 5))), "got float64 (4, 5)"),
        (npy(np.full((4, 4), np.nan)), "NaN"),
        (npy(np.full((4, 4), -1)), "negative"),
        (npy(np.zeros((4, 4), [("x", float)])), "a square array of numbers, got [("),
        (
            HEADER.replace(b"(2, 2)", b"(900000, 900000)").replace(b" " * 12 + b"\n", b"  \n"),
            "may have 1,024 bins an axis, got 900,000",
        ),
        (HEADER.replace(b"(2, 2)", b"(9, 9)"), "is no .npy file"),
        (HEADER[:20], "is no .npy file"),
        (b"PK\x03\x04", "is no .npy file"),
        (npy(np.array([None])), "a square array of numbers, got object"),
    ],
)
def test_bad_histogram_files_are_refused_on_the_page(editor, content, words):
    before = editor.hist
    upload(editor.controls.files["saved"], "h.npy", content)
    assert words in editor.message
    assert editor.hist is before
    assert editor.controls.files["saved"].held == ""


def test_uploads_are_bounded_and_whole(editor):
    button = editor.controls.files["photo"]
    button.most = 100
    upload(button, "large.jpg", b"x" * 300, 60)
    assert editor.message.startswith("large.jpg: ")
    say(button, {"kind": "refused", "name": "<b>" * 100, "size": 10**12})  # the page did not even send it
    assert "too much for a page" in editor.message
    assert len(editor.message) < 120
    assert "<b>" not in editor.controls.message.value
    for message in (
        {"kind": "file", "name": "a", "piece": 3, "pieces": 9},
        {"kind": "file", "name": "a", "piece": "0", "pieces": None},
        {"kind": "file", "name": ["a"], "piece": 0, "pieces": 1},
    ):
        say(button, message)
        assert editor.message
        editor.message = ""
    assert_consistent(editor)


def test_a_long_palette_and_path_are_taken_to_their_limit(editor):
    editor.edit = {"tool": "paint", "path": [(0, 0)] * MOST}
    assert editor.message == ""


def test_pins_by_click_key_and_colour(editor, model, photo):
    controls, view = editor.controls, editor.photo_view
    first, shape = editor.hist, photo.shape[1:]
    controls.tools.value = "Pin"
    assert controls.pinning.layout.display is None
    say(view, {"kind": "pin", "number": 0, "x": 0.25, "y": 0.5})
    assert editor.points == [(49.5, 79.5, "#c33")]
    assert (view.pins, view.held) == ([[0.25, 0.5, "#cc3333"]], 1), "the new pin is the chosen one"
    expected = hc.colorize(model, editor.live.small, first)
    assert (editor.wait().rgb - expected).abs().max() > 0.02
    controls.any.value = "#0044ff"
    assert editor.points == [(49.5, 79.5, "#0044ff")]
    say(view, {"kind": "pin", "number": 0, "x": 1, "y": 0})
    assert editor.points[1] == (199, 0, "#0044ff"), "the corner itself, and the colour that was chosen last"
    say(view, {"kind": "hold", "number": 1})
    controls.swatches[0].click()
    a, b = editor.points[0][2]
    assert float(first[int((a + 110) / 27.5), int((b + 110) / 27.5)]) > 0, "one of the target histogram's colours"
    assert controls.any.value == view.pins[0][2] == view.colour
    say(editor.plane, {"kind": "colour", "ab": [10, -40]})
    assert editor.points[0][2] == (10, -40)
    next(part for part in controls.swatches if part.description == "gray").click()
    assert editor.points[0][2] == "gray"
    version = editor.version
    say(view, {"kind": "carry", "number": 1, "x": 0.5, "y": 0.5})
    editor.wait()
    assert editor.version > version, "the picture follows the pin"
    assert editor.points[0][:2] == (49.5, 79.5), "which is not yet put down"
    say(view, {"kind": "carry"})
    say(view, {"kind": "pin", "number": 1, "x": 0.5, "y": 0.5})
    assert editor.points[0] == (99.5, 79.5, "gray")
    assert view.held == 1
    controls.unpin.click()
    assert editor.points == [(199, 0, "#0044ff")]
    assert (view.held, controls.unpin.disabled) == (0, True)
    editor.edit = {"tool": "undo"}
    assert len(editor.points) == len(view.pins) == 2
    assert editor.hist is first
    full = hc.colorize(model, photo, first, points=editor.points, size=32)
    assert torch.equal(editor._full(), full), "saved pictures have the pins' colours"
    assert full.shape[1:] == shape
    editor.reset()
    assert (editor.points, view.pins, view.colour) == ([], [], "#cc3333")
    assert controls.pinning.layout.display == "none"
    assert_consistent(editor)


def test_a_bad_pin_is_said_and_goes_away_on_the_page(editor, monkeypatch):
    editor.edit = {"tool": "pin", "at": (500, 0), "colour": "#c33"}
    assert editor.message == "x of point 1 must be a finite number in [0, 199], got 500."
    editor.edit = {"tool": "load", "hist": editor.hist, "points": [(i, i, "gray") for i in range(PINS)]}
    sent = []
    monkeypatch.setattr(editor.photo_view, "send_state", lambda key=None: sent.append(key))
    say(editor.photo_view, {"kind": "pin", "number": 0, "x": 0, "y": 0})
    assert editor.message == "There may be 100 pins on a photo: remove one before the next."
    assert sent[-1] == "pins"
    assert len(editor.photo_view.pins) == PINS


def test_pins_without_attention_are_refused(photo):
    plain = hc.Colorizer(hc.ModelConfig(**{**vars(hc.PRESETS["tiny"]), "attention": False, "readout": "features"}))
    editor = HistogramEditor(plain.eval(), photo, size=32)
    state = editor.painting.state
    for action in (
        {"tool": "pin", "at": (0, 0), "colour": "#c33"},
        {"tool": "load", "hist": state.painted, "points": [(0, 0, "gray")]},
    ):
        editor.edit = action
        assert "need a model with attention" in editor.message
    saved = json.loads(editor._state())
    for change, words in (
        ({"points": [[0, 0, "gray"]]}, "need a model with attention"),
        ({"automatic": True}, "not taught to colour"),
    ):
        with pytest.raises(ValueError, match=words):
            editor._load_state(json.dumps({**saved, **change}).encode(), "x.json")
    editor._load_state(json.dumps(saved).encode(), "x.json")
    assert editor.points == []
    assert editor.wait()
    editor.close()


def test_pins_on_a_method_of_the_tables_are_refused(photo):
    method = TRAINED["zhang2017"](hc.PRESETS["tiny"]).eval()
    editor = HistogramEditor(method, photo, size=32)
    editor.edit = {"tool": "pin", "at": (0, 0), "colour": "#c33"}
    assert "need a model with attention" in editor.message
    assert editor.wait()
    editor.close()


def test_start_points_are_one_click_away(editor):
    strip = editor.controls.starts
    names = [item["name"] for item in strip.items]
    assert names == [*PALETTES, *REFERENCES, "Surprise me"]
    assert all(item["tip"] for item in strip.items)
    assert all(item["background"] for item in strip.items[:-1])
    assert len(PALETTES) == len(REFERENCES) == 6
    say(strip, {"kind": "start", "name": "Sea"})
    assert editor.hist.equal(edit.from_palette(PALETTES["Sea"], 8))
    say(strip, {"kind": "start", "name": "rocket"})
    assert editor.controls.menus["reference"].value == "rocket"
    assert editor.hist.equal(editor.painting.reference)
    before = editor.hist
    say(strip, {"kind": "start", "name": "Surprise me"})
    assert any(torch.allclose(editor.hist, resize_histogram(hist, 8), atol=1e-6) for hist in real_histograms())
    editor.edit = {"tool": "undo"}
    assert torch.equal(editor.hist, before)
    assert_consistent(editor)


def test_real_histograms_are_small_and_different():
    hists = real_histograms()
    assert hists.shape == (200, 16, 16)
    assert hists.sum((1, 2)).numpy() == pytest.approx(1)
    assert len({hist.numpy().tobytes() for hist in hists}) == 200
    assert (STATIC / "histograms.npz").stat().st_size < 60_000


def test_a_state_is_saved_and_loaded(editor, model, photo, tmp_path):
    editor.edit = {"tool": "paint", "path": [(0, 90)], "strength": 1}
    editor.edit = {"tool": "pin", "at": (7, 8), "colour": (10.5, -20)}
    editor.edit = {"tool": "pin", "at": (9, 8), "colour": "gray"}
    editor.transport = 0.25
    editor.save_state(tmp_path / "state.json")
    other = HistogramEditor(model, photo, size=32)
    other.load_state(tmp_path / "state.json")
    assert torch.allclose(other.hist, editor.hist, atol=1e-7)
    assert (other.transport, other.points) == (0.25, editor.points)
    assert len(other.photo_view.pins) == 2
    assert other.controls.transport.value == 0.25
    assert torch.allclose(other.wait().rgb, editor.wait().rgb, atol=1e-3)
    other.edit = {"tool": "undo"}
    assert other.points == []
    other.photo_view.held = 1
    upload(other.controls.files["saved"], "state.json", (tmp_path / "state.json").read_bytes())
    assert other.points == editor.points
    assert other.controls.files["saved"].held == "state.json"
    assert other.photo_view.held == 0, "another state's pin is not the one that was held"
    other.use_photo("coffee")
    with pytest.raises(ValueError, match=r"state\.json: was saved with another photo; choose that photo first\."):
        other.load_state(tmp_path / "state.json")
    other.close()


def test_each_loads_its_own_files(editor, tmp_path):
    editor.save_state(tmp_path / "state.json")
    editor.save_histogram(tmp_path / "histogram.npy")
    done = editor.painting.done
    with pytest.raises(OSError, match=r"state\.json: is no .npy file"):
        editor.load_histogram(tmp_path / "state.json")
    with pytest.raises(ValueError, match=r"histogram\.npy: is no state"):
        editor.load_state(tmp_path / "histogram.npy")
    assert editor.painting.done is done


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "other"}, "is no state of the editor, or a damaged one"),
        ({"target": [[1, 2], [3]]}, "damaged"),
        ({"target": [[float("nan")]]}, "damaged"),
        ({"target": [1.0]}, "damaged"),
        ({"target": [[1, 0], [0, 0]]}, "has 2 bins along each axis, and this model 8"),
        ({"transport": 2}, "damaged"),
        ({"transport": True}, "damaged"),
        ({"automatic": "no"}, "damaged"),
        ({"points": {}}, "damaged"),
        ({"target": [[10**400]]}, "damaged"),
        (
            b'{"format": "histcolor editor 1", "transport": 0, "automatic": false, "points": [], "target": [[1]]}',
            "damaged",
        ),
        ({"points": [5]}, "Point 1 must be (x, y, colour)"),
        ({"points": [[0, 999, "gray"]]}, "y of point 1 must be"),
        ({"photo": 0}, "another photo"),
        (b"[]", "damaged"),
        (b'{"format": ', "damaged"),
        (b"[" * 100_000, "damaged"),
        (b"{}", "damaged"),
        (b"\xff\xfe", "damaged"),
        (b" " * (5 * 2**20), "damaged"),
    ],
)
def test_damaged_states_are_refused_in_a_sentence(editor, change, words):
    content = change if isinstance(change, bytes) else json.dumps({**json.loads(editor._state()), **change}).encode()
    state, transport = editor.painting.state, editor.transport
    upload(editor.controls.files["saved"], "x.json", content, size=2**20)
    assert words in editor.message
    assert len(editor.message) < 200
    assert (editor.painting.state, editor.transport) == (state, transport)
    assert editor.controls.files["saved"].held == ""


@pytest.fixture
def one_thread():
    """Small pictures are computed twice as fast by one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_thousand_random_edits(model, photo):
    """No exception, the state consistent after each sequence, and memory flat."""
    editor = HistogramEditor(model, photo, size=32)
    count, memory = 0, []

    @settings(deadline=None, max_examples=130, derandomize=True, database=None)
    @given(st.lists(ACTIONS, min_size=8, max_size=12), st.floats(0, 1))
    def run(actions, strength):
        nonlocal count
        for action in actions:
            editor.edit = action
            count += 1
        editor.transport = strength
        assert_consistent(editor)
        if len(memory) % 20 == 0:  # half a second: all of torch is looked through
            gc.collect()
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)

    run()
    editor.close()
    assert count >= 1000
    # the peak may still rise while caches fill; over the second half it is flat to within 60 MB
    assert memory[-1] - memory[len(memory) // 2] < 60
