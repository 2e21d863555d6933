"""Lessons 04 and 05: their own parts, the results that they read, and the stubs with their checks."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch

import histcolor as hc
from histcolor.checkpoint import build, save_model
from histcolor.images import write_image, write_table
from histcolor.lessons import ablations, comparisons
from histcolor.lessons.notebook import figure_saver, project_root
from histcolor.lessons.tables import Results, open_results

pytestmark = pytest.mark.usefixtures("style")
FOLDER = Path(__file__).parents[2] / "notebooks"
STUBS = {
    "04_ablations": (ablations.STANDARD_ERROR, ablations.INTERVAL, ablations.VERDICT),
    "05_comparisons": (comparisons.MEAN_COLOUR, comparisons.BY_RANK, comparisons.CHROMA),
}
ALL = [(page, stub) for page, stubs in STUBS.items() for stub in stubs]


def solution(page, name):
    """A function of a page's hidden solutions, by its name."""
    for cell in nbformat.read(FOLDER / f"{page}.ipynb", as_version=4).cells:
        for text in re.findall(r"```python\n(def .*?)```", cell.source, re.S):
            exec(text, space := {"torch": torch})
            if name in space:
                return space[name]
    raise AssertionError(f"{page} has no solution for {name}")


@pytest.mark.parametrize(("page", "stub"), ALL, ids=lambda value: getattr(value, "name", ""))
def test_the_pages_solution_is_accepted(page, stub):
    assert stub.check(solution(page, stub.name)) == f"{stub.name}: right."


@pytest.mark.parametrize(
    ("stub", "mistake"),
    [(stub, mistake) for _, stub in ALL for mistake in stub.mistakes],
    ids=lambda value: value.name if hasattr(value, "name") else value.__name__.strip("_"),
)
def test_typical_mistakes_are_explained(stub, mistake):
    answer = stub.check(lambda *inputs: mistake(*inputs))
    assert answer == f"{stub.name}: not yet. {' '.join(mistake.__doc__.split())}"


def test_committed_results_are_opened_and_told():
    there = open_results(Path("unused"), "results/tables", "", ["ablation"])
    experiment = there.experiment("ablation")
    assert not there.budget
    facts = there.facts(experiment)
    assert "$ histcolor experiment ablation --data data/" in facts
    seeds = there.read("ablation")[2]["seeds"]
    assert f"cost              {seeds.sum()} runs" in facts
    assert not re.search(r"/(home|root|work|tmp)/", facts)
    assert there.costs(experiment)["runs"].tolist() == seeds.tolist()
    assert len(seeds) == 5
    assert there.unlike(experiment, ablations.SWITCHES) == set()
    assert there.unlike(experiment, ablations.SWITCHES[1:]) == {"model.palette"}
    assert set(there.histories(experiment)["seed"]) == set(range(seeds.max()))


def test_tables_that_changed_are_noticed(tmp_path):
    there = open_results(tmp_path, "results/tables", "", [])
    assert there.drift(["losses"]) < 1e-4
    folder = tmp_path / "tables" / "losses"
    folder.mkdir(parents=True)
    for method in there.experiment("losses").methods:
        (folder / method.slug).symlink_to(there.tables / "losses" / method.slug)
    table = pd.read_csv(there.tables / "losses/table.csv")
    table["psnr"] += 0.5
    write_table(table, folder / "table.csv")
    moved = open_results(tmp_path, str(tmp_path / "tables"), "", [])
    assert moved.drift(["losses"]) == pytest.approx(0.5, abs=1e-3)
    assert moved.changed_verdicts(pd.DataFrame()) is None, "only the committed verdicts are compared"


def test_too_few_methods_are_said(tmp_path):
    there = open_results(tmp_path, str(tmp_path), "", [])
    with pytest.raises(FileNotFoundError, match=r"fewer than 2 methods are measured.*git checkout results/tables"):
        there.read("ablation", least=2)


def test_retraining_runs_the_commands_and_keeps_the_budget(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr("subprocess.run", lambda command, **options: ran.append(command))
    options = "--data 'my pack' --photos p --preset tiny --steps 7 --lr 1e-3 --device cuda"
    there = open_results(tmp_path, "unused", options, ["ablation", "losses"])
    assert there.budget == {"preset": "tiny", "steps": 7, "lr": 1e-3}
    assert there.tables == tmp_path / "tables"
    assert ran[0][:5] == [sys.executable, "-m", "histcolor", "experiment", "ablation"]
    assert "my pack" in ran[0]
    assert ran[0][-2:] == ["--output", str(tmp_path / "tables/ablation")]
    assert ran[1][-2:] == ["--reuse", str(tmp_path / "tables/ablation")]
    assert there.experiment("ablation").methods[0].recipe.train.steps == 7


def test_versions_differ_in_their_switches():
    experiment = open_results(Path("unused"), "results/tables", "", []).experiment("ablation")
    table = ablations.versions(experiment).set_index("method")
    assert table["weights"]["Baseline"] == table["weights"]["Baseline + R_P"] < table["weights"]["The paper's model"]
    assert table.loc["Palette readout (ours)", list(ablations.SWITCHES)].tolist() == [True, True, "palette", 2]


def test_attention_without_the_palette_does_not_see_a_shift():
    assert ablations.answer_to_a_shift(False) < 0.05 < 0.2 < ablations.answer_to_a_shift(True)


def test_the_price_is_drawn():
    price = ablations.read_price()
    assert price.groupby("lambda_2")["transport"].apply(list).map(lambda found: found == [0, 0.25, 0.5, 0.75, 1]).all()
    (axes,) = ablations.price_figure(price).axes
    trained, *moved = (line.get_xydata() for line in axes.lines if len(line.get_xdata()) > 1)
    columns = ["cross_intersection", "psnr"]
    assert np.allclose(trained, price.loc[price["transport"] == 0, columns])
    for line, (_, part) in zip(moved, price.groupby("lambda_2"), strict=True):
        assert np.allclose(line, part[columns])


def test_two_versions_stand_beside_the_truth(tmp_path):
    lines = []
    for name, value in {"true": 0.2, "one": 0.5, "other": 0.8}.items():
        write_image(torch.full((3, 8, 8), value), tmp_path / f"{name}.png")
        line = {"kind": "self", "photo": 3, "method": name, "truth": tmp_path / "true.png"}
        lines.append(line | {"picture": tmp_path / f"{name}.png"})
    joined = ablations.two(pd.DataFrame(lines), 3, "other", "one")
    assert joined.shape == (3, 16, 48)
    assert [round(float(joined[0, 8, x]), 1) for x in (8, 24, 40)] == [0.2, 0.8, 0.5]


@pytest.fixture
def coffee():
    return comparisons.square("coffee", 32)


def test_methods_side_by_side(coffee):
    methods = {"gray": lambda task: task.gray, "truth": lambda task: hc.lab_to_rgb(task.reference)}
    axes = comparisons.side_by_side(coffee, coffee, methods).axes
    assert [a.get_title() for a in axes] == ["gray", "reference image", "gray", "truth"]
    notes = ["".join(text.get_text() for text in a.texts) for a in axes]
    assert float(notes[3].split()[-1]) > 0.98
    assert float(notes[3].split()[0]) > 40 > float(notes[2].split()[0])
    other = comparisons.side_by_side(coffee, coffee.flip(0), methods).axes
    assert "dB" not in other[2].texts[0].get_text(), "no truth, no PSNR"


def test_budgets_are_told_by_the_images_seen(tmp_path):
    there = open_results(Path("unused"), "results/tables", "", [])
    found = there.budgets(["shorter", "ablation"])
    assert list(found) == [10_000, 40_000]
    assert all("Baseline" in set(table["method"]) for table in found.values())
    assert replace(there, tables=tmp_path).budgets(["ablation"]) == {}


def test_trained_methods_are_at_hand_where_their_checkpoints_are(coffee, tmp_path):
    model = build(hc.PRESETS["tiny"], "zhang2017")
    there = Results(FOLDER / "experiments.toml", tmp_path)
    assert comparisons.trained(there) == {}
    place = tmp_path / "comparison" / "zhang-et-al-2017" / "seed0"
    place.mkdir(parents=True)
    save_model(model, place / "model.safetensors")
    found = comparisons.trained(there)
    assert list(found) == ["Zhang et al. 2017"]
    task = comparisons.make_task(coffee, coffee)
    assert found["Zhang et al. 2017"](task).shape == coffee.shape
    (seen,) = (method.recipe.train.size for method in there.experiment("comparison").methods if method.name in found)
    assert task.encoded[2].features.L.shape[-2:] == (seen, seen)


def test_every_method_at_hand_colours(coffee):
    task = comparisons.make_task(coffee, comparisons.square("rocket", 32))
    for name, function in comparisons.at_hand().items():
        made = function(task)
        assert made.shape == coffee.shape, name
        assert (name == "gray") == bool((hc.rgb_to_lab(made)[1:].abs() < 0.5).all())


def test_transport_is_drawn_with_its_price(coffee):
    price = comparisons.price_of_transport()
    assert set(price["photos"]) == {484}, "of 500, without 16 gray ones"
    assert price["psnr"].is_monotonic_decreasing
    assert price["cross_intersection"].is_monotonic_increasing
    figure = comparisons.strengths_figure(coffee, coffee, {0.0: coffee.mean(0, keepdim=True).expand(3, -1, -1)}, price)
    assert [axes.get_title() for axes in figure.axes][:2] == ["transport 0", "reference image"]
    below = figure.axes[2].texts[0].get_text()
    means = f"self: {price['psnr'][0]:.1f} dB\ncross: intersection {price['cross_intersection'][0]:.2f}"
    assert below == f"means of {price['photos'][0]:,.0f} photos:\n{means}"


def test_methods_below_plain_ones_are_counted():
    table = pd.DataFrame({"method": ["gray", "a", "b"], "psnr": [20.0, 19.0, 21.0]})
    assert comparisons.below(table, ["a", "b"], ["gray"]) == "1 of 2 trained methods are below “gray”"


def test_figures_are_saved_by_name(tmp_path):
    import matplotlib.pyplot as plt

    figure_saver(tmp_path)(plt.figure(), "04_x")
    assert (tmp_path / "figures/04_x.png").is_file()
    assert project_root() == FOLDER.parent
