"""The study's widget, used through its buttons and traits as a page does."""

import re
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace

import ipywidgets as widgets
import pytest
import torch

from histcolor.study import answers
from histcolor.study import widget as study_widget
from histcolor.study.answers import read_answers
from histcolor.study.protocol import QUESTIONS, Group, plan
from histcolor.study.widget import StudyWidget, picture

METHODS = ["method one", "method two", "method three"]
GROUPS = [
    Group(f"group <{i}>", *torch.rand(2, 3, 6, 9), dict(zip(METHODS, torch.rand(3, 3, 6, 9), strict=True)))
    for i in range(3)
]


@pytest.fixture(autouse=True)
def in_haste(monkeypatch):
    """These tests press quicker than people look."""
    monkeypatch.setattr(study_widget, "HASTE", 0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.sqlite"


def inside(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from inside(child)


def find(widget, description):
    (found,) = [w for w in inside(widget) if isinstance(w, widgets.Button) and w.description == description]
    return found


def page(widget):
    """All that a participant can read or hear."""
    parts = [getattr(w, "value", "") or f"{getattr(w, 'description', '')} {w.tooltip or ''}" for w in inside(widget)]
    return re.sub(r"base64,[^\"]*", "", " ".join(parts))


def test_it_is_made_of_standard_widgets(path):
    widget = StudyWidget(GROUPS, path, "P1")
    assert isinstance(widget, widgets.VBox)
    assert {type(w).__name__ for w in inside(widget)} == {"StudyWidget", "VBox", "GridBox", "HTML", "Button"}
    assert {type(w)._view_name.default_value for w in inside(widget)} == {
        "VBoxView",
        "GridBoxView",
        "HTMLView",
        "ButtonView",
    }
    buttons = [w.description for w in inside(widget) if isinstance(w, widgets.Button)]
    assert buttons == ["A", "B", "C", "Back"]
    assert not path.exists(), "nothing is written before the first answer"


def test_what_is_shown(path):
    widget = StudyWidget(GROUPS, path, "P1")
    text = page(widget)
    assert "group 1 of 3, question 1 of 2" in text
    assert QUESTIONS["natural"] in text
    assert not any(method in text for method in METHODS), "a method's name is never shown"
    assert not re.search(r"color:", text), "the theme's colours"
    alts = re.findall(r'alt="([^"]+)"', text)
    assert len(alts) == 2 + len(METHODS)
    assert all(alts)
    assert find(widget, "Back").disabled


def test_pictures_are_in_the_participants_order(path):
    widget = StudyWidget(GROUPS, path, "P1", seed=4)
    name, shown = plan([g.name for g in GROUPS], METHODS, "P1", 4)[0]
    group = next(g for g in GROUPS if g.name == name)
    values = [w.value for w in inside(widget) if isinstance(w, widgets.HTML) and "<img" in w.value]
    expected = [group.exemplar, group.target, *(group.results[method] for method in shown)]
    for value, rgb in zip(values, expected, strict=True):
        assert re.search(r"base64,([^\"]*)", value)[1] == re.search(r"base64,([^\"]*)", picture(rgb, ""))[1]


def test_large_pictures_are_sent_small_and_text_is_escaped():
    html = picture(torch.zeros(3, 40, 3000), 'a "b" <c>', "<i>")
    assert 'alt="a &quot;b&quot; &lt;c&gt;"' in html
    assert "<figcaption>&lt;i&gt;</figcaption>" in html
    assert len(html) < 2000


def test_a_whole_session_by_buttons(path):
    widget = StudyWidget(GROUPS, path, " P1 ", simulated=True)
    order = plan([g.name for g in GROUPS], METHODS, "P1")
    seen = []
    for i in range(6):
        seen.append(widget.progress)
        find(widget, "ABC"[i % 3]).click()
        assert len(read_answers(path)) == i + 1, "each answer is on the disk at once"
    assert seen[:3] == [f"group {g} of 3, question {q} of 2" for g, q in ((1, 1), (1, 2), (2, 1))]
    table = read_answers(path)
    assert widget.done
    assert "Thank you" in page(widget)
    assert table["simulated"].all()
    assert set(table["participant"]) == {"P1"}
    assert table["question"].tolist() == ["natural", "consistent"] * 3
    for i, row in enumerate(table.itertuples()):
        assert (row.group, row.shown.split("|")) == order[i // 2]
        assert row.method == row.shown.split("|")[i % 3]
    with pytest.raises(ValueError, match="All questions have an answer"):
        widget.answer("A")


def test_a_double_click_answers_one_question(path, monkeypatch):
    now = 100.0
    monkeypatch.setattr(study_widget, "HASTE", 0.5)
    monkeypatch.setattr(study_widget.time, "monotonic", lambda: now)
    widget = StudyWidget(GROUPS, path, "P1")
    now += 1
    for _ in range(2):
        find(widget, "A").click()
    now += 0.2
    find(widget, "A").click()
    assert len(read_answers(path)) == 1
    now += 1
    find(widget, "A").click()
    assert len(read_answers(path)) == 2


def test_always_pressing_a_helps_no_method(path):
    widget = StudyWidget(GROUPS, path, "P1")
    while not widget.done:
        assert widget.answer("A")
    assert set(Counter(read_answers(path)["method"]).values()) == {2}


def test_who_comes_back_goes_on(path):
    first = StudyWidget(GROUPS, path, "P1")
    for letter in "ABC":
        first.answer(letter)
    StudyWidget(GROUPS, path, "P2").answer("A")
    again = StudyWidget(GROUPS[::-1], path, "P1")
    assert again.progress == first.progress == "group 2 of 3, question 2 of 2"
    for letter in "ABC":
        again.answer(letter)
    assert again.done
    assert StudyWidget(GROUPS, path, "P1").done
    assert len(read_answers(path)) == 7


def test_answers_about_other_methods_do_not_count(path):
    StudyWidget(GROUPS, path, "P1").answer("A")
    fewer = [replace(group, results=dict(list(group.results.items())[:2])) for group in GROUPS]
    other = StudyWidget(fewer, path, "P1")
    assert other.progress == "group 1 of 3, question 1 of 2"
    for _ in range(6):
        other.answer("A")
    assert other.done
    assert StudyWidget(GROUPS, path, "P1").progress == "group 1 of 3, question 2 of 2"


def test_back_keeps_both_and_the_last_counts(path):
    widget = StudyWidget(GROUPS, path, "P1")
    for letter in "AAA":
        widget.answer(letter)
    find(widget, "Back").click()
    find(widget, "Back").click()
    assert widget.progress == "group 1 of 3, question 2 of 2"
    assert "Your answer so far is A" in page(widget)
    widget.answer("B")
    assert widget.progress == "group 2 of 3, question 2 of 2", "on to the first open question"
    table = read_answers(path)
    assert len(table) == 4
    assert (table.iloc[[1, 3]]["group"]).nunique() == 1
    assert table.iloc[1]["method"] != table.iloc[3]["method"]
    for _ in range(9):
        widget.back()
    assert widget.progress == "group 1 of 3, question 1 of 2"
    while not widget.done:
        widget.answer("C")
    widget.back()
    assert not widget.done
    assert widget.progress == "group 3 of 3, question 2 of 2"
    assert "Your answer so far is C" in page(widget)


def test_a_question_is_repeated_if_its_answer_can_not_be_written(path, monkeypatch):
    monkeypatch.setattr(answers, "TIMEOUT", 0.05)
    widget = StudyWidget(GROUPS, path, "P1")
    widget.answer("A")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        find(widget, "B").click()
        assert not widget.answer("B")
    assert widget.progress == "group 1 of 3, question 2 of 2"
    text = page(widget)
    assert 'role="alert"' in text
    assert "the answer could not be written (another program holds the file locked); answer again." in text
    assert widget.answer("C")
    assert 'role="alert"' not in page(widget)
    table = read_answers(path)
    assert len(table) == 2
    assert table["method"].iloc[1] == table["shown"].iloc[1].split("|")[2]


def test_another_file_is_told_and_left_alone(path, tmp_path):
    widget = StudyWidget(GROUPS, path, "P1")
    path.write_text("name,age\n")
    assert not widget.answer("A")
    assert "is no file of answers" in page(widget)
    with pytest.raises(ValueError, match="is no file of answers"):
        StudyWidget(GROUPS, path, "P1")
    assert path.read_text() == "name,age\n"
    with pytest.raises(ValueError, match=r"its name must end in \.sqlite"):
        StudyWidget(GROUPS, tmp_path / "answers.csv", "P1")


def test_bad_input_is_refused(path):
    with pytest.raises(ValueError, match="participant has no name"):
        StudyWidget(GROUPS, path, "  ")
    with pytest.raises(ValueError, match="at most 100 characters, got 100,000"):
        StudyWidget(GROUPS, path, "x" * 100_000)
    with pytest.raises(ValueError, match="at least one group"):
        StudyWidget([], path, "P1")
    for letter in ("D", "a", "", "AB"):
        with pytest.raises(ValueError, match="There is no picture"):
            StudyWidget(GROUPS, path, "P1").answer(letter)
    assert not path.exists()


def test_no_name_is_html_on_the_page(tmp_path):
    """Names of groups, methods, participants and files are text, wherever they are shown."""
    evil = "<img src=x onerror=alert(1)>"
    groups = [
        Group(evil + str(i), *torch.rand(2, 3, 4, 4), dict.fromkeys([evil, "b"], torch.rand(3, 4, 4))) for i in "12"
    ]
    widget = StudyWidget(groups, tmp_path / f"{evil}.sqlite", evil)
    assert evil not in page(widget)
    (tmp_path / f"{evil}.sqlite").write_text("no database")
    assert not widget.answer("A")
    assert "is no file of answers" in page(widget)
    assert evil not in page(widget)
    assert "&lt;img src=x onerror" in page(widget)
