"""The editor's page: its controls, their layout, and what they are connected to."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets
from torch import Tensor

from histcolor.edit import check_number
from histcolor.editor.explore import main_colours
from histcolor.editor.painting import Painting
from histcolor.editor.parts import FileButton, Part, PhotoView, PlaneView, Slider, Strip
from histcolor.editor.starts import hex_of, starts
from histcolor.histogram import palette

TOOLS = (
    ("Paint", "paint-brush", "Add the colour under the brush"),
    ("Erase", "eraser", "Remove the colours under the brush"),
    ("Move", "arrows-alt", "Drag colours to another place in the plane"),
    ("Pick", "eye-dropper", "Click on a photo to add its colour there"),
    ("Pin", "thumb-tack", "Click on the photo: this place holds a colour, which spreads to places like it"),
    ("Look", "eye", "Point at the photo to see its colours there; point at a colour to see its places"),
)
RADIUS, STRENGTH = 12.0, 0.1  #: the brush at first: units of ab, share of the mass
LEGEND = (
    "<b>Pale to full</b>: mass, logarithmic. "
    '<span class="histcolor-line dashed"></span> edge of sRGB. '
    '<span class="histcolor-line"></span> around 97 % of the picture\'s pixels.'
)
KEYS = (
    "<details><summary>Keys</summary>On the plane: arrows move the cross (faster with Shift), Enter paints, "
    "<b>[ ]</b> change the brush, <b>− +</b> the strength, <b>p e m c n l</b> the tool, Ctrl+Z undoes. The wheel "
    "changes the brush; with Shift, the strength. On the photo the same letters and Ctrl+Z; for Pick, Pin and Look "
    "arrows and Enter; Enter takes up a pin and puts it down, Delete removes it.</details>"
)


def button(name: str, icon: str, tip: str) -> widgets.Button:
    """Make a button as wide as its name."""
    return widgets.Button(description=name, icon=icon, tooltip=tip, layout=widgets.Layout(width="auto"))


def slider(name: str, value: float, low: float, high: float, step: float, tip: str, digits: int = 2) -> Slider:
    """Make a slider."""
    return Slider(name=name, value=value, low=low, high=high, step=step, tip=tip, digits=digits)


class Controls:
    """The editor's parts, their layout and their connections. What an edit does is decided elsewhere.

    Args:
        bins: of the plane, along each axis.
        names: the photos that can be chosen from a list.
    """

    def __init__(self, bins: int, names: Sequence[str]) -> None:
        self.names = list(names)
        self.tools = widgets.ToggleButtons(
            options=[name for name, *_ in TOOLS],
            icons=[icon for _, icon, _ in TOOLS],
            tooltips=[tip for *_, tip in TOOLS],
            style={"button_width": "auto"},
        )
        self.radius = slider("Brush", RADIUS, 2, 60, 0.5, "Radius of the brush in units of ab", 1)
        self.strength = slider("Strength", STRENGTH, 0.01, 1, 0.01, "How much a stroke adds, or what part it erases")
        self.plane = PlaneView(bins=bins, tools=self.tools, radius=self.radius, strength=self.strength)
        self.photo = PhotoView(label="The coloured photo", tools=self.tools)
        self.reference = PhotoView(label="The reference image", tools=self.tools, pointing=["pick"])
        self.starts = Strip(items=[vars(start) for start in starts()])
        self.swatches = [widgets.Button(description=" ", tooltip=" ", layout={"width": "auto"}) for _ in range(6)]
        self.any = widgets.ColorPicker(
            concise=True, value="#cc3333", tooltip="Any other colour; its lightness does not count"
        )
        self.unpin = button("Remove", "trash", "Remove the chosen pin (Delete)")
        self.buttons = {
            "undo": button("Undo", "undo", "Undo the last edit (Ctrl+Z)"),
            "redo": button("Redo", "repeat", "Redo the edit that was undone (Ctrl+Shift+Z)"),
            "reset": button("Reset", "refresh", "All as in a new editor with this photo and this reference image"),
            "average": button("Average", "magic", "The average histogram: the network chooses the colours"),
            "clip": button("To gamut", "compress", "Move colours that a screen cannot show to the edge of sRGB"),
        }
        self.hue = slider("Turn hue", 0, -180, 180, 1, "Degrees, from red towards yellow", 0)
        self.saturation = slider("Saturation", 1, 0, 2, 0.01, "Factor of every colour's chroma")
        tip = "0: the network's colours; 1: the target histogram is nearly met"
        self.transport = slider("Transport strength", 0, 0, 1, 0.05, tip)
        tips = ("the photo's own histogram", "the reference image's histogram", "the painted histogram")
        self.mix = [slider(name, 0, 0, 1, 0.01, f"Part of {tip} in the mixture") for name, tip in zip(
            ("Photo's own", "Reference", "Painted"), tips, strict=True)]  # fmt: skip
        wide = {"layout": widgets.Layout(width="auto"), "style": {"description_width": "6.5em"}}
        self.palette = widgets.Text(
            placeholder="#7a9e4f, #c9b18a, #5b86b5", description="Hex colours", continuous_update=False, **wide
        )
        self.menus = {
            "photo": widgets.Dropdown(description="Photo", **wide),
            "reference": widgets.Dropdown(description="Reference", **wide),
        }
        self.files = {
            "photo": FileButton(name="Own photo", accept="image/*", tip="Colour a photo of yours"),
            "reference": FileButton(name="Own reference", accept="image/*", tip="Take the colours of a photo of yours"),
            "saved": FileButton(name="Load", accept=".npy,.json", tip="Load a histogram (.npy) or a state (.json)"),
        }
        self.saves = {
            "picture": button("Picture", "", "Save the coloured photo at its full size, as PNG"),
            "pair": button("Before/after", "", "Save the gray and the coloured photo side by side, as PNG"),
            "edits": button("Film", "", "Save the pictures of the last edits, one after the other, as animated WebP"),
            "histogram": button("Histogram", "", "Save the target histogram's numbers, as .npy"),
            "plane": button("Plane", "", "Save the target histogram as a picture, PNG"),
            "state": button("State", "", "Save target histogram, pins and transport strength, to load them again"),
        }
        self.number, self.message = widgets.HTML(), widgets.HTML()
        self.layout = self._layout()
        self._colours: list[Any] = ["gray"] * 6  # of the swatches
        self._silent = False  # true while menus and colours are set from the state
        self._source: dict[widgets.Widget, Tensor] = {}  # the painted histogram that a part's text tells of

    def _layout(self) -> list[widgets.Widget]:
        def box(name: str, *children: widgets.Widget) -> widgets.Box:
            made = widgets.Box(children)
            made.add_class(f"histcolor-{name}")
            return made

        def text(content: str, name: str) -> widgets.HTML:
            made = widgets.HTML(content)
            made.add_class(f"histcolor-{name}")
            return made

        first = box("row", self.starts, *(self.buttons[name] for name in ("average", "clip")))
        tools = box("tools", self.tools, *(self.buttons[name] for name in ("undo", "redo", "reset")))
        side = box("side", self.plane, self.radius, self.strength, text(LEGEND, "legend"))
        self.pinning = box("row", text("Pin", "label"), *self.swatches, self.any, self.unpin)
        result = box("result", self.photo, self.transport, self.pinning, self.number, self.message)
        mixing = box("panel", *self.mix, self.hue, self.saturation)
        sources = box("panel", *self.menus.values(), self.palette, box("row", *self.files.values()),
                      box("row", text("Save", "label"), *self.saves.values()))  # fmt: skip
        panels = box("panels", mixing, sources, box("reference", self.reference))
        return [tools, box("stage", side, result), first, panels, text(KEYS, "legend")]

    @property
    def parts(self) -> list[Part]:
        """All parts that send messages."""
        views = [self.plane, self.photo, self.reference, self.starts, *self.files.values()]
        return [*views, self.radius, self.strength, self.hue, self.saturation, self.transport, *self.mix]

    def connect(
        self,
        *,
        edit: Callable[[dict], None],
        transport: Callable[[Any], None],
        choose: Callable[[str, str], None],
        load: Callable[[str, bytes, str], None],
        save: Callable[[str], None],
        colour: Callable[[Any], None],
    ) -> None:
        """Connect the controls to the editor's functions; ``choose`` and ``load`` first get what is chosen."""
        for i, part in enumerate(self.swatches):
            part.on_click(lambda _, i=i: colour(self._colours[i]))
        self.any.observe(lambda c: self._silent or colour(c.new), "value")
        self.unpin.on_click(lambda _: edit({"tool": "unpin", "number": self.photo.held}))
        self.tools.observe(lambda c: self._show_tool(), "index")
        self._show_tool()
        for name, part in self.buttons.items():
            if name != "reset":
                part.on_click(lambda _, tool=name: edit({"tool": tool}))
        for name, part in self.saves.items():
            part.on_click(lambda part, what=name: saving(part, what))
        for name, part in self.menus.items():
            part.observe(lambda c, what=name: self._silent or c.new is None or choose(what, c.new), "value")
        for name, part in self.files.items():
            part.on_file(lambda content, file, what=name: load(what, content, file))

        def saving(part: widgets.Button, what: str) -> None:
            part.disabled, part.icon = True, "hourglass-half"  # a large photo takes seconds
            try:
                save(what)
            finally:
                part.disabled, part.icon = False, ""

        def typed(colours: str) -> None:
            self._source.pop(self.palette, None)
            edit({"tool": "palette", "colours": colours})

        self.palette.observe(lambda c: c.new.strip() and typed(c.new), "value")

        def slide(part: Slider, action: Callable[[Any], None]) -> None:
            def hear(value: Any) -> None:
                try:
                    action(check_number(part.name, value, part.low, part.high))
                finally:
                    part.send_state("value")  # a refused value goes back on the page, too

            part.handlers = {"slide": hear}

        def weights(part: Slider, value: Any) -> list[Any]:
            return [value if other is part else other.value for other in self.mix]

        for part in (self.radius, self.strength):
            slide(part, lambda value, part=part: part.set_trait("value", value))
        slide(self.transport, transport)
        slide(self.hue, lambda value: edit({"tool": "hue", "degrees": value}))
        slide(self.saturation, lambda value: edit({"tool": "saturation", "factor": value}))
        for part in self.mix:
            slide(part, lambda value, part=part: edit({"tool": "mix", "weights": weights(part, value)}))

    def reset(self) -> None:
        """Set the tool and the brush to what they are at first, and the divider to the photo's edge."""
        self.tools.index, self.radius.value, self.strength.value, self.palette.value = 0, RADIUS, STRENGTH, ""
        self.photo.send({"kind": "reset"})

    def show_state(self, painting: Painting) -> None:
        """Set sliders and buttons to the painting's state."""
        state = painting.state
        self.hue.value, self.saturation.value = state.hue, state.saturation
        for part, weight in zip(self.mix, state.mix, strict=True):
            part.value = weight
        self.buttons["undo"].disabled, self.buttons["redo"].disabled = not painting.done, not painting.undone
        for part, trait in ((self.palette, "value"), (self.files["saved"], "held")):
            if self._source.setdefault(part, state.painted) is not state.painted:
                part.set_trait(trait, "")  # typed colours can be typed again

    def load(self, name: str) -> None:
        """Show the name of the file that the state comes from."""
        self.files["saved"].held = name
        self._source.pop(self.files["saved"], None)

    def _show_tool(self) -> None:
        self.pinning.layout.display = None if self.tools.value == "Pin" else "none"
        if self.tools.value != "Pin":
            self.show_pins(self.photo.pins, 0, self.photo.colour)

    def show_swatches(self, hist: Tensor) -> None:
        """Offer the main colours of a histogram ``[bins, bins]`` for pins, with their shares; and gray."""
        rings = main_colours(hist, palette(len(hist)))
        self._colours = [*((round(a, 1), round(b, 1)) for a, b, *_ in rings), *["gray"] * (6 - len(rings))]
        for part, colour, ring in zip(self.swatches, self._colours, [*rings, None, *[()] * 5], strict=False):
            share = f"{100 * ring[3]:.0f} %" if ring else "gray"
            part.description, part.style.button_color, part.style.text_color = share, hex_of(colour), "#fff"
            part.tooltip = f"{share} of the target histogram" if ring else "The place stays gray"
            part.layout.display = "none" if ring == () else None

    def show_pins(self, pins: list[list], held: int, colour: str) -> None:
        """Show pins, [x, y, colour] each; which one of them is chosen, from 1, or 0; and the colour of the next one."""
        with self.photo.hold_sync():
            self.photo.pins, self.photo.held, self.photo.colour = pins, held, colour
        self.unpin.disabled, self._silent = not held, True
        try:
            self.any.value = colour
        finally:
            self._silent = False

    def show_source(self, what: str, name: str, others: Sequence[str]) -> None:
        """Show which photo or reference image is in use; ``others`` are the user's own, which the menu has as well."""
        self._silent = True
        try:
            none = [("the photo itself", "")] if what == "reference" else []
            menu = self.menus[what]
            menu.options = [*none, *((x, x) for x in dict.fromkeys([*self.names, *others, *([name] if name else [])]))]
            menu.value = name
            self.files[what].held = name if name in others else ""
        finally:
            self._silent = False

    def show_distance(self, distance: float) -> None:
        """Show how far the picture's histogram is from the target histogram."""
        self.number.value = (
            f'<span class="histcolor-number">Hellinger distance to the target: <b>{distance:.3f}</b> '
            "(0: equal, 1: nothing in common)</span>"
        )

    def say(self, message: str) -> None:
        """Show a message about what went wrong, or an empty one."""
        self.message.value = f'<div class="histcolor-message" role="alert">{html.escape(message)}</div>'
