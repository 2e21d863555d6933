"""Bad messages from a page, and bad answers of a study: the editor and the study stay as they were, and say why."""

import csv
import sqlite3
from contextlib import closing

import torch
from against_arrays import bad_histogram
from arena import Case, attack
from making import bad_photo, damaged, junk

import histcolor as hc
from histcolor.checkpoint import load
from histcolor.editor.widget import HistogramEditor
from histcolor.study.answers import append_answer, export_csv, read_answers
from histcolor.study.protocol import Group, plan
from histcolor.study.widget import StudyWidget

ODD = [
    None,
    3,
    -1,
    float("nan"),
    float("inf"),
    1e308,
    "",
    "x",
    "nan",
    [],
    {},
    [[]],
    [None],
    [[1]],
    [[1, 2, 3]],
    [["a", "b"]],
    True,
    b"x",
    10**400,
    [[1e9, 0]],
    [float("nan")] * 2,
    {"a": 1},
    [[0, 0]] * 2000,
    "\x1b[2J",
    [1, 2, 3],
    [-1, 0, 0],
    [0, 0, 0],
    1j,
    [[[0, 0]]],
    "9" * 10_000,
]
EDITOR = {}


def editor(world):
    """One editor for all cases; it must be whole after each."""
    if not EDITOR:
        EDITOR[0] = HistogramEditor(load(world.model), hc.read_image(world.photo), size=32)
        EDITOR[0].wait()
    return EDITOR[0]


def whole(one, before=None):
    """Check an editor: its histogram, and that it still edits."""
    hist = one.hist
    assert hist.min() >= 0, "the histogram is broken"  # so not for NaN
    assert abs(hist.sum() - 1) < 1e-4, "the histogram is broken"
    assert before is None or torch.equal(hist, before), "the histogram has changed"
    one.edit = {"tool": "paint", "path": [(20, 10)]}
    assert not one.message, one.message
    assert torch.isfinite(one.wait().rgb).all(), "the picture is broken"
    one.edit = {"tool": "undo"}
    assert 0 <= one.transport <= 1


def sent(world, action, *, bad=True, about=""):
    """A case in which something is done to the editor that must be refused with a sentence; or else may be."""

    def do():
        one = editor(world)
        one.reset()
        before = one.hist
        one.message = ""
        action(one)
        if bad and not one.message:
            raise AssertionError(f"takes what is bad: {about}")
        if one.message:
            assert len(one.message) < 400, one.message
            assert "\n" not in one.message, one.message
            assert "That did not work" not in one.message, one.message
        whole(one, before if one.message else None)

    return Case(do, True, errors=())


def say(part, content, *buffers):
    part._handle_custom_msg(content, [memoryview(buffer) for buffer in buffers])


def parts(one):
    return [*one.controls.parts]


@attack("editor messages", 260)
def any_message(world, room, random):
    content = random.choice(
        [
            *ODD,
            {"kind": random.choice(ODD)},
            {"kind": "nonesuch"},
            {"kind": "edit", "evil": 1},
            {"kind": "edit", 3: 4},
            {"tool": "paint"},
            {"kind": "__class__"},
            {"kind": ["edit"]},
        ]
    )
    which = random.randrange(100)
    buffers = [b"x"] if random.random() < 0.3 else []
    return sent(world, lambda one: say(parts(one)[which % len(parts(one))], content, *buffers))


def edit_with(random):
    """An edit of a known tool, with an argument that is odd, missing or too many."""
    good = {
        "paint": {"path": [[10, 10]], "radius": 10, "strength": 0.1},
        "erase": {"path": [[10, 10]], "radius": 10, "strength": 1},
        "move": {"start": [0, 0], "end": [10, 10], "radius": 9},
        "palette": {"colours": ["#c33"], "radius": 9},
        "clip": {"L": 50},
        "load": {"hist": [[1, 2], [3, 4]]},
        "mix": {"weights": [1, 0, 0]},
        "hue": {"degrees": 10},
        "saturation": {"factor": 1},
    }
    tool = random.choice(sorted(good))
    action = {"tool": tool, **good[tool]}
    name = random.choice(sorted(good[tool]))
    how = random.randrange(5)
    if how == 0 and name not in ("radius", "strength", "L"):
        del action[name]
        return action, True
    if how == 1:
        return {**action, random.choice(("evil", "self", "bins", "average2")): 1}, True
    if how == 2:
        return {**action, "tool": random.choice([t for t in ODD if t not in ("undo", "redo")])}, True
    action[name] = random.choice(ODD)
    return action, False


@attack("editor messages")
def edit_from_the_page(world, room, random):
    action, bad = edit_with(random)
    return sent(world, lambda one: say(one.plane, {"kind": "edit", **action}), bad=bad)


@attack("editor messages")
def edit_from_python(world, room, random):
    action, bad = edit_with(random)

    def do(one):
        one.edit = action

    return sent(world, do, bad=bad)


@attack("editor messages")
def preview_of_anything(world, room, random):
    action, bad = edit_with(random)
    return sent(world, lambda one: say(one.plane, {"kind": "preview", **action}), bad=bad and "tool" not in action)


@attack("editor messages")
def place_of_anything(world, room, random):
    content = random.choice(
        [
            {"kind": "look", "x": random.choice(ODD), "y": 0.5},
            {"kind": "pick", "x": 0.5, "y": random.choice(ODD), "gray": False},
            {"kind": "look"},
            {"kind": "pick", "x": 0.5, "y": 0.5},
            {"kind": "look", "x": 2, "y": -1},
        ]
    )
    odd = [v for k, v in content.items() if k in "xy" and v not in (True, 3, 0.5) and not isinstance(v, bool)]
    return sent(
        world, lambda one: say(one.photo_view, content), bad=len(content) < 3 or bool(odd and odd[0] not in (True,))
    )


@attack("editor messages")
def values_from_the_page(world, room, random):
    state = {
        random.choice(("mass", "value", "bins", "version", "before", "evil", "tools")): random.choice(
            [v for v in ODD if v != b"x"]
        )
    }
    which = random.randrange(100)
    return sent(world, lambda one: parts(one)[which % len(parts(one))].set_state(dict(state)))


@attack("editor messages")
def slider_of_anything(world, room, random):
    value, which = random.choice(ODD), random.randrange(100)

    def do(one):
        sliders = [part for part in parts(one) if type(part).__name__ == "Slider"]
        slider = sliders[which % len(sliders)]
        say(slider, {"kind": "slide", "value": value})
        assert slider.low <= slider.value <= slider.high, f"{slider.name} is {slider.value} after {value}"

    return sent(world, do, bad=not isinstance(value, (int, float)), about=value)


@attack("editor messages")
def bad_upload(world, room, random):
    what = random.choice(("photo", "histogram"))
    (room / "x").mkdir()
    path = bad_photo(world, room / "x", random) if what == "photo" else bad_histogram(world, room / "x", random)
    content = path.read_bytes() if path.is_file() and path.stat().st_size < 2**22 else junk(random)
    name = random.choice(["a.npy", "<b>x</b>.jpg", "\x1b[2J", "n" * 5000, "", None, 3])
    broken = random.random() < 0.3
    pieces = random.choice(ODD) if broken else 1

    def do(one):
        say(
            one.controls.files["photo" if what == "photo" else "saved"],
            {"kind": "file", "name": name, "piece": random.choice((1, -1, None)) if broken else 0, "pieces": pieces},
            content,
        )

    return sent(world, do)


# --- the study ---


def study(room, participant="P1"):
    one, two, three = torch.rand(3, 3, 6, 9)
    groups = [Group(f"g{i}", one, two, {"a": two, "b": three}) for i in range(3)]
    return StudyWidget(groups, room / "answers.sqlite", participant)


@attack("study", 90)
def bad_answer(world, room, random):
    good = {"participant": "P1", "group": "g", "question": "natural", "method": "a", "shown": ["a", "b"]}
    bad = random.choice(
        [
            {"participant": ""},
            {"participant": " "},
            {"participant": "n" * 101},
            {"group": ""},
            {"question": "x"},
            {"question": ""},
            {"method": "c"},
            {"method": ""},
            {"shown": []},
            {"shown": ["a"]},
            {"shown": ["a", "a"]},
            {"shown": ["a", "b|c"]},
            {"shown": ["a", ""]},
            {"shown": list(map(str, range(99)))},
            {"participant": None},
            {"participant": 3},
            {"group": None},
            {"group": 3},
            {"shown": None},
            {"shown": [1, 2]},
            {"method": None},
            {"question": None},
            {"question": []},
        ]
    )
    return Case(lambda: append_answer(room / "answers.sqlite", **good | bad))


@attack("study")
def bad_letter(world, room, random):
    one, letter = study(room), random.choice(["C", "a", "", "AB", None, 0, "\x1b", [], "Ä"])
    return Case(lambda: one.answer(letter))


@attack("study")
def bad_participant(world, room, random):
    name = random.choice(["", " ", "\t", "n" * 101, None, 3, [], b"P1"])
    return Case(lambda: study(room, name), names=["participant"])


@attack("study")
def odd_participant(world, room, random):
    name = random.choice(
        [
            "=1+1",
            "<script>alert(1)</script>",
            "'; drop table answers;--",
            "a|b",
            "λ",
            "\x1b[2J",
            "a\nb",
            "\udcff",
            "NA",
            "1",
            "😀" * 50,
            "@x",
        ]
    )
    one = study(room, name)

    def do():
        assert one.answer("A")
        assert one.answer("B")
        export_csv(room / "answers.sqlite", room / "o.csv")

    def check():
        with open(room / "o.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        assert len(rows) == 3, f"{len(rows)} rows"
        assert all(not cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row), "a formula"
        assert study(room, name).progress.startswith("group 2"), "does not go on"

    return Case(do, True, check=check)


@attack("study")
def bad_file_of_answers(world, room, random):
    path, how = room / "answers.sqlite", random.randrange(5)
    if how == 0:
        path.write_bytes(junk(random) or b"x" * 200)
    elif how == 1:
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE other (x)")
    elif how == 2:
        path.mkdir()
    elif how == 3:
        path = room / random.choice(("answers.csv", "answers", "answers.sqlite.bak"))
        path.write_text("x")
    else:
        path = room / "none" / "answers.sqlite"
    certain = how != 0 or path.stat().st_size >= 100
    return Case(lambda: read_answers(path), False if certain else None, [path])


@attack("study")
def damaged_file_of_answers(world, room, random):
    one, path = study(room), room / "answers.sqlite"
    for letter in "ABAB":
        one.answer(letter)
    path.write_bytes(damaged(path.read_bytes(), random))
    names = random.choice([("o.csv", None), ("o.txt", False), ("o.csv", None)])
    return Case(lambda: export_csv(path, room / names[0]), names[1], [path, room / names[0]])


@attack("study")
def plan_of_anything(world, room, random):
    groups, methods, name = random.choice(
        [
            (["a"], [], "P"),
            (["a"], ["x"], "P"),
            (["a"], ["x", "x"], "P"),
            (["a"], ["x", "y"], ""),
            (["a"], ["x", "y|"], "P"),
            (["a"], ["x", "y"], None),
            (["a"], map(str, range(40)), "P"),
        ]
    )
    return Case(lambda: plan(groups, methods, name))


@attack("study")
def bad_group(world, room, random):
    picture = torch.rand(3, 4, 4)
    name, results = random.choice(
        [
            ("", {"a": picture, "b": picture}),
            ("g", {}),
            ("g", {"a": picture}),
            ("g", {"a": picture, "": picture}),
            ("g", {"a": picture, "b": picture[0]}),
            ("g", {"a": picture, "b|": picture}),
            ("g", {"a": picture, "b": torch.rand(4, 4, 4)}),
        ]
    )
    return Case(lambda: Group(name, picture, picture, results))
