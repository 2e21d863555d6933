"""The user study as a widget: it shows the pictures, with a button for each, and stores every answer at once."""

from __future__ import annotations

import base64
import html
import io
import os
import time
from collections.abc import Sequence
from pathlib import Path

import ipywidgets as widgets
from PIL import Image
from torch import Tensor

from histcolor.images import to_uint8
from histcolor.study.answers import append_answer, read_answers, storable
from histcolor.study.protocol import LETTERS, QUESTIONS, Group, check_groups, check_participant, plan

#: seconds after a question is shown in which its buttons do nothing: nobody has looked yet, it is a double click
HASTE = 0.5
SHOWN_PIXELS = 512  #: largest longer side of a picture that is sent; on the page it is at most 300 pixels wide


def picture(rgb: Tensor, alt: str, caption: str = "") -> str:
    """Write RGB ``[3, H, W]`` in [0, 1] as HTML: a PNG with a caption, and ``alt`` as the text for screen readers."""
    image = Image.fromarray(to_uint8(rgb))
    image.thumbnail((SHOWN_PIXELS, SHOWN_PIXELS), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    image.save(data, "PNG")
    source = base64.b64encode(data.getvalue()).decode()
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return (
        f'<figure style="margin: 0; text-align: center"><img alt="{html.escape(alt)}" style="width: 100%" '
        f'src="data:image/png;base64,{source}">{below}</figure>'
    )


class StudyWidget(widgets.VBox):
    """Show a participant one group after the other, ask both questions about each, and store every answer in a file.

    The results have the letters A, B, C …, never a method's name, and each participant has another order
    (:func:`histcolor.study.protocol.plan`). A new widget with the same participant, file and seed goes on at the first
    question without an answer. If an answer can not be written, the widget says why, and asks again. In Python, use
    :meth:`answer` and :meth:`back`, which the buttons call, too.

    Args:
        groups: the groups of pictures; all must have the same methods.
        path: the file of answers, ``*.sqlite`` (:mod:`histcolor.study.answers`); several participants may share it.
        participant: who answers; a code is better than a name. Blanks around it are removed.
        seed: of the study's orders; keep it the same for all participants and sessions.
        simulated: True when no person presses the buttons (tests, demonstrations); it is stored with the answers.

    Raises:
        ValueError: no groups, groups with different methods, a bad name of the participant, or no file of answers.
        OSError: the file can not be read.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        path: str | os.PathLike,
        participant: str,
        seed: int = 0,
        *,
        simulated: bool = False,
    ):
        methods = check_groups(groups)
        self._groups = {group.name: group for group in groups}
        self._path, self._participant, self._simulated = Path(path), check_participant(participant), simulated
        order = plan(self._groups, methods, self._participant, seed)
        self._steps = [(name, shown, question) for name, shown in order for question in QUESTIONS]
        self._answers = self._read()
        self._at = self._first_open()

        self._progress, self._question, self._message = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self._given = [widgets.HTML() for _ in range(2)]
        self._pictures = [widgets.HTML() for _ in methods]
        self._buttons = [
            widgets.Button(
                description=letter, tooltip=f"Choose picture {letter}", layout={"width": "100%", "margin": "0"}
            )
            for letter in LETTERS[: len(methods)]
        ]
        for button in self._buttons:
            button.on_click(self._pressed)
        self._back = widgets.Button(description="Back", icon="arrow-left", tooltip="Go back to the question before")
        self._back.on_click(lambda _: self.back())
        cards = [widgets.VBox(pair) for pair in zip(self._pictures, self._buttons, strict=True)]
        columns = "repeat(auto-fill, minmax(160px, 1fr))"  # pictures of one size, about five in a row
        grid = {"grid_template_columns": columns, "grid_gap": "8px", "max_width": f"{300 * len(methods)}px"}
        self._body = widgets.VBox(
            [widgets.GridBox(self._given, layout=grid), self._question, widgets.GridBox(cards, layout=grid)]
        )
        super().__init__([self._progress, self._body, self._message, self._back])
        self._show()

    def _read(self) -> dict[tuple[str, str], str]:
        """Read this participant's answers so far about these methods, (group, question) → method."""
        try:
            table = read_answers(self._path)
        except FileNotFoundError:  # it is made with the first answer
            return {}
        methods = {storable(method) for method in self._steps[0][1]}
        same = table["shown"].map(lambda shown: set(shown.split("|")) == methods)
        who = (table["participant"] == storable(self._participant)) & (table["simulated"] == self._simulated)
        mine = table[who & same]
        known = {
            (storable(name), question, storable(method)): (name, question, method)
            for name, shown, question in self._steps
            for method in shown
        }
        found = {}
        for answer in zip(mine["group"], mine["question"], mine["method"], strict=True):
            if answer in known:
                name, question, method = known[answer]
                found[name, question] = method
        return found

    def _first_open(self) -> int:
        """Find the first question without an answer; if there is none, return the number of all questions."""
        open_ = (i for i, (name, _, question) in enumerate(self._steps) if (name, question) not in self._answers)
        return next(open_, len(self._steps))

    @property
    def done(self) -> bool:
        """Whether the participant is at the end and has answered all questions."""
        return self._at == len(self._steps)

    @property
    def progress(self) -> str:
        """Where the participant is, such as ``group 3 of 30, question 1 of 2``."""
        group, question = divmod(min(self._at, len(self._steps) - 1), len(QUESTIONS))
        return f"group {group + 1} of {len(self._groups)}, question {question + 1} of {len(QUESTIONS)}"

    def answer(self, letter: str) -> bool:
        """Choose a picture by its letter, and go to the first question without an answer.

        Returns:
            Whether the answer is on the disk. If not, the widget shows why, and asks again.

        Raises:
            ValueError: no such letter, or the study is finished.
        """
        if self.done:
            raise ValueError("All questions have an answer; go back() to change one.")
        name, shown, question = self._steps[self._at]
        if letter not in list(LETTERS[: len(shown)]):
            raise ValueError(f"There is no picture {letter!r}, only {', '.join(LETTERS[: len(shown)])}.")
        method = shown[LETTERS.index(letter)]
        try:
            append_answer(
                self._path,
                participant=self._participant,
                group=name,
                question=question,
                method=method,
                shown=shown,
                simulated=self._simulated,
            )
        except (OSError, ValueError) as error:  # ValueError: another file was put in its place
            self._show(str(error))
            return False
        self._answers[name, question] = method
        self._at = self._first_open()
        self._show()
        return True

    def _pressed(self, button: widgets.Button) -> None:
        if time.monotonic() - self._since >= HASTE and not self.done:
            self.answer(button.description)

    def back(self) -> None:
        """Go back to the question before. A new answer will count instead of the old one; the file keeps both."""
        self._at = max(0, self._at - 1)
        self._show()

    def _show(self, problem: str = "") -> None:
        """Update all parts; ``problem`` is a sentence to show."""
        self._back.disabled = self._at == 0
        self._body.layout.display = "none" if self.done else None
        said = ""
        if self.done:
            self._progress.value = "<h3>Thank you! All questions are answered.</h3>"
        else:
            name, shown, question = self._steps[self._at]
            group = self._groups[name]
            self._progress.value = f'<p role="status">{self.progress}</p>'
            self._question.value = f"<h3>{html.escape(QUESTIONS[question])}</h3>"
            self._given[0].value = picture(
                group.exemplar, "the exemplar, whose colours the results should have", "exemplar"
            )
            self._given[1].value = picture(group.target, "the gray photo that is coloured below", "gray photo")
            for part, letter, method in zip(self._pictures, LETTERS, shown, strict=False):
                part.value = picture(group.results[method], f"the photo, coloured: picture {letter}")
            if method := self._answers.get((name, question)):
                said = f"Your answer so far is {LETTERS[shown.index(method)]}; the next one replaces it."
        self._since = time.monotonic()
        alert = f'<p role="alert"><b>{html.escape(problem)}</b></p>' if problem else ""
        self._message.value = alert + (f"<p>{said}</p>" if said else "")
