"""The command line, as a user's shell runs it: exit codes, one-line errors, files."""

import argparse
import shlex
import shutil
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import histcolor as hc
from histcolor.backbone import PACKAGED, imagenet_weights
from histcolor.checkpoint import build, save_model
from histcolor.cli.datasets import DATASETS
from histcolor.cli.main import build_parser, main
from histcolor.data import Pack
from histcolor.experiments.recipe import make_recipe
from histcolor.images import open_rgb
from histcolor.losses import Loss
from histcolor.optimize import TrainConfig


def shell(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "histcolor", *map(str, arguments)], capture_output=True, text=True, timeout=300
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        [],
        ["colorize"],
        ["data", "pack"],
        ["data", "get"],
        ["train"],
        ["evaluate"],
        ["experiment"],
        ["claims"],
        ["reproduce"],
    ],
)
def test_help_teaches(command):
    done = shell(*command, "--help")
    assert done.returncode == 0
    assert "usage: histcolor" in done.stdout
    if command:
        assert "histcolor " + " ".join(command) in done.stdout.split("options:")[0].split("usage:")[1].split("\n", 1)[1]


@pytest.mark.slow
def test_one_photo_in_a_shell(photos, tmp_path):
    out = tmp_path / "deep" / "out.png"
    done = shell("colorize", photos / "coffee_cup.jpg", "--palette", "#c33,#2a6", "--output", out)
    assert done.returncode == 0, done.stderr
    assert open_rgb(out).size == (160, 160)
    bad = shell("colorize", tmp_path / "none.jpg", "--palette", "#c33", "--output", out)
    assert bad.returncode == 1
    assert bad.stderr.splitlines() == [f"histcolor: {tmp_path / 'none.jpg'}: there is no such file or folder."]
    wrong = shell("colorize", photos / "coffee_cup.jpg", "--palette", "#c33", "--histogram", "h.npy", "--output", out)
    assert wrong.returncode == 2
    assert "not allowed with argument --palette" in wrong.stderr


def test_without_a_histogram(photos, tmp_path, capsys):
    photo, out = str(photos / "astronaut_suit.jpg"), tmp_path / "out.png"
    assert main(["colorize", photo, "--size", "64", "--output", str(out)]) == 0
    _, a, b = hc.rgb_to_lab(hc.read_image(out))
    assert a.abs().mean() + b.abs().mean() > 1, "it stayed gray"
    assert main(["colorize", photo, "--size", "64", "--output", str(out), "--transport", "1"]) == 1
    assert "transport needs a target histogram" in capsys.readouterr().err


def test_a_folder_with_bad_photos(photos, tmp_path, capsys):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (folder / "bad.jpg").write_bytes(b"")
    for target, source in (("a.jpg", "coffee_cup.jpg"), ("sub/b.jpg", "chelsea_eye.jpg")):
        (folder / target).write_bytes((photos / source).read_bytes())
    reference = str(photos / "astronaut_face.jpg")
    code = main(["colorize", str(folder), "--reference", reference, "--output", str(tmp_path / "out"), "--size", "64"])
    assert code == 1
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")) == [
        "a.png",
        "sub/b.png",
    ]
    errors = capsys.readouterr().err.splitlines()
    assert "bad.jpg" in errors[0]
    assert errors[-1] == "histcolor: 1 of 3 photos were skipped."


def test_several_photos_need_a_folder(photos, tmp_path, capsys):
    given = [str(photos / "coffee_cup.jpg"), str(photos / "chelsea_eye.jpg")]
    assert main(["colorize", *given, "--palette", "#c33", "--output", str(tmp_path / "x.png")]) == 1
    assert "name a folder" in capsys.readouterr().err


def test_equal_names_do_not_overwrite(photos, tmp_path, capsys):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jpg").write_bytes((photos / "coffee_cup.jpg").read_bytes())
    given = [str(tmp_path / "one"), str(tmp_path / "two")]
    assert main(["colorize", *given, "--palette", "#c33", "--output", str(tmp_path / "out")]) == 1
    assert "would be written to" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--palette", "#zzz"], "zzz"),
        (["--palette", "#c33", "--model", "nonesuch"], "no model 'nonesuch'"),
        (["--reference", "none.jpg"], "none.jpg: there is no such file"),
    ],
)
def test_one_line_errors(photos, tmp_path, capsys, options, message):
    assert main(["colorize", str(photos / "coffee_cup.jpg"), *options, "--output", str(tmp_path / "x.png")]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("histcolor: ")
    assert len(error.splitlines()) == 1


def test_evaluate_writes_a_row_a_photo(photos, tmp_path, capsys):
    table = tmp_path / "tables" / "x.csv"
    sheet = tmp_path / "sheet.png"
    methods = ["--methods", "model,automatic,gray,mean,rank", "--transport", "0,1"]
    more = [*methods, "--cross", "--size", "64", "--sheet", str(sheet)]
    assert main(["evaluate", str(photos), "--output", str(table), *more]) == 0
    rows = pd.read_csv(table)
    assert len(rows) == 6 * 6
    assert rows["method"].unique().tolist() == [
        "small",
        "small transport 1",
        "small automatic",
        "gray",
        "mean",
        "rank",
    ]
    assert "small transport 1" in capsys.readouterr().out
    assert sheet.stat().st_size > 50_000
    classical = ["--methods", "welsh,reinhard", "--size", "64", "--limit", "2"]
    assert main(["evaluate", str(photos), "--output", str(table), *classical]) == 0
    assert pd.read_csv(table)["method"].tolist() == ["welsh", "reinhard"] * 2
    capsys.readouterr()
    assert main(["evaluate", str(photos), "--output", str(table), "--methods", "magic"]) == 1
    assert "there are model, automatic, gray, mean, rank, reinhard, welsh" in capsys.readouterr().err


def test_pins_on_the_command_line(photos, tmp_path, capsys):
    photo, out = str(photos / "coffee_cup.jpg"), tmp_path / "out.png"
    assert main(["colorize", photo, "--output", str(tmp_path / "plain.png")]) == 0
    points = ["--point", "40,50,#c33", "--point", "120, 90, gray"]
    assert main(["colorize", photo, *points, "--output", str(out)]) == 0
    colours, plain = (hc.rgb_to_lab(hc.read_image(x))[1:] for x in (out, tmp_path / "plain.png"))
    red, gray = colours[:, 47:54, 37:44].mean((1, 2)), colours[:, 87:94, 117:124].mean((1, 2))
    assert red[0] > plain[0, 47:54, 37:44].mean() + 10
    assert gray.norm() < plain[:, 87:94, 117:124].mean((1, 2)).norm()
    capsys.readouterr()
    out.unlink()
    assert main(["colorize", photo, "--point", "400,50,#c33", "--output", str(out)]) == 1
    assert "x of point 1 must be a finite number in [0, 159], got 400" in capsys.readouterr().err
    assert main(["colorize", str(photos), "--point", "4,5,#c33", "--output", str(tmp_path / "many")]) == 1
    assert "--point names places of one photo, but 6 photos were given" in capsys.readouterr().err
    for option in ("--point=4,5", "--point=x,5,#c33"):
        with pytest.raises(SystemExit):
            main(["colorize", photo, option, "--output", str(out)])
        assert "is not X,Y,#HEX, such as 120,80,#c33" in capsys.readouterr().err


def test_evaluate_with_pins(photos, tmp_path, capsys):
    table = tmp_path / "x.csv"
    given = ["evaluate", str(photos), "--size", "64", "--limit", "2", "--output", str(table)]
    assert main([*given, "--methods", "model,automatic", "--pins", "0,3"]) == 0
    names = ["small", "small pins 3", "small automatic", "small automatic pins 3"]
    assert pd.read_csv(table)["method"].tolist() == names * 2
    capsys.readouterr()
    assert main([*given, "--cross", "--pins", "3"]) == 1
    assert "--pins tell true colours, which --cross does not want" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*given, "--pins", "-1"])
    assert "--pins: must be a whole number from 0 to 1,000, got '-1'" in capsys.readouterr().err


def test_the_working_size_is_what_the_network_sees(photos, tmp_path, monkeypatch):
    from histcolor import evaluate

    seen, encode = [], evaluate.encode

    def look(model, rgb, *, size):
        seen.append((rgb.shape[-1], size))
        return encode(model, rgb, size=size)

    monkeypatch.setattr(evaluate, "encode", look)
    given = ["evaluate", str(photos), "--size", "64", "--limit", "2", "--output", str(tmp_path / "table.csv")]
    assert main(given) == 0
    assert main([*given, "--working-size", "32"]) == 0
    assert seen == [(64, 64)] * 2 + [(64, 32)] * 2


def test_a_network_that_knows_one_size_says_so(photos, tmp_path, capsys):
    """Without attention; an older checkpoint does not tell which size that is."""
    network, model = build(replace(hc.PRESETS["tiny"], attention=False, readout="features")), tmp_path / "m.safetensors"
    colour = ["colorize", str(photos / "coffee_cup.jpg"), "--palette", "#c33", "--output", str(tmp_path / "out.png")]
    measure = ["evaluate", str(photos), "--limit", "2", "--output", str(tmp_path / "t.csv")]
    for command, option in (([*colour, "--overwrite"], "--size"), (measure, "--working-size")):
        save_model(network, model)
        said = {}
        for trained, *given in ((None,), (None, option, "64"), (64,), (64, option, "64"), (64, option, "96")):
            network.trained_size = trained
            save_model(network, model)
            assert main([*command, "--model", str(model), *given]) == 0
            said[trained, *given[1:]] = capsys.readouterr().err
        assert said.pop((None,)) == (
            f"histcolor: this network has no attention and knows the size it was trained at; give it with {option}.\n"
        )
        assert f"trained at, 64 pixels; give it with {option}." in said.pop((64, "96"))
        assert [*said.values()] == ["", "", ""]
    network = build(hc.PRESETS["tiny"])
    save_model(network, model)
    assert main([*colour, "--overwrite", "--model", str(model)]) == 0
    assert not capsys.readouterr().err


def test_evaluate_scores_another_programs_folder(photos, tmp_path, capsys):
    table = tmp_path / "x.csv"
    given = [
        "evaluate",
        str(photos),
        "--predictions",
        str(shutil.copytree(photos, tmp_path / photos.name)),
        "--output",
        str(table),
        "--size",
        "64",
        "--limit",
        "2",
    ]
    assert main(given) == 0
    rows = pd.read_csv(table)
    assert (rows["method"] == photos.name).all()
    assert (rows["psnr"] == np.inf).all()


def test_pack_then_train_then_colour(photos, tmp_path, capsys):
    pack, run = tmp_path / "pack", tmp_path / "run"
    assert main(["data", "pack", str(photos), "--output", str(pack), "--size", "64"]) == 0
    assert "6 photos of 64×64; left out: none" in capsys.readouterr().out
    small = [
        "--preset",
        "tiny",
        "--steps",
        "6",
        "--batch-size",
        "2",
        "--size",
        "32",
        "--log-every",
        "2",
        "--save-every",
        "2",
        "--sheet-every",
        "3",
    ]
    given = ["train", "--data", str(pack), "--validation", str(pack), "--run", str(run), *small]
    assert main(given) == 0
    assert "psnr" in capsys.readouterr().out
    sheets = sorted(path.name for path in (run / "sheets").iterdir())
    assert sheets == ["0000004.png", "0000006.png"], "due after 3 and 6 steps, drawn when the run is saved"
    assert main(given) == 0, "a finished run has nothing left to do"
    assert main([*given, "--lr", "0.1"]) == 1
    assert "holds a run with lr" in capsys.readouterr().err
    out = tmp_path / "out.png"
    chosen = ["--model", str(run / "model.safetensors"), "--palette", "#c33", "--output", str(out), "--size", "64"]
    assert main(["colorize", str(photos / "coffee_cup.jpg"), *chosen]) == 0
    assert out.is_file()


@pytest.mark.parametrize(("start", "method"), [("colorizer", "colorizer"), ("automatic", "iizuka2016")])
def test_starting_from_a_network_without_a_backbone(start, method, pack_folder, tmp_path, capsys):
    """Its configuration names a backbone, but it has no weights of one: ImageNet's are needed."""
    first, run, tiny = tmp_path / "first.safetensors", tmp_path / "run", replace(hc.PRESETS["tiny"], readout="features")
    save_model(build(replace(tiny, attention=False), start), first)
    words = shlex.split(
        "--preset tiny --readout features --steps 1 --batch-size 2 --size 32 --log-every 1 --save-every 1 --cross 0"
    )
    given = ["train", "--data", str(pack_folder), "--run", str(run), "--method", method, *words]
    assert main([*given, "--init", str(first)]) == 0, capsys.readouterr().err
    weight = hc.load(run / "model.safetensors").state_dict()["photo.backbone.net.conv_stem.weight"]
    torch.testing.assert_close(weight, imagenet_weights(PACKAGED)["conv_stem.weight"], atol=1e-3, rtol=1e-3)
    mine = ["--init", str(run / "model.safetensors"), "--backbone-weights", "x.safetensors"]
    assert main([*given, *mine]) == 1
    assert "--backbone-weights is of no use: --init brings its own" in capsys.readouterr().err
    assert main([*given, *mine[2:]]) == 1
    assert "x.safetensors" in (message := capsys.readouterr().err)
    assert "No such file" in message


def test_small_files_are_packed_if_asked(tmp_path, capsys):
    (tmp_path / "webps").mkdir()
    Image.new("RGB", (64, 64), "red").save(tmp_path / "webps" / "a.webp")
    given = ["data", "pack", str(tmp_path / "webps"), "--output", str(tmp_path / "pack"), "--size", "32"]
    assert main(given) == 1
    error = capsys.readouterr().err
    assert "under 3072 bytes" in error
    assert len(error.splitlines()) == 1
    assert main([*given, "--min-bytes", "0"]) == 0
    assert "1 photos of 32×32; left out: none" in capsys.readouterr().out


def test_every_field_of_the_configuration_is_an_option(tmp_path):
    given = ["train", "--data", "x", "--run", "y", "--preset", "small", "--no-attention", "--readout", "features"]
    words = [*given, "--lambda-2", "5", "--lr", "0.1", "--precision", "float32", "--method", "zhang2017"]
    recipe = make_recipe(vars(build_parser().parse_args(words)))
    assert not recipe.model.attention
    assert recipe.model.width == hc.PRESETS["small"].width
    assert (recipe.loss.lambda_2, recipe.train.lr, recipe.train.precision) == (5, 0.1, "float32")
    assert recipe.method == "zhang2017"
    (sub,) = (action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    options = {action.dest: action.help for action in sub.choices["train"]._actions}
    configured = {field.name for kind in (hc.ModelConfig, Loss, TrainConfig) for field in fields(kind)}
    assert configured - options.keys() == {"betas"}
    assert all(len(options[name].split("(default")[0]) > 5 for name in configured - {"betas"}), "each is explained"


def test_a_method_without_a_histogram_is_trained_without_cross_reference(capsys):
    given = ["train", "--data", "x", "--run", "y", "--method", "zhang2016"]
    assert make_recipe(vars(build_parser().parse_args(given))).train.cross == 0
    assert make_recipe(vars(build_parser().parse_args([*given, "--cross", "0.3"]))).train.cross == 0.3
    assert make_recipe({}).train.cross == 0.2
    assert main([*given, "--lambda-2", "3"]) == 1
    assert "--lambda-2 is of no use: zhang2016 brings its own loss." in capsys.readouterr().err


def test_data_sets_without_a_network(tmp_path, capsys, monkeypatch):
    import socket

    def refuse(*args, **kwargs):
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in sorted(DATASETS.keys() - {"imagenet"}):
        assert main(["data", "get", name, "--root", str(tmp_path)]) == 1
        error = capsys.readouterr().err
        assert f"histcolor: {name}: could not be got" in error
        assert "connect to a network" in error
        assert len([line for line in error.splitlines() if line.startswith("histcolor")]) == 1
    assert main(["data", "get", "imagenet", "--root", str(tmp_path)]) == 1
    assert "registration" in capsys.readouterr().err


@pytest.fixture
def fetched(photos, monkeypatch):
    """Data sets that are there at once: the test's photos, below each root; imagenette's server is down."""
    asked = []

    def get(name, root):
        asked.append(name)
        if name == "imagenette":
            raise OSError("imagenette: could not be got.")
        return shutil.copytree(photos, root / name / "photos", dirs_exist_ok=True)

    monkeypatch.setattr("histcolor.cli.datasets.get_dataset", get)
    return asked


def test_the_command_that_is_said_makes_a_pack(fetched, tmp_path, capsys):
    root = tmp_path / "my data"
    assert main(["data", "get", "pets", "imagenette", "voc2012", "--root", str(root), "--size", "32"]) == 1
    shown = capsys.readouterr()
    assert shown.err.splitlines() == ["histcolor: imagenette: could not be got."]
    assert fetched == ["pets", "imagenette", "voc2012"]
    lines = shown.out.splitlines()
    assert len(lines) == 2
    for name, line in zip(("pets", "voc2012"), lines, strict=True):
        assert line.startswith(f"{root / name / 'photos'}: ready; next: histcolor data pack ")
        assert main(shlex.split(line.split("next: histcolor ")[1])) == 0
        assert Pack.open(root / f"{name}-32").images.shape == (6, 32, 32, 3)


def test_get_and_pack_in_one_command(fetched, tmp_path, capsys):
    pack = tmp_path / "pack"
    given = ["data", "get", "pets", "voc2012", "--root", str(tmp_path), "--pack", str(pack), "--size", "32"]
    assert main(given) == 0
    assert capsys.readouterr().out == f"{pack}: 12 photos of 32×32; left out: none.\n"
    assert len(Pack.open(pack)) == 12
    fetched.clear()
    assert main(given) == 1
    assert "is there already" in capsys.readouterr().err
    assert fetched == [], "refused before anything is fetched"
    assert main([*given[:3], "imagenette", *given[4:-3], str(tmp_path / "none")]) == 1
    assert not (tmp_path / "none").exists()


def test_help_lists_each_data_set_with_its_size_and_terms(capsys):
    with pytest.raises(SystemExit):
        main(["data", "get", "--help"])
    text = capsys.readouterr().out
    for name, source in DATASETS.items():
        (line,) = (line for line in text.splitlines() if line.startswith(f"  {name} "))
        assert source.terms in line
        assert f"about {source.megabytes:,} MB" in line or (name == "imagenet" and "by hand" in line)


def test_the_backbones_weights_come_from_an_installed_package():
    from histcolor.backbone import build_backbone, imagenet_weights, load_imagenet_weights

    backbone = build_backbone("tf_efficientnet_lite0").eval()
    load_imagenet_weights(backbone, imagenet_weights("tf_efficientnet_lite0"))
    x = torch.linspace(0, 1, 3 * 64 * 64).view(1, 3, 64, 64)
    with torch.no_grad():
        sizes = [m.abs().mean().item() for m in backbone(x)]
    # the same lines with timm's own float32 weights, tf_efficientnet_lite0.in1k
    assert sizes == pytest.approx([6.0602, 5.3450, 4.7325, 1.2067], rel=1e-4)
    with pytest.raises(ValueError, match="no complete safetensors file"):
        imagenet_weights("tf_efficientnet_lite0", __file__)


def test_fast_is_a_working_size(capsys):
    given = ["colorize", "a.jpg", "--output", "b.png"]
    assert build_parser().parse_args(given).size is None
    assert build_parser().parse_args([*given, "--fast"]).size == 192
    with pytest.raises(SystemExit):
        build_parser().parse_args([*given, "--fast", "--size", "64"])
    assert "not allowed with argument --fast" in capsys.readouterr().err
