"""The editor's parts and their layout: the plane, the photos, and standard widgets around them."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets

from histcolor.editor.painting import Painting

STATIC = Path(__file__).parent / "static"
TOOLS = (
    ("Paint", "paint", "paint-brush", "Add the colour under the brush"),
    ("Erase", "erase", "eraser", "Remove the colours under the brush"),
    ("Move", "move", "arrows-alt", "Drag colours to another place in the plane"),
    ("Pick", "pick", "eye-dropper", "Click on a photo to add its colour there"),
    ("Look", "look", "eye", "Point at the photo to see its colours there; point at a colour to see its places"),
)
HINT = (
    "Keys on the plane: arrows move the cross (faster with Shift), Enter paints, <b>[ ]</b> change the brush, "
    "<b>− +</b> the strength, <b>p e m c l</b> the tool, Ctrl+Z undoes. The wheel changes the brush; with Shift, the "
    "strength. The dashed line is the edge of sRGB at the photo's mean lightness; inside the solid line lie 97 % of "
    "the picture's pixels."
)


class PlaneView(anywidget.AnyWidget):
    """The ab plane (``static/plane.js``). It sends an edit at the end of each stroke."""

    _esm = STATIC / "plane.js"
    _css = STATIC / "editor.css"
    bins = traitlets.Int(64).tag(sync=True)
    colours = traitlets.Bytes(help="the plane in its own colours, a PNG").tag(sync=True)
    mass = traitlets.Bytes(help="how strongly each bin is shown, one byte each; axis 0 is a").tag(sync=True)
    glow = traitlets.Bytes(help="the same for the tokens that a place looks at; empty: none").tag(sync=True)
    gamut = traitlets.List(help="lines of points [a, b]").tag(sync=True)
    achieved = traitlets.List(help="lines of points [a, b]").tag(sync=True)
    mark = traitlets.List(help="a marked colour [a, b], or empty").tag(sync=True)
    tool = traitlets.Unicode("paint").tag(sync=True)
    radius = traitlets.Float(12.0, min=2.0, max=60.0, help="of the brush, units of ab").tag(sync=True)
    strength = traitlets.Float(0.1, min=0.01, max=1.0, help="of a stroke").tag(sync=True)
    label = traitlets.Unicode("The ab plane: a to the right, b upwards; paint the target histogram here").tag(sync=True)
    edit = traitlets.Dict(help="the newest edit").tag(sync=True)
    look = traitlets.Dict(help="the colour under the pointer, ab, while looking").tag(sync=True)


class PhotoView(anywidget.AnyWidget):
    """A photo with a before/after divider (``static/photo.js``). It sends the place that the pointer is at."""

    _esm = STATIC / "photo.js"
    _css = STATIC / "editor.css"
    before = traitlets.Bytes(help="JPEG; empty: no divider").tag(sync=True)
    after = traitlets.Bytes(help="JPEG").tag(sync=True)
    heat = traitlets.Bytes(help="JPEG of the photo with the places of a colour; empty: none").tag(sync=True)
    version = traitlets.Int(0, help="counts the pictures that ``after`` has shown").tag(sync=True)
    divider = traitlets.Float(0.0, help="its place: 0 shows only ``after``, 1 only ``before``").tag(sync=True)
    tool = traitlets.Unicode("paint").tag(sync=True)
    label = traitlets.Unicode("A photo").tag(sync=True)
    pick = traitlets.Dict(help="the place x, y that was picked, as fractions of the photo").tag(sync=True)
    look = traitlets.Dict(help="the place under the pointer, while looking").tag(sync=True)


def slider(
    name: str, value: float, low: float, high: float, step: float, tip: str, form: str = ".2f"
) -> widgets.FloatSlider:
    """Make a slider, which sends its value while it is dragged."""
    return widgets.FloatSlider(
        value, min=low, max=high, step=step, description=name, tooltip=tip, readout_format=form,
        style={"description_width": "6.5em"}, layout=widgets.Layout(width="auto", max_width="380px"),
    )  # fmt: skip


def button(name: str, icon: str, tip: str) -> widgets.Button:
    """Make a button as wide as its name."""
    return widgets.Button(description=name, icon=icon, tooltip=tip, layout=widgets.Layout(width="auto"))


def upload(name: str, accept: str, tip: str) -> widgets.FileUpload:
    """Make a button that loads one file from the user's computer."""
    return widgets.FileUpload(
        accept=accept, multiple=False, description=name, tooltip=tip, layout=widgets.Layout(width="auto")
    )


class Controls:
    """The editor's parts, their layout and their connections. What an edit does is decided elsewhere.

    Args:
        plane, photo, reference: the three views.
        names: the photos that can be chosen from a list.
    """

    def __init__(self, plane: PlaneView, photo: PhotoView, reference: PhotoView, names: Sequence[str]) -> None:
        self.plane, self.photo, self.reference = plane, photo, reference
        self.tools = widgets.ToggleButtons(
            options=[(name, tool) for name, tool, _, _ in TOOLS],
            icons=[icon for _, _, icon, _ in TOOLS],
            tooltips=[tip for *_, tip in TOOLS],
            style={"button_width": "auto"},
        )
        self.undo = button("Undo", "undo", "Undo the last edit (Ctrl+Z)")
        self.redo = button("Redo", "repeat", "Redo the edit that was undone (Ctrl+Shift+Z)")
        self.reset = button("Reset", "refresh", "Go back to the first target histogram")
        self.average = button("Average", "magic", "The average histogram of all training images: the network chooses")
        self.clip = button("To gamut", "compress", "Move colours that a screen cannot show to the edge of sRGB")
        self.radius = slider("Brush", 12, 2, 60, 0.5, "Radius of the brush in units of ab", ".0f")
        self.strength = slider("Strength", 0.1, 0.01, 1, 0.01, "How much a stroke adds, or what part of it is erased")
        self.hue = slider("Turn hue", 0, -180, 180, 1, "Degrees, from red towards yellow", ".0f")
        self.saturation = slider("Saturation", 1, 0, 2, 0.01, "Factor of every colour's chroma")
        tip = "0: the network's colours; 1: the target histogram is met exactly, as far as sRGB can show it"
        self.transport = slider("Transport", 0, 0, 1, 0.05, tip)
        tips = ("the photo's own histogram", "the reference image's histogram", "the painted histogram")
        self.mix = [slider(name, 0, 0, 1, 0.01, f"Part of {tip} in the mixture") for name, tip in zip(
            ("Photo's own", "Reference", "Painted"), tips, strict=True)]  # fmt: skip
        wide = widgets.Layout(width="auto", max_width="380px")
        style = {"description_width": "6.5em"}
        self.palette = widgets.Text(
            placeholder="#7a9e4f, #c9b18a, #5b86b5",
            description="Hex colours",
            continuous_update=False,
            layout=wide,
            style=style,
        )
        choices = [("choose …", ""), *((name, name) for name in names)]
        self.names = widgets.Dropdown(options=choices, description="Photo", layout=wide, style=style)
        self.references = widgets.Dropdown(options=choices, description="Reference", layout=wide, style=style)
        self.own_photo = upload("Own photo", "image/*", "Colour a photo from your computer")
        self.own_reference = upload("Own reference", "image/*", "Take the colours of a photo from your computer")
        self.own_histogram = upload("Load .npy", ".npy", "Load a histogram that was saved before")
        self.saves = {
            "picture": button("Save picture", "download", "Save the coloured photo at its full size, as PNG"),
            "histogram": button("Save .npy", "download", "Save the target histogram's numbers"),
            "plane": button("Save plane", "download", "Save the target histogram as a picture, PNG"),
        }
        self.number, self.message = widgets.HTML(), widgets.HTML()
        self.layout = self._layout()
        self._silent = False  # true while the sliders are set from the state

    def _layout(self) -> list[widgets.Widget]:
        def box(children: list[widgets.Widget], name: str) -> widgets.Box:
            made = widgets.Box(children)
            made.add_class(f"histcolor-{name}")
            return made

        tools = box([self.tools, self.undo, self.redo, self.reset, self.average, self.clip], "tools")
        side = box([self.plane, self.radius, self.strength], "side")
        result = box([self.photo, self.number, self.message], "result")
        mixing = box([_heading("Mix and turn"), *self.mix, self.hue, self.saturation, self.transport], "panel")
        sources = box(
            [
                _heading("Photos and colours"), self.names, self.references, self.palette,
                box([self.own_photo, self.own_reference, self.own_histogram], "row"),
                box([*self.saves.values()], "row"),
            ],
            "panel",
        )  # fmt: skip
        reference = box([self.reference], "reference")
        return [
            tools,
            box([side, result], "stage"),
            box([mixing, sources, reference], "stage"),
            box([widgets.HTML(HINT)], "hint"),
        ]

    def connect(
        self,
        editor: Any,
        *,
        edit: Callable[[dict], None],
        photo: Callable[[Any], None],
        reference: Callable[[Any], None],
        load: Callable[[bytes, str], None],
        save: Callable[[str], None],
    ) -> None:
        """Connect the parts to one another, and to the editor's functions."""
        for view in (self.plane, self.photo, self.reference):
            widgets.link((self.tools, "value"), (view, "tool"))
        widgets.link((self.radius, "value"), (self.plane, "radius"))
        widgets.link((self.strength, "value"), (self.plane, "strength"))
        widgets.link((editor, "transport"), (self.transport, "value"))
        for name in ("undo", "redo", "reset", "average", "clip"):
            getattr(self, name).on_click(lambda _, tool=name: edit({"tool": tool}))
        for name, part in self.saves.items():
            part.on_click(lambda _, what=name: save(what))

        def send(change: dict, action: Callable[[], dict]) -> None:
            if not self._silent:
                edit(action())

        self.hue.observe(lambda c: send(c, lambda: {"tool": "hue", "degrees": c.new}), "value")
        self.saturation.observe(lambda c: send(c, lambda: {"tool": "saturation", "factor": c.new}), "value")
        for part in self.mix:
            part.observe(lambda c: send(c, lambda: {"tool": "mix", "weights": [m.value for m in self.mix]}), "value")
        self.palette.observe(lambda c: c.new.strip() and edit({"tool": "palette", "colours": c.new}), "value")
        self.names.observe(lambda c: c.new and photo(c.new), "value")
        self.references.observe(lambda c: c.new and reference(c.new), "value")
        for part, take in ((self.own_photo, photo), (self.own_reference, reference)):
            part.observe(lambda c, take=take: c.new and take(bytes(c.new[0]["content"])), "value")
        self.own_histogram.observe(lambda c: c.new and load(bytes(c.new[0]["content"]), c.new[0]["name"]), "value")

    def show_state(self, painting: Painting) -> None:
        """Set sliders and buttons to the painting's state."""
        state = painting.state
        self._silent = True
        try:
            self.hue.value, self.saturation.value = state.hue, state.saturation
            for part, weight in zip(self.mix, state.mix, strict=True):
                part.value = weight
        finally:
            self._silent = False
        self.undo.disabled, self.redo.disabled = not painting.done, not painting.undone

    def show_distance(self, distance: float) -> None:
        """Show how far the picture's histogram is from the target histogram."""
        self.number.value = (
            f'<span class="histcolor-number">Hellinger distance to the target histogram: <b>{distance:.3f}</b> '
            "(0: equal, 1: no colour in common)</span>"
        )

    def say(self, message: str) -> None:
        """Show a message about what went wrong, or an empty one."""
        self.message.value = f'<div class="histcolor-message" role="alert">{html.escape(message)}</div>'


def _heading(text: str) -> widgets.HTML:
    return widgets.HTML(f'<span class="histcolor-heading">{text}</span>')
