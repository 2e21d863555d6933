"""The histogram editor for notebooks: paint on the ab plane, and the photo beside it changes.

This module only connects traits and messages. The histogram is in :class:`histcolor.editor.painting.Painting`, the
maths in :mod:`histcolor.edit`, the colouring in :class:`histcolor.editor.live.Live`, the drawing in ``static/``.
"""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

import ipywidgets
import traitlets
from torch import Tensor

from histcolor.checkpoint import load
from histcolor.color import gray_rgb, is_gray, rgb_to_lab
from histcolor.colorize import check_attention, resize
from histcolor.edit import check_colour, check_number
from histcolor.editor.controls import Controls
from histcolor.editor.live import Live, Result
from histcolor.editor.painting import Painting
from histcolor.editor.parts import UNKNOWN, family, short
from histcolor.editor.photos import as_photo, encoded, shrunk
from histcolor.editor.pointing import COLOUR, Pointing
from histcolor.editor.saved import Film, compared, npy, photo_hash, read_state, state_text
from histcolor.editor.starts import PALETTES, REFERENCES, surprise
from histcolor.histogram import ab_histogram, read_histogram
from histcolor.images import atomic, write_image, write_text
from histcolor.model import Colorizer
from histcolor.plots import gamut_outline, histogram_picture, mass_outline, plane_picture, visible_mass
from histcolor.points import Point


@dataclass(frozen=True)
class Reference:
    """A reference image as it is shown."""

    name: str  #: in the menu
    image: Tensor  #: small, RGB ``[3, h, w]`` in [0, 1]


class HistogramEditor(ipywidgets.VBox):
    """A widget for notebooks: paint the target histogram, and watch how the photo's colours change.

    ``editor`` at the end of a cell shows it. In Python, also without a browser, use its traits:
    ``editor.edit = {"tool": "paint", "path": [(60, 40)]}`` makes an edit (all of them are listed in
    :class:`~histcolor.editor.painting.Painting`), ``editor.transport = 0.5`` sets the transport strength, and
    ``editor.wait()`` returns the new picture. Undo and redo are edits, too, and so is ``{"tool": "average"}``: it takes
    the average histogram, and the network chooses the colours. A gray photo starts with it. ``{"tool": "surprise"}``
    takes the histogram of a photo, chosen at random. ``{"tool": "pin", "at": (120, 80), "colour": "#c33"}`` makes a
    place of the photo hold a colour; ``editor.points`` has all pins, as :func:`histcolor.colorize` takes them.
    ``editor.close()`` frees its memory, above 100 MB for a large photo: a cell that runs again makes another editor.

    Args:
        model: from :func:`histcolor.load`, or the name of a shipped model.
        photo: RGB ``[3, H, W]`` in [0, 1], a path, or the name of one of scikit-image's photos.
        reference: the reference image, which has the first target histogram; by default, the photo itself.
        size: the working size, see :func:`histcolor.colorize.encode`.
        transport: the transport strength at first: 0.5, so that painted colours are seen in the photo.

    Raises:
        ValueError, OSError: a wrong photo, model or size; the message is one sentence.
    """

    edit = traitlets.Dict(help="Set it to edit the target histogram.")
    transport = traitlets.Float(0.0, min=0.0, max=1.0, help="How far the colours are moved to the target histogram.")
    version = traitlets.Int(0, help="Counts the pictures that were made.")
    message = traitlets.Unicode("", help="What went wrong with the last edit, in one sentence; else empty.")

    @traitlets.validate("transport")
    def _number(self, proposal: dict) -> float:
        if math.isnan(proposal["value"]):  # the trait's limits do not refuse it
            raise traitlets.TraitError("transport must be in [0, 1], got nan.")
        return proposal["value"]

    def __init__(
        self,
        model: Colorizer | str = "small",
        photo: Tensor | str | Path = "chelsea",
        reference: Tensor | str | Path | None = None,
        *,
        size: int = 256,
        transport: float = 0.5,
    ) -> None:
        check_number("transport", transport, 0, 1)
        self.model = load(model) if isinstance(model, str) else model
        self.size = size
        self._showing = threading.Lock()
        self._hist: Tensor | None = None  # the one that the plane shows
        self.film = Film()
        self.controls = Controls(self.model.config.bins, REFERENCES)
        self.plane, self.photo_view = self.controls.plane, self.controls.photo
        self.reference_view = self.controls.reference
        image = as_photo(photo)
        self.live = Live(self.model, image, size=size)
        first, average = self._first(image)
        shape, self._photo = tuple(image.shape[-2:]), photo_hash(image)
        self._own: dict[str, dict[str, Any]] = {"photo": {}, "reference": {}}  # the user's, by name
        hist, about = (None, None) if reference is None else self._referred(reference)
        self.painting = Painting(first, hist, about=about, average=average, shape=shape)
        self.pointing = Pointing(self.controls, self.painting, lambda: self.live, self._edit)
        self._named, self._shown = self._name("photo", photo), about  # the photo's name, the reference image
        self.controls.buttons["average"].layout.display = None if self.model.automatic else "none"
        super().__init__(self.controls.layout)
        self.add_class("histcolor-editor")
        self.transport = self._first_transport = transport
        self._connect()
        self._show_sources()
        self._show_photo()
        self._update()
        self._hint(image)

    # --- for Python ---

    @property
    def hist(self) -> Tensor:
        """The target histogram, ``[bins, bins]``, summing to 1."""
        return self.painting.hist

    @property
    def points(self) -> list[Point]:
        """The pins: x and y in pixels of the photo, and a colour, as :func:`histcolor.colorize` takes them."""
        return list(self.painting.state.points)

    def wait(self, timeout: float | None = 60.0) -> Result:
        """Wait for the picture with the present target histogram: see :meth:`histcolor.editor.live.Live.wait`."""
        return self.live.wait(timeout)

    def save_picture(self, path: str | Path) -> None:
        """Write the coloured photo at its full size; the suffix is the format."""
        write_image(self._full(), path)

    def save_state(self, path: str | Path) -> None:
        """Write the target histogram, the pins and the transport strength as ``.json``, for this photo."""
        write_text(self._state(), path)

    def load_state(self, path: str | Path) -> None:
        """Take up what :meth:`save_state` wrote; an edit, which can be undone, but for the transport strength.

        Raises:
            ValueError, OSError: no saved state, a damaged one, or one of another photo. The message is one sentence,
                and nothing has changed.
        """
        self._load_state(Path(path).read_bytes(), str(path))

    def save_histogram(self, path: str | Path) -> None:
        """Write the target histogram: its numbers, float32 ``[bins, bins]``, as ``.npy``; or a picture of it."""
        if Path(path).suffix.lower() != ".npy":
            write_image(self._plane_picture(), path)
            return
        with atomic(path) as temporary:
            temporary.write_bytes(npy(self.hist))

    def load_histogram(self, path: str | Path) -> None:
        """Take the target histogram from an ``.npy`` file; it may have any number of bins.

        Raises:
            ValueError, OSError: the file holds no histogram. The message is one sentence, and nothing has changed.
        """
        self._load_histogram(Path(path).read_bytes(), str(path))

    def use_photo(self, photo: Tensor | str | Path, name: str = "") -> None:
        """Change the photo; edits stay. The menu shows its name."""
        self.live.check_open()
        image, self.message = as_photo(photo, name), ""
        live, (first, average) = Live(self.model, image, size=self.size), self._first(image)
        self.live.close()
        with self._showing:  # no picture of the photo before comes after this
            self.live, self.film = live, Film()
        self._photo = photo_hash(image)
        self.pointing.forget()
        self.painting.use_photo(first, average=average, shape=tuple(image.shape[-2:]))
        self._named = self._name("photo", photo, name)
        self._show_sources()
        self._show_photo()
        self._update()
        self._hint(image)

    def use_reference(self, photo: Tensor | str | Path | None, name: str = "") -> None:
        """Change the reference image; its histogram becomes the target: an edit. The menu shows its name.

        None: the photo itself, as in an editor without a reference image.
        """
        self.painting.use_reference(*((None,) if photo is None else self._referred(photo, name)))
        self.message = ""
        self._update()

    def reset(self) -> None:
        """Set everything to what it is in a new editor with this photo and this reference image.

        The target histogram before can be had again by undo.
        """
        self.controls.reset()
        self.pointing.colour = COLOUR
        self.transport = self._first_transport
        self._edit({"tool": "reset"})

    def close(self) -> None:
        """Stop computing, and remove the editor and all its parts from the page and from memory."""
        if "live" in vars(self):  # a photo or a model was refused else, and Python removes what there is of the editor
            self.live.close()
        for part in family(self)[1:]:
            part.close()
        super().close()

    # --- from traits to the histogram ---

    def _connect(self) -> None:
        self.observe(lambda change: self._edit(change.new) if change.new else None, "edit")
        self.observe(lambda change: self._guard(self._ask, following=True), "transport")
        traitlets.dlink((self, "transport"), (self.controls.transport, "value"))
        self.observe(lambda change: self.controls.say(change.new), "message")
        point = self.pointing
        self.controls.tools.observe(lambda change: point.show_tool(), "index")
        for part in self.controls.parts:
            part.refuse = self._refuse
        self.plane.handlers = {
            "edit": lambda **action: self._edit(action),
            "preview": lambda **action: self._preview(action),
            "look": point.look_at_colour,
            "colour": lambda ab: point.choose(check_colour("colour", ab)),
        }
        self.controls.starts.handlers = {"start": lambda name: self._guard(self._start, name)}
        self.photo_view.handlers = {
            "edit": lambda **action: self._edit(action),
            "pin": point.place,
            "carry": lambda **place: self._preview(point.pin(**place) if place else {}),
            "hold": point.hold,
            "look": point.look_at_place,
            "pick": lambda x, y, gray: point.pick(gray_rgb(self.live.small.L) if gray else self.wait().rgb, x, y),
        }
        self.reference_view.handlers = {
            "edit": self.photo_view.handlers["edit"],
            "pick": lambda x, y, gray: point.pick(self._reference_pixels(), x, y),
        }
        self.controls.buttons["reset"].on_click(lambda _: self.reset())
        self.controls.connect(
            edit=self._edit,
            transport=lambda value: self.set_trait("transport", check_number("transport", value, 0, 1)),
            choose=lambda what, name: self._guard(self._use, what, self._own[what].get(name, name or None), name),
            load=lambda what, content, name: self._guard(self._use, what, content, name),
            save=lambda what: self._guard(self._download, what),
            colour=point.choose,
        )

    def _guard(self, function: Any, *arguments: Any, **options: Any) -> None:
        """Call a function for the user; if it fails, show the message on the page."""
        try:
            self.message = ""
            function(*arguments, **options)
        except Exception as error:  # the page has nobody else to tell
            self._refuse(error)

    def _refuse(self, error: Exception) -> None:
        """Show on the page why something was not done, in one sentence."""
        if isinstance(error, TypeError):  # an entry of a message is missing, or is too many
            error = ValueError(UNKNOWN)
        text = " ".join(str(error).split()) or type(error).__name__
        self.message = text if isinstance(error, ValueError | OSError) else f"That did not work: {text}"

    def _edit(self, action: dict[str, Any]) -> None:
        self.edit = {}  # so that the same edit can be set again
        self._guard(lambda: self.painting.apply(self._completed(action)))
        if not (isinstance(action, dict) and action.get("tool") == "pin"):
            self.photo_view.held = 0  # pins may have gone, or have other numbers
        self._update(following=isinstance(action, dict) and action.get("tool") in ("mix", "hue", "saturation"))

    def _completed(self, action: dict[str, Any]) -> dict[str, Any]:
        """Add to an edit what only the editor knows: the photo's lightness, the average histogram."""
        if not isinstance(action, dict):
            return action
        if action.get("tool") == "surprise":
            return {"tool": "load", "hist": surprise()}
        if action.get("tool") == "average":
            return {"tool": "load", "hist": self.model.average_histogram().cpu(), "average": True}
        return {"L": self.live.lightness, **action} if action.get("tool") == "clip" else self._possible(action)

    def _possible(self, action: dict[str, Any]) -> dict[str, Any]:
        """Refuse an edit after which this model could make no picture; return any other as it is."""
        points = action.get("points")
        if action.get("tool") == "pin" or (isinstance(points, Sized) and len(points)):
            check_attention(self.model)
        if action.get("average"):
            self.model.average_histogram()
        return action

    def _update(self, *, following: bool = False) -> None:
        """Ask for the picture with the target histogram, which may have changed, and show the histogram."""
        self._ask(following=following)
        self.controls.show_state(self.painting)
        if self.painting.state.about is not self._shown:  # another one was chosen, or that was undone
            self._shown = self.painting.state.about
            self._show_sources()
        self.plane.fresh = self.plane.fresh and not self.painting.done
        if self.hist is not self._hist:
            self._hist = self.hist
            self.plane.mass = (visible_mass(self._hist) * 255).round().byte().numpy().tobytes()
            self.pointing.show_tool()
        self.pointing.show_pins()

    def _preview(self, action: dict[str, Any]) -> None:
        """Ask for the picture that an unfinished stroke would give; without one, for that of the target histogram."""
        self._ask(*self.painting.preview(action) if action else (), following=True)

    def _ask(
        self, hist: Tensor | None = None, points: Sequence[Point] | None = None, *, following: bool = False
    ) -> None:
        done = self.painting.done
        began = None if hist is not None else done[-1] if done else self.painting  # None: a preview, and no edit
        hist, points = self.hist if hist is None else hist, self.points if points is None else points
        self.live.ask(
            hist,
            self.transport,
            automatic=self.painting.automatic and hist is self.hist,
            points=points,
            following=following,
            then=partial(self._show_result, self.live, began),
            fail=partial(self._show_failure, self.live),
        )

    def _full(self) -> Tensor:
        return self.live.full(self.hist, self.transport, automatic=self.painting.automatic, points=self.points)

    def _hint(self, image: Tensor) -> None:
        """Tell the user how to begin, if the photo is gray and there is no target histogram yet."""
        if self._shown is None and not self.painting.done and is_gray(resize(image, (64, 64))):
            chosen = " and the network chose its colours" if self.model.automatic else ""
            self.message = f"The photo is gray{chosen}: choose a reference, type hex colours, or paint on the plane."

    def _load(self, content: bytes, name: str) -> None:
        """Take up a saved state or a histogram."""
        state = content[:1] == b"{" or name.lower().endswith(".json")
        (self._load_state if state else self._load_histogram)(content, name)

    def _load_state(self, content: bytes, name: str) -> None:
        transport, action = read_state(content, name, self._photo, len(self.hist))
        self.painting.apply(self._possible(action))
        self.transport, self.photo_view.held = transport, 0  # the pin that was held is gone
        self._loaded(name)

    def _load_histogram(self, content: bytes, name: str) -> None:
        self.painting.apply({"tool": "load", "hist": read_histogram(io.BytesIO(content), name)})
        self._loaded(name)

    def _loaded(self, name: str) -> None:
        self.controls.load(short(Path(name).name))
        self.message = ""
        self._update()

    def _state(self) -> str:
        return state_text(self._photo, self.hist, self.painting.automatic, self.points, self.transport)

    def _start(self, name: str) -> None:
        """Take a start point: a palette, a reference photo, or a random histogram."""
        if name in PALETTES:
            self._edit({"tool": "palette", "colours": PALETTES[name]})
        elif name in REFERENCES:
            self.use_reference(name)
        elif name == "Surprise me":
            self._edit({"tool": "surprise"})
        else:
            raise ValueError(UNKNOWN)

    # --- from photos and results to the page ---

    def _use(self, what: str, source: Tensor | str | Path | bytes | None, name: str) -> None:
        """Use what was chosen in a menu, or a file from the user's computer; None: no reference image."""
        try:
            {"photo": self.use_photo, "reference": self.use_reference, "saved": self._load}[what](source, name)
        except Exception:
            self._show_sources()  # the menu shows what was chosen, and it is not in use
            raise

    def _name(self, what: str, source: Tensor | str | Path | bytes, name: str = "") -> str:
        """Find a photo's or reference image's name for the menu, and keep the user's own for later."""
        if not name:
            name = f"{what} from Python" if isinstance(source, Tensor | bytes) else short(Path(source).name)
        if not (isinstance(source, str) and source in REFERENCES):
            name, own = name + " (yours)" * (name in REFERENCES), self._own[what]
            if not isinstance(source, Tensor):  # another file of that name stays in the menu
                names = chain([name], (f"{name} ({number})" for number in count(2)))
                name = next(name for name in names if name not in own or own[name] == source)
            own[name] = source
        return name

    def _referred(self, source: Tensor | str | Path | bytes, name: str = "") -> tuple[Tensor, Reference]:
        """Read a reference image: its histogram, and what is shown of it."""
        image = as_photo(source, name)
        return self._histogram(image), Reference(self._name("reference", source, name), shrunk(image, 256))

    def _histogram(self, image: Tensor) -> Tensor:
        return ab_histogram(rgb_to_lab(shrunk(image))[1:], self.model.config.bins)

    def _first(self, image: Tensor) -> tuple[Tensor, bool]:
        """Return a photo's first target histogram, and whether it is the average one, as it is for a gray photo."""
        if self.model.automatic and is_gray(resize(image, (64, 64))):
            return self.model.average_histogram().cpu(), True
        return self._histogram(image), False

    def _show_photo(self) -> None:
        L = self.live.lightness
        self.plane.colours, self.plane.gamut = encoded(plane_picture(L), "png"), gamut_outline(L)
        self.photo_view.before = encoded(gray_rgb(self.live.small.L), "jpeg")

    def _show_sources(self) -> None:
        """Show which photo and which reference image are in use."""
        self.controls.show_source("photo", self._named, list(self._own["photo"]))
        reference = self._shown
        self.controls.show_source("reference", reference.name if reference else "", list(self._own["reference"]))
        self.reference_view.after = encoded(reference.image, "jpeg") if reference else b""

    def _show_failure(self, live: Live, error: Exception) -> None:
        if live is self.live:
            self.message = f"The picture could not be made: {error}"

    def _show_result(self, live: Live, began: object, result: Result) -> None:
        picture = encoded(result.rgb, "jpeg")
        with self._showing:
            if live is not self.live:  # the worker of the photo before was still busy when another one was chosen
                return
            with self.photo_view.hold_sync():
                self.photo_view.version = self.version + 1
                self.photo_view.after = picture
            # the picture is sent first; the rest may come a moment later
            self.plane.achieved = mass_outline(result.achieved, 0.97)
            self.controls.show_distance(result.distance)
            self.version += 1
            if began is not None:
                self.film.add(began, shrunk(result.rgb, 256))

    def _download(self, what: str) -> None:
        """Send the page a file to save."""
        name, content = {
            "picture": ("coloured.png", lambda: encoded(self._full(), "png")),
            "pair": ("before_after.png", lambda: encoded(compared(self.live.photo.L, self._full()), "png")),
            "edits": ("edits.webp", self.film.animated),
            "histogram": ("histogram.npy", lambda: npy(self.hist)),
            "plane": ("histogram.png", lambda: encoded(self._plane_picture(), "png")),
            "state": ("editor.json", lambda: self._state().encode()),
        }[what]
        self.photo_view.send({"kind": "download", "name": name}, [content()])

    def _plane_picture(self) -> Tensor:
        return histogram_picture(self.hist, self.live.lightness, scale=8)

    def _reference_pixels(self) -> Tensor:
        if self._shown is None:
            raise ValueError("There is no reference image yet: choose one.")
        return self._shown.image
