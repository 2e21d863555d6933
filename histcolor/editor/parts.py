"""The editor's own parts of the page, from the plane to the file button, and how they hear what the user does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets

STATIC = Path(__file__).parent / "static"
UPLOAD = 64 * 2**20  #: bytes of a file that the page may send
UNKNOWN = "The page sent something that the editor does not know: reload the page."


def _script(name: str) -> str:
    return "".join((STATIC / file).read_text(encoding="utf-8") for file in ("common.js", name))


def _other() -> Any:
    return traitlets.Instance(widgets.Widget).tag(sync=True, **widgets.widget_serialization)


class Part(anywidget.AnyWidget):
    """A part of the page whose values belong to the kernel: the user's actions come as messages, not as new values.

    So no value that a browser draws, late or rounded, is taken for an edit. A message is a mapping with a ``kind``; the
    function of that name in ``handlers`` gets its other entries. What it raises, and what no handler is for, goes to
    ``refuse``, since an exception here would only be logged.
    """

    _css = STATIC / "editor.css"

    def __init__(self, **traits: Any) -> None:
        self.handlers: dict[str, Callable[..., None]] = {}
        self.refuse: Callable[[Exception], None] = lambda error: None
        super().__init__(**traits)
        self.on_msg(self._hear)

    def _hear(self, _: Any, content: Any, buffers: list) -> None:
        try:
            values = dict(content)
            handler = self.handlers[values.pop("kind")]
            if buffers:
                values["buffers"] = buffers
        except (KeyError, TypeError, ValueError):
            self.refuse(ValueError(UNKNOWN))
            return
        try:
            handler(**values)
        except Exception as error:  # whatever a page sends, the answer is a sentence on the page
            self.refuse(error)

    def set_state(self, sync_data: dict) -> None:
        """Refuse new values from the page."""
        if sync_data:
            names = ", ".join(map(str, sync_data))
            self.refuse(ValueError(f"The page may not set {names[:80]}: reload the page."))


def family(widget: widgets.Widget) -> list[widgets.Widget]:
    """List a widget and all that belong to it, from its children to their layouts: each lives until it is closed."""
    found, left = [], [widget]
    while left:
        part = left.pop()
        if any(part is other for other in found):
            continue
        found.append(part)
        for name in part.keys:
            value = getattr(part, name)
            left += [
                x for x in (value if isinstance(value, tuple | list) else [value]) if isinstance(x, widgets.Widget)
            ]
    return found


class Slider(Part):
    """A number between two ends. The page shows ``value`` and sends what the user chooses."""

    _esm = _script("slider.js")
    name = traitlets.Unicode().tag(sync=True)
    tip = traitlets.Unicode().tag(sync=True)
    low = traitlets.Float().tag(sync=True)
    high = traitlets.Float().tag(sync=True)
    step = traitlets.Float().tag(sync=True)
    digits = traitlets.Int(2).tag(sync=True)
    value = traitlets.Float().tag(sync=True)


class FileButton(Part):
    """A button that loads a file from the user's computer; ``held`` is the name of the file in use."""

    _esm = _script("file.js")
    name = traitlets.Unicode().tag(sync=True)
    tip = traitlets.Unicode().tag(sync=True)
    accept = traitlets.Unicode().tag(sync=True)
    held = traitlets.Unicode().tag(sync=True)
    most = traitlets.Int(UPLOAD).tag(sync=True)

    def on_file(self, take: Callable[[bytes, str], None]) -> None:
        """Call a function with each file's bytes and name; files that are too large are refused."""
        got: list[bytes] = []

        def refused(name: Any, size: Any = None) -> None:
            raise ValueError(f"{short(name)}: has more than {self.most // 2**20} MB, too much for a page.")

        def hear(name: Any, piece: Any, pieces: Any, buffers: list) -> None:
            if piece == 0:
                got.clear()
            if piece != len(got) or len(buffers) != 1:
                raise ValueError(f"{short(name)}: the file did not arrive whole; load it again.")
            got.append(bytes(buffers[0]))
            if sum(map(len, got)) > self.most:
                got.clear()
                refused(name)
            if len(got) == pieces:
                content = b"".join(got)
                got.clear()
                take(content, short(name))

        self.handlers = {"file": hear, "refused": refused}


def short(name: Any, most: int = 40) -> str:
    """Shorten a file's name to what fits on a button."""
    name = " ".join(str(name).split())
    return name if len(name) <= most else f"{name[: most - 9]}…{name[-8:]}"


class Strip(Part):
    """A row of pictures to click on. The page sends the name of the chosen one."""

    _esm = _script("strip.js")
    items = traitlets.List(help="name, tip and background (CSS) of each").tag(sync=True)


class PlaneView(Part):
    """The ab plane (``static/plane.js``). It sends an edit at the end of each stroke, and previews of it before."""

    _esm = _script("plane.js")
    bins = traitlets.Int(64).tag(sync=True)
    colours = traitlets.Bytes(help="the plane in its own colours, a PNG").tag(sync=True)
    mass = traitlets.Bytes(help="how strongly each bin is shown, one byte each; axis 0 is a").tag(sync=True)
    gamut = traitlets.List(help="lines of points [a, b]").tag(sync=True)
    achieved = traitlets.List(help="lines of points [a, b]").tag(sync=True)
    mark = traitlets.List(help="a marked colour [a, b], or empty").tag(sync=True)
    rings = traitlets.List(help="the colours that a place looks at: [a, b, radius, share]").tag(sync=True)
    fresh = traitlets.Bool(True, help="nothing was edited yet: an example stroke is shown").tag(sync=True)
    label = traitlets.Unicode("The ab plane: a to the right, b upwards; paint the target histogram here").tag(sync=True)
    tools, radius, strength = _other(), _other(), _other()


class PhotoView(Part):
    """A photo with a before/after divider (``static/photo.js``). It sends the place that the pointer is at.

    The thread that makes the pictures changes it, too, and ``hold_sync`` is not made for two threads: a value that one
    sets while the other's hold ends would never be sent. So each change waits for the other thread's.
    """

    _esm = _script("photo.js")
    before = traitlets.Bytes(help="JPEG; empty: no divider").tag(sync=True)
    after = traitlets.Bytes(help="JPEG").tag(sync=True)
    heat = traitlets.Bytes(help="JPEG of the photo with the places of a colour; empty: none").tag(sync=True)
    version = traitlets.Int(0, help="counts the pictures that ``after`` has shown").tag(sync=True)
    pins = traitlets.List(help="[x, y, hex colour], with x and y in [0, 1]").tag(sync=True)
    held = traitlets.Int(0, help="the chosen pin's number, from 1; 0: none").tag(sync=True)
    colour = traitlets.Unicode("#cc3333", help="of the next pin").tag(sync=True)
    pointing = traitlets.List(["pick", "look", "pin"], help="the tools that work on this photo").tag(sync=True)
    label = traitlets.Unicode("A photo").tag(sync=True)
    tools = _other()

    def __init__(self, **traits: Any) -> None:
        self._changing = threading.RLock()
        super().__init__(**traits)

    @contextmanager
    def hold_sync(self) -> Iterator[None]:
        """Send what is changed within it at its end, in one message."""
        with self._changing, super().hold_sync():
            yield

    def notify_change(self, change: Any) -> None:
        """Send a changed value."""
        with self._changing:
            super().notify_change(change)
