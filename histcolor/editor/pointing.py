"""What pointing at the photos and the plane does: pins, the eyedropper, and the attention explorer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from histcolor.color import rgb_to_lab
from histcolor.edit import check_colour, check_number
from histcolor.editor.controls import Controls
from histcolor.editor.explore import AttentionMaps, attention_maps, colours_at, main_colours, places_of, tinted
from histcolor.editor.live import Live
from histcolor.editor.painting import Painting
from histcolor.editor.parts import UNKNOWN
from histcolor.editor.photos import encoded
from histcolor.editor.starts import hex_of

COLOUR = "#c33"  #: of the first pin


class Pointing:
    """Turns places of the photo, fractions x and y of its width and height, into edits and answers on the page.

    Args:
        controls: the page.
        painting: the target histogram and the pins.
        live: returns the photo in use.
        edit: makes an edit.
    """

    def __init__(
        self, controls: Controls, painting: Painting, live: Callable[[], Live], edit: Callable[[dict], None]
    ) -> None:
        self.controls, self.painting, self.live, self.edit = controls, painting, live, edit
        self.plane, self.photo = controls.plane, controls.photo
        self.colour: Any = COLOUR  #: of the next pin
        self._maps: tuple[tuple[Live, Tensor], AttentionMaps] | None = None

    # --- pins ---

    def pin(self, number: int, x: float, y: float) -> dict[str, Any]:
        """Make the edit that puts a pin at a place; a new one has number 0."""
        height, width = self.painting.shape
        x, y = check_number("x", x, 0, 1) * width - 0.5, check_number("y", y, 0, 1) * height - 0.5
        at = (min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0))
        return {"tool": "pin", "at": at, **({"number": number} if number else {"colour": self.colour})}

    def place(self, number: int, x: float, y: float) -> None:
        """Put a pin at a place, and choose it."""
        count = len(self.painting.state.points)
        self.photo.held = number if number in range(1, count + 1) else count + 1
        try:
            self.edit(self.pin(number, x, y))
        finally:
            self.show_pins()
            self.photo.send_state("pins")  # a refused pin goes away on the page

    def hold(self, number: int) -> None:
        """Choose a pin: it gets the colours that are chosen from now on."""
        points = self.painting.state.points
        if type(number) is not int or not 1 <= number <= len(points):
            raise ValueError(UNKNOWN)
        self.colour = points[number - 1][2]
        self.show_pins(number)

    def choose(self, colour: Any) -> None:
        """Give a colour to the chosen pin, and to the next one."""
        self.colour = colour if isinstance(colour, str) else check_colour("colour", colour)
        if self.photo.held:
            self.edit({"tool": "pin", "number": self.photo.held, "colour": self.colour})
        self.show_pins()

    def show_pins(self, held: int | None = None) -> None:
        """Show the pins, and which one is chosen."""
        (height, width), held = self.painting.shape, self.photo.held if held is None else held
        points = self.painting.state.points
        pins = [[(x + 0.5) / width, (y + 0.5) / height, hex_of(colour)] for x, y, colour in points]
        self.controls.show_pins(pins, held if held <= len(pins) else 0, hex_of(self.colour))

    # --- eyedropper and explorer ---

    def pick(self, picture: Tensor, x: float, y: float) -> None:
        """Paint the colour of a place of a picture, RGB ``[3, h, w]`` in [0, 1]."""
        place = (check_number("y", y, 0, 1), check_number("x", x, 0, 1))
        row, column = (min(int(part * side), side - 1) for part, side in zip(place, picture.shape[1:], strict=True))
        around = picture[:, max(0, row - 2) : row + 3, max(0, column - 2) : column + 3]  # a mean, without the grain
        ab = rgb_to_lab(around)[1:].mean((1, 2)).tolist()
        radius, strength = self.controls.radius.value, self.controls.strength.value
        self.edit({"tool": "paint", "path": [ab], "radius": radius, "strength": strength})
        self.plane.mark = ab

    def look_at_colour(self, ab: list[float]) -> None:
        """Show the places of a colour."""
        heat = places_of(self._attention(), ab, self.controls.radius.value)
        self.photo.heat = encoded(tinted(self.live().small.L, heat, ab), "jpeg")
        self.plane.rings, self.plane.mark = [], []

    def look_at_place(self, x: float, y: float) -> None:
        """Show the colours of a place."""
        maps = self._attention()
        attention, colour = colours_at(maps, x, y)
        self.plane.rings, self.plane.mark = [list(ring) for ring in main_colours(attention, maps.colours)], list(colour)
        self.photo.heat = b""

    def show_tool(self) -> None:
        """Show what belongs to the tool and the target histogram; answers to earlier questions go."""
        self.plane.rings, self.plane.mark, self.photo.heat = [], [], b""
        if self.controls.tools.value == "Pin":
            self.controls.show_swatches(self.painting.hist)

    def forget(self) -> None:
        """Let go of the attention of the photo before, which may be large."""
        self._maps = None

    def _attention(self) -> AttentionMaps:
        live, hist = self.live(), self.painting.hist
        if self._maps is None or self._maps[0][0] is not live or self._maps[0][1] is not hist:
            maps = attention_maps(live.model, live.photo, hist, automatic=self.painting.automatic)
            self._maps = ((live, hist), maps)
        return self._maps[1]
