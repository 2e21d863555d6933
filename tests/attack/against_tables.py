"""Bad TOML and JSON files, results and predictions; and results that would replace something."""

import shutil
from pathlib import Path

import numpy as np
from arena import Case, attack, run
from making import NOTEBOOKS, SMALL, bad_photo, colorize, damaged, junk, read, save, special

from histcolor.checks import read_config
from histcolor.experiments.definition import read_experiment
from histcolor.experiments.statements import read_statements
from histcolor.lessons.runner import read_profile


def mangled(text, random):
    """Change a TOML or JSON file at a few places."""
    lines = text.splitlines()
    for _ in range(random.choice((1, 1, 3))):
        i, how = random.randrange(len(lines)), random.randrange(7)
        if how == 0:
            del lines[i]
        elif how == 1:
            lines.insert(i, lines[random.randrange(len(lines))])
        elif how == 2:
            lines[i] = lines[i][: random.randrange(len(lines[i]) + 1)]
        elif "=" in lines[i]:
            key = lines[i].split("=")[0]
            value = random.choice(
                [
                    "nan",
                    "inf",
                    "-1",
                    "0",
                    "1e999",
                    '""',
                    "[]",
                    "{}",
                    "true",
                    "[[[[]]]]",
                    '"\\u0000"',
                    "9" * 40,
                    "1979-05-27",
                    '"x"',
                    "3.5",
                    "[1, 'a', {}]",
                    '["x"]',
                    "{a = {b = {c = 1}}}",
                ]
            )
            lines[i] = f"{key}= {value}"
        else:
            lines[i] = random.choice(
                [
                    "[defaults]",
                    "[ablation]",
                    "[[ablation.methods]]",
                    "[[claims]]",
                    "[files]",
                    "[smoke]",
                    "x = 1",
                    "claims = 3",
                    "= = =",
                    "\x00",
                    "[a.b.c]",
                ]
            )
    return "\n".join(lines)


@attack("JSON and TOML files", 110)
def experiments_function(world, room, random):
    path = room / "experiments.toml"
    path.write_text(mangled((NOTEBOOKS / "experiments.toml").read_text(), random))
    name = random.choice(
        ("ablation", "comparison", "losses", "bins", "temperature", "shorter", "longer", "defaults", "claims", "")
    )

    def do():
        read_statements(path)
        read_experiment(path, name)

    return Case(do, None, [path])


@attack("JSON and TOML files")
def profiles_function(world, room, random):
    shutil.copytree(
        NOTEBOOKS,
        room / "notebooks",
        ignore=lambda d, names: [n for n in names if not n.endswith((".ipynb", ".toml"))],
    )
    path = room / "notebooks" / "profiles.toml"
    for page in path.parent.glob("*.ipynb"):
        page.write_text("{}")
    path.write_text(mangled(path.read_text(), random) if random.random() < 0.8 else "[smoke]\n")
    return Case(
        lambda: read_profile(path.parent, random.choice(("smoke", "demo", "paper"))),
        None,
        [path, "There is no profile"],
    )


@attack("JSON and TOML files")
def any_table(world, room, random):
    path = room / random.choice(("a.json", "a.toml", "a"))
    content = [
        b"[" * 10**5,
        b'{"a":' * 10**5,
        b"a.b = 1\na = 2",
        b"\xef\xbb\xbf{}",
        b"a = " + b"[" * 3000,
        b"{} {}",
        b"'a' = ",
        b"9" * 6000,
    ]
    path.write_bytes(random.choice([*content, junk(random), junk(random)]))
    if random.random() < 0.2:
        path = special(room, random) if random.random() < 0.5 else room / "none.toml"
    return Case(lambda: read_config(path), None, [path])


@attack("JSON and TOML files")
def command_with_table(world, room, random):
    path = room / "experiments.toml"
    path.write_bytes(
        random.choice(
            [junk(random), b"", b"[claims]", b"claims = 1", b"[ablation]\nabout = 1", b"defaults = []", b"a ="]
        )
    )
    words = random.choice(
        [
            ["claims", "--tables", room / "tables", "--output", room / "o.csv"],
            ["experiment", "ablation", "--photos", world.photos, "--output", room / "out"],
        ]
    )
    return Case([*words, "--file", path], names=[path, room / "tables"])


# --- results that are read again ---


@attack("tables of results", 60)
def claims_of_bad_results(world, room, random):
    place = room / "tables" / "comparison" / "others"
    place.mkdir(parents=True)
    name = random.choice(("x.csv", "x.json.xz"))
    good = "photo,reference,method,psnr,ssim\na,a,x,20,0.9\nb,b,x,21,0.9\n"
    content = [
        junk(random),
        b"photo,method\na,b\n",
        b"photo,reference,method,psnr\na,a,x,nonsense\n",
        b'"',
        good.encode() * 2,
        b"photo,reference,method\n",
        good.replace("x", "gray").encode(),
        good.encode("utf-16"),
        damaged(good.encode(), random),
    ]
    (place / name).write_bytes(random.choice(content))
    return Case(
        ["claims", "--file", NOTEBOOKS / "experiments.toml", "--tables", room / "tables", "--output", room / "o.csv"],
        names=[place / name, room / "tables"],
    )


@attack("tables of results")
def claims_of_bad_records(world, room, random):
    place = room / "tables" / "ablation" / "baseline" / "seed0"
    place.mkdir(parents=True)
    (place / "photos.json.xz").write_bytes(junk(random))
    (place / "run.json").write_bytes(
        random.choice([b'{"measured": true}', b'{"measured": true}', junk(random), b"[]", b'{"measured": []}'])
    )
    return Case(
        ["claims", "--file", NOTEBOOKS / "experiments.toml", "--tables", room / "tables", "--output", room / "o.csv"],
        names=[place, room / "tables"],
    )


@attack("tables of results")
def experiment_with_bad_results(world, room, random):
    path = room / "e.toml"
    path.write_text('[e]\nabout = "a"\nseeds = [0]\n[[e.methods]]\nname = "gray"\nabout = "a"\nfunction = "gray"\n')
    place = room / "out" / "gray" / "seed0"
    words = [
        "experiment",
        "e",
        "--file",
        path,
        "--photos",
        world.photos,
        "--output",
        room / "out",
        "--protocol-size",
        "32",
    ]
    code, said = run(words)
    assert code == 0, said
    name = random.choice(("run.json", "photos.json.xz", "both"))
    bad = random.choice([junk(random), b"[]", b"{", b"\xff", (place / "run.json").read_bytes()[: random.randrange(60)]])
    bad = b"null" if bad == b"{}" else bad  # an empty record is no damage: all is measured anew
    for one in ("run.json", "photos.json.xz") if name == "both" else (name,):
        (place / one).write_bytes(bad)
    for one in ("table.csv", "differences.csv"):
        (room / "out" / one).unlink()
    return Case(
        words,
        None if name != "photos.json.xz" else False,
        [place, "gray, seed 0", "gray"],
        makes=[r"out/(table|differences)\.csv", r"out/gray/seed0/.*"],
    )


# --- predictions, and results that would replace something ---


@attack("predictions", 50)
def bad_predictions(world, room, random):
    folder, how = room / "its", random.randrange(8)
    shutil.copytree(world.photos, folder)
    path, makes = folder / "1.png", [r"o\.csv"]
    if how == 0:
        path.unlink()
    elif how == 1:
        shutil.copy(path, folder / "1.jpg")
    elif how == 2:
        path = shutil.copy(path, folder / random.choice(("extra.png", "1.png.png", "\x1b[2J.png", "=1.png")))
    elif how == 3:
        path.unlink()
        path = bad_photo(world, folder, random, "1")
    elif how == 4:
        (folder / "sub").mkdir()
        path = shutil.move(path, folder / "sub" / "1.png")
    elif how == 5:
        shutil.rmtree(folder)
        path, makes = folder, []
        if random.random() < 0.7:
            folder.mkdir() if random.random() < 0.5 else folder.write_text("x")
    elif how == 6:
        for one in folder.iterdir():
            one.rename(one.with_name("p" + one.name))
        path, makes = folder, []
    else:
        for one in folder.iterdir():
            one.write_bytes(junk(random))
        makes = []
    return Case(
        ["evaluate", world.photos, "--predictions", folder, *SMALL, "--output", room / "o.csv"],
        names=[path, Path(path).with_suffix(""), folder / "0.png", "has 2 predictions"],
        makes=makes,
    )


@attack("predictions")
def odd_predictions(world, room, random):
    shutil.copytree(world.photos, room / "its")
    for one in (room / "its").iterdir():
        read(one).resize((random.randrange(1, 90), 20)).convert(random.choice(("L", "RGBA", "P"))).save(one)

    def check():
        assert (room / "o.csv").read_text().count("\n") == 4, "not a line an image"
        assert "nan" not in (room / "o.csv").read_text().lower(), "NaN"

    return Case(
        ["evaluate", world.photos, "--predictions", room / "its", *SMALL, "--output", room / "o.csv"], True, check=check
    )


@attack("outputs that are inputs", 60)
def onto_an_input(world, room, random):
    scans = room / "scans"
    shutil.copytree(world.photos, scans)
    save(room / "h.npy", np.ones((4, 4)))
    shutil.copy(world.model, room / "m.safetensors")
    (room / "link").symlink_to(scans)
    (room / "hard.png").hardlink_to(scans / "0.png")
    (room / "soft.png").symlink_to(scans / "0.png")
    (room / "h.png").hardlink_to(room / "h.npy")
    (room / "m.png").hardlink_to(room / "m.safetensors")
    photo, more = scans / "0.png", []
    given, output = random.choice(
        [
            (scans, scans),
            (scans, room / "link"),
            (photo, photo),
            (photo, room / "hard.png"),
            (photo, room / "soft.png"),
            (room / "soft.png", photo),
            (photo, room / "h.png"),
            (photo, room / "m.png"),
            (photo, scans),
            (photo, scans / ".." / "scans" / "0.png"),
        ]
    )
    if output.name == "h.png":
        more = ["--histogram", room / "h.npy"]
    words = ["colorize", given, "--model", room / "m.safetensors", *SMALL, "--output", output, *more]
    return Case([*words, *["--overwrite"] * (random.random() < 0.7)], names=[output, photo])


@attack("outputs that are inputs")
def table_onto_something(world, room, random):
    shutil.copytree(world.photos, room / "photos")
    shutil.copy(world.model, room / "m.safetensors")
    shutil.copy(NOTEBOOKS / "experiments.toml", room / "e.toml")
    (room / "mine.csv").write_text("name,street\na,b\n")
    (room / "mine.json.xz").write_bytes(b"something else")
    evaluate = ["evaluate", room / "photos", "--methods", "gray", *SMALL, "--model", room / "m.safetensors"]
    output = random.choice(
        [
            room / "photos" / "0.png",
            room / "m.safetensors",
            room / "photos",
            room / "mine.csv",
            room / "mine.json.xz",
            room / "e.toml",
            room / "none",
            room / "photos" / "0.png" / "o.csv",
        ]
    )
    words = [*evaluate, "--output", output]
    if random.random() < 0.3:
        words = [
            "claims",
            "--file",
            room / "e.toml",
            "--tables",
            NOTEBOOKS.parent / "results" / "tables",
            "--output",
            output,
        ]
    elif random.random() < 0.4:
        output = random.choice(
            [room / "photos" / "0.png", room / "photos" / "sheet.csv", room / "photos", room / "m.safetensors"]
        )
        words = [*evaluate, "--output", room / "o.csv", "--sheet", output]
    return Case(words, names=[output, output.parent])


@attack("outputs that are inputs")
def output_of_no_use(world, room, random):
    (room / "file").write_text("x")
    (room / "there.png").write_text("precious")
    output = random.choice(
        [
            room / "o.txt",
            room / "o.mp4",
            room / "o.py",
            room / "there.png",
            room / "file" / "o.png",
            room / "file",
            room / ("n" * 300 + ".png"),
            Path("/proc/o.png"),
            room / "o.png.zip",
        ]
    )
    return Case(colorize(world, world.photo, output), names=[output, output.parent])
