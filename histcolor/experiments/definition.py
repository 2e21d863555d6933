"""What ``notebooks/experiments.toml`` says: the methods of each experiment as configurations, read and checked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from histcolor.baselines.classical import UNTRAINED
from histcolor.checks import Range, read_config
from histcolor.experiments.recipe import Recipe, make_recipe, option_fields
from histcolor.model import PRESETS

MEND = "run this from the project's folder, or name a file"
PRINTED = Range(0, 100)  #: what a paper may print of PSNR, in dB, and of SSIM
SEEDS = Range(0, 2**32 - 1, whole=True)
KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"} | {
    list: "a list",
    dict: "a table",
}


@dataclass(frozen=True)
class Method:
    """One way to colour: a configuration to train, a function without training, or the paper's numbers alone."""

    name: str  #: as printed
    about: str  #: one sentence
    recipe: Recipe | None  #: with seed 0; None for a method that is not trained
    function: str | None  #: of a method without training: one of :data:`histcolor.baselines.classical.UNTRAINED`
    paper: dict[str, float]  #: PSNR and SSIM that the paper printed: its own run, on its own photos
    seeds: tuple[int, ...]  #: that it is trained with; without training the first alone is measured

    @property
    def slug(self) -> str:
        """The name of the method's folder: letters and digits, joined by hyphens."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    @property
    def told(self) -> str | None:
        """What it is told of the colours; None if it is only quoted."""
        if self.recipe:
            kinds = {"xiao2019": "a global palette", "zhang2017": "the histogram, as one vector"}
            seen = "tokens" if self.recipe.model.attention else "a map"
            return (kinds | {"colorizer": f"the histogram, as {seen}"}).get(self.recipe.method, "nothing")
        kinds = {"gray": "nothing", "reinhard": "the reference image", "welsh": "the reference image"}
        kinds |= {"rank": "the histogram, and each bin's L"}
        return kinds.get(self.function, "the histogram") if self.function else None


@dataclass(frozen=True)
class Experiment:
    """Methods that are trained and measured the same way, which pairs of them are compared, and with which seeds."""

    name: str
    about: str
    methods: tuple[Method, ...]
    pairs: tuple[tuple[str, str], ...]  #: (method, the method it is compared with)
    seeds: tuple[int, ...]
    pictures: bool = False  #: whether its methods also leave pictures and the fidelity curve
    others: Mapping[str, str] = field(default_factory=dict)  #: other programs → what they are told

    def first_seed(self, method: Method) -> int:
        """The seed that a method leaves pictures with: the experiment's first one, or 0 if it is not trained."""
        return self.seeds[0] if method.recipe else 0

    def places(self, folder: Path, seeds: Sequence[int] | None = None) -> Iterator[tuple[Method, int, Path]]:
        """List method, seed and folder of all that is measured, seed by seed; what is not trained has seed 0 alone.

        Args:
            folder: the experiment's.
            seeds: instead of its own.
        """
        own = {method.name: method.seeds if seeds is None else seeds for method in self.methods}
        for i in range(max(map(len, own.values()))):
            for method in self.methods:
                if (method.recipe and i < len(own[method.name])) or (method.function and not i):
                    number = own[method.name][i] if method.recipe else 0
                    yield method, number, folder / method.slug / f"seed{number}"


def read_experiment(path: Path, name: str, budget: Mapping[str, Any] | None = None) -> Experiment:
    """Read one experiment of ``experiments.toml``.

    Args:
        path: the file; its first lines say what may stand in it.
        name: the experiment.
        budget: options (``steps``, ``preset`` …) that go before the experiment's own; a method's own go before all.

    Raises:
        OSError: there is no such file.
        ValueError: it is no TOML, or something in it is unknown, missing, there twice, or out of range; one
            sentence that names the file, the experiment and the method.
    """
    tables = read_config(path, MEND)
    defaults, _ = tables.pop("defaults", {}), tables.pop("claims", None)
    if not isinstance(defaults, dict):
        raise ValueError(f"{path}: defaults must be a table, got {defaults!r}.")
    if not isinstance(tables.get(name), dict):
        raise ValueError(f"{path}: has no experiment [{name}]; it has {', '.join(tables) or 'none'}.")
    table, where = dict(tables[name]), f"{path}: [{name}]"
    about, seeds = _take(table, "about", str, where), _take_seeds(table, where)
    raw, pairs = _take(table, "methods", list, where), _take(table, "pairs", list, where, [])
    pictures, others = _take(table, "pictures", bool, where, False), _take(table, "others", dict, where, {})
    if not all(isinstance(told, str) and told for told in others.values()):
        raise ValueError(f"{where}: others must say in words what each program is told, got {others}.")
    if not raw or not all(isinstance(one, dict) for one in raw):
        raise ValueError(f"{where}: has no methods; write each one below [[{name}.methods]].")
    raw = [_fill_in(dict(one), tables, where) for one in raw]
    common = {**_options(defaults, f"{path}: [defaults]"), **_options(table, where)}
    common |= _options(budget or {}, f"{where}, the budget given")
    methods = tuple(_read_method(one, common, seeds, where) for one in raw)
    seen: dict[str, str] = {}
    for method in methods:
        if (like := seen.get(method.slug)) is not None:
            same = "there twice" if like == method.name else f"named like {like!r}, but for signs"
            raise ValueError(f"{where}, method {method.name!r}: is {same}; give it a name of its own.")
        seen[method.slug] = method.name
    measured = {method.name for method in methods if method.recipe or method.function}
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(n, str) and n in measured for n in pair)):
            raise ValueError(f"{where}: a pair must name two methods that are measured, got {pair}.")
    return Experiment(name, about, methods, tuple(map(tuple, pairs)), seeds, pictures, others)


def _fill_in(method: dict[str, Any], tables: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Fill in what a method has ``like`` that of its name in another experiment: all but seeds and paper."""
    if "like" not in method:
        return method
    name, like = method.get("name"), _take(method, "like", str, f"{where}, method {method.get('name')!r}")
    other = tables[like].get("methods") if isinstance(tables.get(like), dict) else None
    for one in other if isinstance(other, list) else []:
        if isinstance(one, dict) and one.get("name") == name and "like" not in one:
            return {key: value for key, value in one.items() if key not in ("seeds", "paper")} | method
    raise ValueError(f"{where}, method {name!r}: is like that of [{like}], which has none of this name.")


def _read_method(table: dict[str, Any], common: dict[str, Any], seeds: tuple[int, ...], where: str) -> Method:
    name = _take(table, "name", str, where)
    where = f"{where}, method {name!r}"
    about, paper = _take(table, "about", str, where), _take(table, "paper", dict, where, {})
    function, quoted = _take(table, "function", str, where, None), _take(table, "quoted", bool, where, False)
    if not set(paper) <= {"psnr", "ssim"} or not all(isinstance(x, float) and x in PRINTED for x in paper.values()):
        raise ValueError(f"{where}: paper may hold psnr and ssim, numbers with a decimal point, got {paper}.")
    if function and function not in UNTRAINED:
        raise ValueError(f"{where}: there is no function {function!r}; there are {', '.join(UNTRAINED)}.")
    recipe = None
    if function or quoted:
        if extra := ["function"] * (bool(function) and quoted) + list(table):
            raise ValueError(f"{where}: is {'quoted' if quoted else 'not trained'}: it can not have {extra[0]!r}.")
    else:
        seeds, options = _take_seeds(table, where, seeds), _options(table, where)
        try:
            recipe = make_recipe(common | options)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
    method = Method(name, about, recipe, function, paper, seeds)
    if not method.slug:
        raise ValueError(f"{where}: a name needs a letter from a to z, or a digit.")
    return method


def _take_seeds(table: dict[str, Any], where: str, *default: tuple[int, ...]) -> tuple[int, ...]:
    seeds = _take(table, "seeds", list, where, *default)
    if not seeds or any(seed not in SEEDS for seed in seeds) or len(set(seeds)) < len(seeds):
        raise ValueError(f"{where}: seeds must be different whole numbers from 0 up, got {seeds}.")
    return tuple(seeds)


def _take(table: dict[str, Any], key: str, kind: type, where: str, *default: Any) -> Any:
    """Take a field out of a table; one without a default must be there, and hold something."""
    if key not in table and default:
        return default[0]
    value = table.pop(key, None)
    if type(value) is not kind or value == "":
        raise ValueError(f"{where}: {'lacks' if value is None else 'has a wrong'} {key!r}; it must be {KINDS[kind]}.")
    return value


def _options(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Check that options are fields of the configurations, or a preset or method, and of the right type.

    ``until`` is none of them: methods that train by the clock would not see equally many photos.
    """
    known = {name: kind for name, (_, kind) in option_fields().items() if name not in ("seed", "until")}
    known |= {"preset": str, "method": str}
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
