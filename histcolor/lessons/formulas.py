"""Formulas as pictures inside a page: drawn by matplotlib, so that a page shows them without a network."""

from __future__ import annotations

import html
import re
from functools import lru_cache

#: TeX that matplotlib does not know, and the like of it that it knows
_LIKE = (
    (r"\\[bB]igg?[lr]?(?![a-z])", ""),
    (r"\\t?frac\s*(\w)\s*(\w)", r"\\frac{\1}{\2}"),
    (r"\\tfrac", r"\\frac"),
    (r"\\sqrt\s*(\w)", r"\\sqrt{\1}"),
    (r"\\[lr]Vert(?![a-z])", r"\\Vert "),
    (r"\\[lr]vert(?![a-z])", r"\\vert "),
    (r"\\bmod(?![a-z])", r"\\ \\mathrm{mod}\\ "),
    (r"\\tag\{(\w+)\}", r"\\qquad (\1)"),
    (r"\s+", " "),
)
_FORMULA = re.compile(r"(```.*?```|`[^`\n]*`)|\$\$(.+?)\$\$|(?<![\\$\w])\$(?!\s)([^$]+?)(?<!\s)\$(?![\w$])", re.S)
SIZE = 16.0  #: of the letters, in units of the picture
EM = 14.5  #: units of the picture in an em of the text around it, whose letters are larger than a formula's


@lru_cache(maxsize=1024)
def formula(tex: str, *, display: bool = False) -> str:
    """Draw a TeX formula as SVG in the colour of the text around it; one that can not be drawn stays as code.

    Args:
        tex: without its dollar signs; what matplotlib's mathtext knows, and a little more.
        display: whether it stands alone on its line.
    """
    import matplotlib
    from matplotlib.font_manager import FontProperties
    from matplotlib.mathtext import MathTextParser
    from matplotlib.path import Path
    from matplotlib.textpath import TextPath

    known = re.sub(
        r"\\text\{([^{}]*)\}", lambda found: rf"\mathrm{{{found[1].replace(' ', chr(92) + ' ')}}}", tex.strip()
    )
    for pattern, instead in _LIKE:
        known = re.sub(pattern, instead, known)
    known = known.replace(r"\frac", r"\dfrac") if display else known
    with matplotlib.rc_context({"mathtext.fontset": "stix"}):
        try:
            width, height, depth, *_ = MathTextParser("path").parse(f"${known}$", 72, FontProperties(size=SIZE))
            drawn = TextPath((0, 0), f"${known}$", size=SIZE)
        except ValueError:
            return f"<code>{html.escape(tex)}</code>"
    letters = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}
    line = " ".join(
        letters[code] + ("" if code == Path.CLOSEPOLY else " ".join(f"{x:.2f}" for x in points))
        for points, code in drawn.iter_segments(simplify=False)
    )
    box = f"{-0.5} {depth - height - 0.5:g} {width + 1:g} {height + 1:g}"
    style = f"height:{(height + 1) / EM:.3f}em;vertical-align:{-(depth + 0.5) / EM:.3f}em;max-width:100%"
    style = f"display:block;margin:.8em auto;{style}" if display else style
    return (
        f'<svg role="img" aria-label="{html.escape(tex.strip(), quote=True)}" viewBox="{box}" style="{style}">'
        f'<path transform="scale(1,-1)" fill="currentColor" d="{line}"/></svg>'
    ).replace("\n", " ")


def draw_formulas(markdown: str) -> str:
    """Put drawn formulas in the place of ``$…$`` and ``$$…$$`` in Markdown; code is left alone."""

    def drawn(found: re.Match) -> str:
        code, alone, within = found.groups()
        return code or formula(alone or within, display=bool(alone))

    return _FORMULA.sub(drawn, markdown)
