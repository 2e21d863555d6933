"""Bad words on the command line: each option of each command, palettes, pins."""

import argparse

from arena import Case, attack
from making import SMALL, colorize, read, same_light

from histcolor.cli import options
from histcolor.cli.main import build_parser
from histcolor.edit import parse_palette
from histcolor.points import read_points

NO_NUMBERS = [
    "",
    " ",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "1e999",
    "x",
    "0x10",
    "1;2",
    "1,2",
    "--",
    "½",
    "1e",
    "²",
    "None",
    "1 2",
    "9" * 5000,
    "1\0",
    "\x1b[31m",
    "=1",
    "-",
]
NO_WORDS = ["", " ", "\t\n", "\0", "a\0b"]


def commands(parser, words=()):
    """List all commands with their options: (words, action)."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                yield from commands(sub, (*words, name))
        elif action.option_strings and action.nargs != 0:
            yield words, action


OPTIONS = list(commands(build_parser()))
NUMBERS = [
    (words, one)
    for words, one in OPTIONS
    if one.type not in (options.path, options.text, options.device, None)
    and one.dest != "point"
    and one.dest != "methods"
]
TEXTS = [(words, one) for words, one in OPTIONS if one.type in (options.path, options.text)]
CHOICES = [(words, one) for words, one in OPTIONS if one.choices]
POSITIONAL = {
    "colorize": ["a.jpg"],
    "pack": ["in"],
    "get": ["imagenette"],
    "evaluate": ["in"],
    "experiment": ["ablation"],
}


def refused(words, action, value):
    """An option with a bad value; the answer names the option."""
    return Case(
        [*words, *POSITIONAL.get(words[-1], []), f"{action.option_strings[0]}={value}"],
        names=[action.option_strings[0]],
    )


@attack("options", 320)
def no_number(world, room, random):
    words, action = random.choice(NUMBERS)
    return refused(words, action, random.choice(NO_NUMBERS))


@attack("options")
def no_word(world, room, random):
    words, action = random.choice(TEXTS)
    return refused(words, action, random.choice(NO_WORDS))


@attack("options")
def out_of_range(world, room, random):
    words, action = random.choice(NUMBERS)
    values = ["-1", "-0.5", "-1e9", "1e30", "1" + "0" * 30]
    if action.dest in ("lr", "minutes", "lambda_1", "lambda_2", "lambda_gt", "delta"):
        values = ["-1", "-0.5", "-1e9"]
    return refused(words, action, random.choice(values))


@attack("options")
def no_choice(world, room, random):
    words, action = random.choice(CHOICES)
    return refused(words, action, random.choice(["nonesuch", "", "Small", "0", "\x1b[2J", "small,base"]))


@attack("options")
def no_device(world, room, random):
    words, action = random.choice([(w, a) for w, a in OPTIONS if a.type is options.device])
    return refused(
        words, action, random.choice(["gpu", "cuda:99", "mps", "", "CPU", "cuda:-1", "cuda:x", "cpu:0", "meta", "1"])
    )


@attack("options")
def unknown(world, room, random):
    words, _ = random.choice(OPTIONS)
    word = random.choice(["--nonesuch", "-z", "--size-", "--=", "--nonesuch=\x1b[2J", "--pallete=#c33"])
    return Case([*words, *POSITIONAL.get(words[-1], []), word], names=[])


@attack("options")
def no_command(world, room, random):
    words = random.choice(
        [
            [],
            ["nonesuch"],
            [""],
            ["data"],
            ["data", "nonesuch"],
            ["--size", "3"],
            ["colorize"],
            ["train"],
            ["\x1b[2J"],
            ["data", "get"],
            ["data", "get", "nonesuch"],
            ["evaluate"],
            ["experiment"],
            ["colorize", "a.jpg"],
            ["colorize", "", "--output", "o.png"],
            ["data", "pack", "", "--output", "o"],
        ]
    )
    return Case(words)


@attack("options")
def what_does_not_fit(world, room, random):
    train = [*world.train, "--run", room / "run"]
    words = random.choice(
        [
            colorize(world, world.photo, room / "o.png", "--transport", "0.5"),
            colorize(world, world.photo, room / "o.png", "--palette", "#c33", "--histogram", "h.npy"),
            colorize(world, world.photo, room / "o.png", "--fast"),
            ["colorize", world.photos, "--model", world.model, *SMALL, "--output", room / "out", "--point", "1,1,#c33"],
            ["colorize", world.photos, "--model", world.model, *SMALL, "--output", room / "o.png"],
            ["evaluate", world.photos, "--model", world.model, "--cross", "--pins", "1", "--output", room / "o.csv"],
            ["evaluate", world.photo, "--methods", "gray", "--cross", *SMALL, "--output", room / "o.csv"],
            [
                "evaluate",
                world.photos,
                "--methods",
                random.choice(("nonesuch", "gray,", ",", "gray,nonesuch")),
                "--output",
                room / "o.csv",
            ],
            ["evaluate", world.photos, "--methods", "model", "--model", "nonesuch", "--output", room / "o.csv"],
            [*train, "--log-every", "2"],
            [*train, "--size", "48"],
            [*train, "--size", "64"],
            [*train, "--bins", "15", "--stride", "2"],
            [*train, "--no-attention"],
            [*train, "--init", "nonesuch"],
            [*train, "--init", room / "none.safetensors"],
            [*train, "--backbone-weights", room / "none"],
            [*train, "--backbone-weights", world.photo],
            [*train, "--data", world.pack, room / "none"],
            [*train, "--bins", "256", "--keep", "0"],
            ["experiment", "nonesuch", "--photos", world.photos, "--output", room / "out"],
            ["experiment", "ablation", "--photos", world.photo, "--output", room / "out"],
            ["experiment", "ablation", "--photos", world.photos, "--output", room / "out", "--methods", "nonesuch"],
            ["experiment", "ablation", "--photos", room / "none", "--output", room / "out"],
            [
                "experiment",
                "ablation",
                "--photos",
                world.photos,
                "--output",
                room / "out",
                "--seeds",
                random.choice(("1,1", "", "-1", "x", "0,")),
            ],
            ["claims", "--tables", room / "none", "--output", room / "o.csv"],
            ["claims", "--file", room / "none", "--output", room / "o.csv"],
            ["reproduce", "--profile", random.choice(("nonesuch", "files", "\x1b[2J"))],
            ["data", "pack", room / "none", "--output", room / "pack"],
            ["data", "pack", world.photos, "--output", room / "pack", "--keep", "nonesuch"],
            ["data", "pack", world.photos, "--output", room / "pack"],  # all are under 3 KB
        ]
    )
    return Case(words)


# --- palettes and pins ---

BAD_COLOURS = [
    "#zzz",
    "#12",
    "#12345",
    "#1234567",
    "red",
    "#",
    "",
    " ",
    "rgb(1,2,3)",
    "#c3ｘ",
    "#-12",
    "#+12",
    "#c 3",
    "0xc33",
    "#c33;#2a6",
    "\x1b[2J",
    "#c33\0",
    "½",
    "#" + "c" * 10_000,
    "#_12",
    "#١٢٣",
]


@attack("palettes", 70)
def bad_palette(world, room, random):
    entries = [random.choice(("#c33", "2a6", "#7A9e4F")) for _ in range(random.randrange(3))]
    entries.insert(random.randrange(len(entries) + 1), random.choice(BAD_COLOURS))
    text = ",".join(entries)
    if text.strip(" ,") and all(e.strip() for e in entries):
        return Case(colorize(world, world.photo, room / "o.png", f"--palette={text}"), names=["palette", "hex"])
    return Case(
        colorize(world, world.photo, room / "o.png", f"--palette={random.choice(('', ' ', ',', ',,'))}"),
        names=["palette", "hex"],
    )


@attack("palettes")
def palette_of_anything(world, room, random):
    value = random.choice(
        [
            None,
            3,
            [],
            [3],
            [None],
            {},
            [["#c33"]],
            b"#c33",
            ["#c33", float("nan")],
            "",
            [b"#c33"],
            object(),
            ["#c33", ""],
        ]
    )
    return Case(lambda: parse_palette(value), names=["palette", "olour", "hex"])


@attack("palettes")
def odd_palette(world, room, random):
    text = random.choice(
        ["c33", "#C33,#c33", " #c33 , #2a6 ", "#000", "#fff,#ffffff", "#00f,#0f0,#f00", "#c33," * 300 + "#c33"]
    )
    more = ["--transport", "1"] if random.random() < 0.5 else []
    return Case(
        colorize(world, world.photo, room / "o.png", f"--palette={text}", *more),
        True,
        check=same_light(room / "o.png", None),
    )


@attack("pins", 70)
def bad_pin(world, room, random):
    text = random.choice(
        [
            "",
            ",",
            ",,",
            "1,2",
            "1,2,3,4",
            "x,y,#c33",
            "nan,1,#c33",
            "1,inf,#c33",
            "-1,1,#c33",
            "40,1,#c33",
            "1,32,#c33",
            "1,1,",
            "1,1,red",
            "1,1,#zz",
            "1e999,1,#c33",
            "1,1,#c33;",
            "\x1b[2J,1,#c33",
            "1\0,1,#c33",
            "1;1;#c33",
            "39.5,1,gray",
        ]
    )
    return Case(colorize(world, world.photo, room / "o.png", f"--point={text}"), names=["oint"])


@attack("pins")
def pin_of_anything(world, room, random):
    one = random.choice(
        [
            None,
            3,
            "abc",
            "ab",
            (1, 2),
            (1, 2, 3),
            (1, 2, "#c33", 4),
            (None, 1, "#c33"),
            ("1", 1, "#c33"),
            (1, True, "#c33"),
            (1, 1, (200, 0)),
            (1, 1, (1,)),
            (1, 1, [float("nan"), 0]),
            (1, 1, b"#c33"),
            (1j, 1, "#c33"),
            (10**400, 1, "#c33"),
            {},
            {"x": 1, "y": 2, "c": 3},
            (1, 1, {}),
            ([1], 1, "#c33"),
            (-0.1, 1, "#c33"),
        ]
    )
    return Case(lambda: read_points([(0, 0, "#c33"), one], 32, 40), names=["point 2", "Point 2"])


@attack("pins")
def odd_pins(world, room, random):
    pins = [
        f"--point={random.uniform(0, 39):.2f},{random.randrange(32)},{random.choice(('#c33', 'gray', '000', '#fff'))}"
        for _ in range(random.choice((1, 2, 30)))
    ]
    pins += [pins[0], pins[0].rsplit(",", 1)[0] + ",#2a6"]  # two at one place that contradict each other
    more = random.choice([[], ["--palette", "#c33,#2a6"], ["--palette", "#c33", "--transport", "1"], ["--flips"]])
    return Case(
        colorize(world, world.photo, room / "o.png", *pins, *more),
        True,
        check=same_light(room / "o.png", None) if more else same_light(room / "o.png", read(world.photo), exact=False),
    )
