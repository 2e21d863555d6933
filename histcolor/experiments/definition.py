"""What ``notebooks/experiments.toml`` says: the rows of each table as configurations, read and checked."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histcolor.baselines.classical import UNTRAINED
from histcolor.experiments.options import config_fields, train_config
from histcolor.model import PRESETS
from histcolor.train import TrainConfig

KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"} | {
    list: "a list",
    dict: "a table",
}


@dataclass(frozen=True)
class Row:
    """A line of a table: a configuration to train, a method without training, or the paper's numbers alone."""

    name: str  #: as printed
    about: str  #: one sentence
    config: TrainConfig | None  #: with seed 0; None for a row that is not trained
    method: str | None  #: one of :data:`histcolor.baselines.classical.UNTRAINED`
    paper: dict[str, float]  #: PSNR and SSIM that the paper printed: its own run, on its own photos

    @property
    def slug(self) -> str:
        """The name of the row's folder: letters and digits, joined by hyphens."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


@dataclass(frozen=True)
class Heading:
    """A table: what its rows are, which pairs are compared, and with which seeds it is trained."""

    name: str
    about: str
    rows: tuple[Row, ...]
    pairs: tuple[tuple[str, str], ...]  #: (row, the row it is compared with)
    seeds: tuple[int, ...]
    exhibits: bool = False  #: whether its rows also leave pictures and the curve of control


def read_heading(path: Path, name: str, budget: Mapping[str, Any] | None = None) -> Heading:
    """Read one heading of ``experiments.toml``.

    Args:
        path: the file; its first lines say what may stand in it.
        name: the heading.
        budget: options (``steps``, ``preset`` …) that go before the heading's own; a row's own go before all.

    Raises:
        OSError: there is no such file.
        ValueError: it is no TOML, or something in it is unknown, missing, there twice, or out of range; one
            sentence that names the file, the heading and the row.
    """
    try:
        headings = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: is missing; run this from the project's folder, or name a file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is no valid TOML: {error}.") from error
    defaults, _ = headings.pop("defaults", {}), headings.pop("claims", None)
    if not isinstance(defaults, dict):
        raise ValueError(f"{path}: defaults must be a table, got {defaults!r}.")
    if not isinstance(headings.get(name), dict):
        raise ValueError(f"{path}: has no heading [{name}]; it has {', '.join(headings) or 'none'}.")
    table, where = dict(headings[name]), f"{path}: [{name}]"
    about, seeds = _take(table, "about", str, where), _take(table, "seeds", list, where)
    raw, pairs = _take(table, "rows", list, where), _take(table, "pairs", list, where, [])
    exhibits = _take(table, "exhibits", bool, where, False)
    if not seeds or len(set(seeds)) < len(seeds) or any(type(seed) is not int or seed < 0 for seed in seeds):
        raise ValueError(f"{where}: seeds must be different whole numbers from 0 up, got {seeds}.")
    if not raw or not all(isinstance(one, dict) for one in raw):
        raise ValueError(f"{where}: has no rows; write each one below [[{name}.rows]].")
    common = {**_options(defaults, f"{path}: [defaults]"), **_options(table, where)}
    common |= _options(budget or {}, f"{where}, as asked")
    rows = tuple(_read_row(dict(one), common, where) for one in raw)
    seen: dict[str, str] = {}
    for row in rows:
        if row.slug in seen:
            same = f"named like {seen[row.slug]!r}, but for signs" if row.name != seen[row.slug] else "there twice"
            raise ValueError(f"{where}, row {row.name!r}: is {same}; give it a name of its own.")
        seen[row.slug] = row.name
    measured = {row.name for row in rows if row.config or row.method}
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(n, str) and n in measured for n in pair)):
            raise ValueError(f"{where}: a pair must name two rows that are measured, got {pair}.")
    return Heading(name, about, rows, tuple((row, against) for row, against in pairs), tuple(seeds), exhibits)


def _read_row(table: dict[str, Any], common: dict[str, Any], where: str) -> Row:
    name = _take(table, "name", str, where)
    where = f"{where}, row {name!r}"
    about, paper = _take(table, "about", str, where), _take(table, "paper", dict, where, {})
    method, quoted = _take(table, "method", str, where, ""), _take(table, "quoted", bool, where, False)
    if not set(paper) <= {"psnr", "ssim"} or not all(isinstance(value, float) for value in paper.values()):
        raise ValueError(f"{where}: paper may hold psnr and ssim, numbers with a decimal point, got {paper}.")
    if method and method not in UNTRAINED:
        raise ValueError(f"{where}: there is no method {method!r}; there are {', '.join(UNTRAINED)}.")
    config = None
    if method or quoted:
        if extra := ["method"] * (bool(method) and quoted) + list(table):
            raise ValueError(f"{where}: is {'quoted' if quoted else 'not trained'}: it can not have {extra[0]!r}.")
    else:
        options = {"preset": "small", **common, **_options(table, where)}
        try:
            config = train_config(options)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
    row = Row(name, about, config, method or None, paper)
    if not row.slug:
        raise ValueError(f"{where}: a name needs a letter from a to z, or a digit.")
    return row


def _take(table: dict[str, Any], key: str, kind: type, where: str, *default: Any) -> Any:
    """Take a field out of a table; one without a default must be there, and hold something."""
    if key not in table and default:
        return default[0]
    value = table.pop(key, None)
    if type(value) is not kind or value == "":
        raise ValueError(f"{where}: {'lacks' if value is None else 'has a wrong'} {key!r}; it must be {KINDS[kind]}.")
    return value


def _options(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Options, each checked to be a field of the configurations and of its type."""
    known = {name: kind for name, (_, kind) in config_fields().items() if name != "seed"} | {"preset": str}
    found = {}
    for name, value in table.items():
        if name not in known:
            near = difflib.get_close_matches(name, [*known, "seeds"], 1)
            raise ValueError(f"{where}: has an unknown option {name!r}{f'; is {near[0]!r} meant?' if near else '.'}")
        value = float(value) if known[name] is float and type(value) is int else value
        if type(value) is not known[name]:
            raise ValueError(f"{where}: {name} must be {KINDS[known[name]]}, got {value!r}.")
        found[name] = value
    if found.get("preset", "small") not in PRESETS:
        raise ValueError(f"{where}: there is no preset {found['preset']!r}; there are {', '.join(PRESETS)}.")
    return found
