"""Editing with undo and redo: what is true after any edits."""

import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from histcolor import edit
from histcolor.editor.painting import PINS, STEPS, TOOLS, Painting
from histcolor.histogram import ab_histogram, check_histogram, resize_histogram

BINS = 8
PHOTO = ab_histogram((torch.rand(2, 40, 40, generator=torch.Generator().manual_seed(0)) - 0.5) * 80, BINS)
OTHER = edit.from_palette("#c33,#2a6", BINS)

plane = st.floats(-110, 110)
path = st.lists(st.tuples(plane, plane), min_size=1, max_size=4)
unit = st.floats(0, 1)
ACTIONS = st.one_of(
    st.fixed_dictionaries({"tool": st.just("paint"), "path": path, "radius": st.floats(0, 60), "strength": unit}),
    st.fixed_dictionaries({"tool": st.just("erase"), "path": path, "radius": st.floats(0, 60), "strength": unit}),
    st.fixed_dictionaries({"tool": st.just("move"), "start": st.tuples(plane, plane), "end": st.tuples(plane, plane)}),
    st.fixed_dictionaries({"tool": st.just("palette"), "colours": st.sampled_from(["#c33", "#2a6, #fff", "red", ""])}),
    st.fixed_dictionaries({"tool": st.just("clip"), "L": st.floats(0, 100)}),
    st.fixed_dictionaries({"tool": st.just("mix"), "weights": st.tuples(unit, unit, unit)}),
    st.fixed_dictionaries({"tool": st.just("hue"), "degrees": st.floats(-400, 400)}),
    st.fixed_dictionaries({"tool": st.just("saturation"), "factor": st.floats(0, 4)}),
    st.fixed_dictionaries(
        {"tool": st.just("pin"), "at": st.tuples(plane, unit), "colour": st.sampled_from(["#c33", "x"])}
    ),
    st.fixed_dictionaries({"tool": st.just("unpin"), "number": st.integers(0, 3)}),
    st.fixed_dictionaries({"tool": st.sampled_from(["undo", "redo", "reset"])}),
)


def assert_consistent(painting):
    hist = painting.hist
    assert hist.shape == (BINS, BINS)
    assert torch.isfinite(hist).all()
    assert (hist >= 0).all()
    assert hist.double().sum().item() == pytest.approx(1, abs=1e-6)
    assert painting.hist is hist  # not computed twice
    assert len(painting.done) <= STEPS


@settings(deadline=None, max_examples=60, derandomize=True, database=None)
@given(st.lists(ACTIONS, max_size=12))
def test_any_edits_leave_a_histogram_and_all_can_be_undone(actions):
    painting = Painting(PHOTO, OTHER)
    for action in actions:
        before, state, refused = painting.hist, painting.state, ""
        try:
            painting.apply(action)
        except ValueError as error:
            refused = str(error)
        if refused:
            assert painting.state is state, "a refused edit changes nothing"
            assert painting.hist is before
            assert re.fullmatch(r"[^\n]+\.", refused)
        assert_consistent(painting)
    last, steps = painting.hist, len(painting.done)
    for _ in range(steps):
        painting.apply({"tool": "undo"})
    assert painting.hist.equal(check_histogram(OTHER))
    redo = len(painting.undone)
    for _ in range(redo):
        painting.apply({"tool": "redo"})
    assert redo >= steps
    if not any(action["tool"] == "undo" for action in actions):
        assert painting.hist.equal(last)


def test_each_tool_is_its_function():
    at = [(40.0, 20.0)]
    for action, expected in (
        ({"tool": "paint", "path": at, "radius": 30, "strength": 0.5}, edit.paint(OTHER, at, radius=30, strength=0.5)),
        ({"tool": "erase", "path": at, "radius": 30}, edit.erase(OTHER, at, radius=30)),
        ({"tool": "move", "start": at[0], "end": (0, 0)}, edit.move(OTHER, at[0], (0, 0))),
        ({"tool": "palette", "colours": "#00f"}, edit.from_palette("#00f", BINS)),
        ({"tool": "clip", "L": 50}, edit.clip_to_gamut(OTHER, 50)),
        ({"tool": "mix", "weights": (1, 3, 0)}, edit.mix([PHOTO, OTHER], [1, 3])),
        ({"tool": "hue", "degrees": 70}, edit.rotate_hue(OTHER, 70)),
        ({"tool": "saturation", "factor": 0.5}, edit.scale_saturation(OTHER, 0.5)),
        ({"tool": "load", "hist": torch.ones(16, 16)}, check_histogram(torch.ones(BINS, BINS))),
        ({"tool": "reset"}, check_histogram(OTHER)),
    ):
        painting = Painting(PHOTO, OTHER)
        painting.apply(action)
        assert torch.allclose(painting.hist, expected, atol=1e-7), action
        painting.apply({"tool": "undo"})
        assert painting.hist.equal(check_histogram(OTHER)), action
    histogram = {"paint", "erase", "move", "palette", "clip", "load", "mix", "hue", "saturation", "reset"}
    assert set(TOOLS) == histogram | {"pin", "unpin"}


def test_a_stroke_changes_the_histogram_that_is_shown():
    painting = Painting(PHOTO, OTHER)
    painting.apply({"tool": "mix", "weights": (1, 1, 0)})
    painting.apply({"tool": "hue", "degrees": 90})
    seen = painting.hist
    painting.apply({"tool": "paint", "path": [(0, 50)], "strength": 0.5})
    assert painting.hist.equal(edit.paint(seen, [(0, 50)], strength=0.5))
    assert (painting.state.hue, painting.state.mix) == (0, (0, 0, 1))
    painting.apply({"tool": "undo"})
    assert (painting.state.hue, painting.state.mix) == (90, (1, 1, 0))
    assert painting.hist.equal(seen)


def test_an_edit_that_was_previewed_is_not_computed_again():
    painting = Painting(PHOTO, OTHER)
    stroke = {"tool": "paint", "path": [[0.0, 50.0], [60.0, -50.0]]}
    seen, _ = painting.preview(stroke)
    painting.apply({**stroke, "path": [(0.0, 50.0)]})
    assert not painting.hist.equal(seen)
    painting.apply({"tool": "undo"})
    painting.apply({**stroke})
    assert painting.hist is seen
    painting.apply(stroke)
    assert not painting.hist.equal(seen), "once more is another edit"


def test_a_slider_is_one_step():
    painting = Painting(PHOTO, OTHER)
    for degrees in range(10, 60, 10):
        painting.apply({"tool": "hue", "degrees": degrees})
    assert len(painting.done) == 1
    painting.apply({"tool": "saturation", "factor": 0.5})
    painting.apply({"tool": "hue", "degrees": 0})
    assert len(painting.done) == 3
    painting.apply({"tool": "undo"})
    assert painting.state.hue == 50
    painting.apply({"tool": "hue", "degrees": 20})  # after an undo it is a new step
    assert len(painting.done) == 3
    assert not painting.undone


def test_undo_is_bounded():
    painting = Painting(PHOTO)
    for i in range(STEPS + 20):
        painting.apply({"tool": "paint", "path": [(i % 100, 0)], "strength": 0.01})
    assert len(painting.done) == STEPS


def test_the_average_histogram_stays_one_with_another_photo():
    """The network goes on to choose the colours: as a target histogram the average would be none that a photo has."""
    painting = Painting(PHOTO)
    painting.apply({"tool": "load", "hist": OTHER, "average": True})
    painting.use_photo(OTHER)
    assert painting.automatic
    painting.apply({"tool": "paint", "path": [(0, 50)]})
    painting.use_photo(PHOTO)
    assert not painting.automatic, "it was painted over"


def test_nothing_is_left_of_the_photo_before():
    painting, new = Painting(PHOTO), check_histogram(OTHER)
    painting.use_photo(OTHER)
    painting.apply({"tool": "mix", "weights": (0, 1, 0)})
    assert torch.allclose(painting.hist, new, atol=1e-7), "without a reference image, the photo's own stands for it"
    painting = Painting(PHOTO)
    painting.apply({"tool": "paint", "path": [(0, 50)]})
    painting.apply({"tool": "reset"})
    painting.use_photo(OTHER)
    assert painting.hist.equal(new), "edits that were taken back are none"


def test_a_slider_that_is_moved_with_another_photo_is_a_new_edit():
    painting = Painting(PHOTO)
    painting.apply({"tool": "hue", "degrees": 90})
    painting.use_photo(OTHER)
    before = painting.hist
    painting.apply({"tool": "hue", "degrees": 30})
    painting.apply({"tool": "undo"})
    assert torch.allclose(painting.hist, before, atol=1e-7)


def test_another_photo_and_another_reference():
    painting = Painting(PHOTO)
    painting.use_photo(OTHER)
    assert painting.hist.equal(check_histogram(OTHER)), "nothing was edited: the new photo's own histogram"
    painting.apply({"tool": "paint", "path": [(0, 50)]})
    edited = painting.hist
    painting.use_photo(PHOTO)
    assert torch.allclose(painting.hist, edited, atol=1e-7), "the edits stay"
    painting.apply({"tool": "hue", "degrees": 90})
    turned = painting.hist
    blue = edit.from_palette("#00f", 2 * BINS)  # of another size
    painting.use_reference(blue, "blue")
    assert painting.hist.equal(resize_histogram(blue, BINS)), "neither mixed nor turned"
    assert painting.state.mix == (0, 1, 0)
    painting.apply({"tool": "paint", "path": [(0, 50)]})
    painting.apply({"tool": "reset"})
    assert torch.allclose(painting.hist, resize_histogram(blue, BINS), atol=1e-7), "that of the reference in use"
    for _ in range(3):
        painting.apply({"tool": "undo"})
    assert torch.allclose(painting.hist, turned, atol=1e-7)


def test_undo_brings_back_the_reference_before():
    painting = Painting(PHOTO)
    red, blue = (edit.from_palette(colour, BINS) for colour in ("#f00", "#00f"))
    painting.use_reference(red, "red")
    painting.use_reference(blue, "blue")
    painting.use_photo(OTHER)
    assert (painting.state.about, painting.reference.equal(blue)) == ("blue", True)
    painting.apply({"tool": "undo"})
    assert (painting.state.about, painting.reference.equal(red)) == ("red", True)
    painting.apply({"tool": "mix", "weights": (0, 1, 0)})
    assert torch.allclose(painting.hist, red, atol=1e-7)
    painting.apply({"tool": "undo"})
    painting.apply({"tool": "undo"})
    assert painting.state.about is None
    assert painting.reference is painting.photo, "there was none at first"
    painting.apply({"tool": "redo"})
    assert painting.state.about == "red"


def test_pins_alone_are_no_target_of_ones_own():
    painting = Painting(PHOTO)
    painting.apply({"tool": "pin", "at": (1, 1), "colour": "#c33"})
    painting.use_photo(OTHER)
    assert painting.hist.equal(check_histogram(OTHER))
    assert painting.state.points == ()


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ({"tool": "smear"}, "no tool 'smear'; there are undo, redo, paint"),
        ({}, "no tool None"),
        ({"tool": "paint"}, "paint: missing 1 required positional argument: 'path'"),
        ({"tool": "paint", "path": [(0, 0)], "size": 3}, "unexpected keyword argument 'size'"),
        ({"tool": "paint", "path": [(0, math.nan)]}, "finite"),
        ({"tool": "paint", "path": []}, "must be a pair"),
        ({"tool": "mix", "weights": (0, 0, 0)}, "must not all be 0"),
        ({"tool": "mix", "weights": (1, 1)}, "3 histograms need"),
        ({"tool": "mix", "weights": "no"}, "three numbers"),
        ({"tool": "hue", "degrees": "90"}, "degrees must be"),
        ({"tool": "saturation", "factor": -1}, "factor must be"),
        ({"tool": "load", "hist": torch.zeros(4, 4)}, "all zero"),
    ],
)
def test_bad_edits_are_refused_in_one_sentence_and_change_nothing(action, words):
    painting = Painting(PHOTO, OTHER)
    before = painting.hist
    with pytest.raises(ValueError, match=words):
        painting.apply(action)
    assert painting.hist is before
    assert not painting.done


def test_undo_without_anything_to_undo_does_nothing():
    painting = Painting(PHOTO)
    for tool in ("undo", "redo"):
        painting.apply({"tool": tool})
    assert painting.hist.equal(check_histogram(PHOTO))


def test_pins_are_placed_moved_recoloured_and_removed():
    painting = Painting(PHOTO, shape=(30, 40))
    first = painting.hist
    pin = {"tool": "pin", "at": (39, 29), "colour": "#c33"}
    for action in (pin, {**pin, "at": [0, 0], "colour": [20.0, -10]}, {"tool": "pin", "number": 1, "at": (5, 6)}):
        painting.apply(action)
    painting.apply({"tool": "pin", "number": 2, "colour": "gray"})
    assert painting.state.points == ((5, 6, "#c33"), (0, 0, "gray"))
    assert painting.hist is first, "pins change no histogram, so nothing is computed again"
    painting.apply({"tool": "paint", "path": [(0, 50)]})
    painting.apply({"tool": "unpin", "number": 1})
    assert painting.state.points == ((0, 0, "gray"),), "a stroke keeps them"
    assert painting.preview({"tool": "pin", "number": 1, "at": (7, 7)}) == (painting.hist, ((7, 7, "gray"),))
    for expected in (((5, 6, "#c33"), (0, 0, "gray")),) * 2 + (((5, 6, "#c33"), (0, 0, (20, -10))),):
        painting.apply({"tool": "undo"})
        assert painting.state.points == expected
    painting.apply({"tool": "load", "hist": PHOTO, "points": [[1, 2, "gray"]]})
    assert painting.state.points == ((1, 2, "gray"),)
    painting.apply({"tool": "reset"})
    assert painting.state.points == ()
    painting.apply({"tool": "undo"})
    painting.use_photo(OTHER, shape=(9, 9))
    assert painting.state.points == (), "they were places of the photo before"
    for _ in range(9):
        painting.apply({"tool": "undo"})
        assert painting.state.points == ()


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ({"at": (40, 0), "colour": "#c33"}, "x of point 2 must be a finite number in [0, 39]"),
        ({"at": (0, float("nan")), "colour": "#c33"}, "y of point 2 must be"),
        ({"at": (0, 0), "colour": "red"}, "colour of point 2 must be hex digits"),
        ({"at": (0, 0), "colour": [1]}, "colour of point 2 must be a pair"),
        ({"at": (0, 0)}, "needs at, a place (x, y) in pixels, and a colour"),
        ({"colour": "#c33"}, "needs at, a place"),
        ({"at": 5, "colour": "#c33"}, "at must be a place (x, y) in pixels, got 5."),
        ({"at": (0, 0, 0), "colour": "#c33"}, "got (0, 0, 0)."),
        ({"number": 2}, "no pin 2: pins are counted from 1, and there are 1."),
        ({"number": 0, "colour": "gray"}, "no pin 0"),
        ({"tool": "unpin"}, "missing 1 required positional argument"),
        ({"tool": "load", "hist": [[1.0]], "points": [(0, 0, "gray")] * (PINS + 1)}, "There may be 100 pins"),
        ({"tool": "load", "hist": [[1.0]], "points": [5]}, "Point 1 must be (x, y, colour)"),
    ],
)
def test_bad_pins_are_refused_in_one_sentence_and_change_nothing(action, words):
    painting = Painting(PHOTO, shape=(30, 40))
    painting.apply({"tool": "pin", "at": (1, 1), "colour": "gray"})
    state, done = painting.state, list(painting.done)
    with pytest.raises(ValueError, match=re.escape(words)) as refusal:
        painting.apply({"tool": "pin", **action})
    assert re.fullmatch(r"[^\n]+\.", str(refusal.value))
    assert painting.state is state
    assert painting.done == done
