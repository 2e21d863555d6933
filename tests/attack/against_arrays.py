"""Bad histograms and checkpoints, and odd ones that are good."""

import json
import os
import pickle
import struct

import numpy as np
import torch
from arena import Case, attack
from making import SMALL, Evil, colorize, damaged, junk, same_light, save, special
from safetensors import safe_open
from safetensors.torch import save_file

from histcolor.checkpoint import load
from histcolor.histogram import read_histogram


@attack("histograms, odd but good", 40)
def odd_histogram(world, room, random):
    n = random.choice((2, 3, 16, 17, 64, 200, 1024))
    values = np.random.default_rng(random.randrange(10**9)).random((n, n))
    kind = random.choice(
        [
            "?",
            "u1",
            "i1",
            "<i8",
            ">i4",
            ">f8",
            "<f2",
            ">f4",
            "f4",
            "longdouble",
            "fortran",
            "huge",
            "tiny",
            "one",
            "v2",
            "tail",
        ]
    )
    how = {"version": (2, 0)} if kind == "v2" else {}
    if kind == "fortran":
        values = np.asfortranarray(values)
    elif kind in ("huge", "tiny"):
        values = values * {"huge": 1e308, "tiny": 1e-310}[kind]
    elif kind == "one":
        values = np.zeros((n, n))
        values[random.randrange(n), random.randrange(n)] = 1
    elif kind not in ("v2", "tail"):
        values = (values * 100).astype(kind)
    save(room / "h.npy", values, **how)
    if kind == "tail":
        with open(room / "h.npy", "ab") as file:
            file.write(b"more")
    more = ["--transport", random.choice(("0", "0.5", "1"))]
    return Case(
        colorize(world, world.photo, room / "o.png", "--histogram", room / "h.npy", *more),
        True,
        check=same_light(room / "o.png", None),
    )


def bad_histogram(world, room, random):
    path, n = room / "h.npy", random.choice((4, 16, 64))
    good = np.random.default_rng(random.randrange(10**9)).random((n, n))
    how = random.randrange(11)
    if how == 0:
        fill = random.choice((np.nan, np.inf, -np.inf, -1e-9, -1))
        good[random.randrange(n), random.randrange(n)] = fill
        save(path, good)
    elif how == 1:
        shape = random.choice(
            [(), (0,), (n,), (0, 0), (1, 1), (n, n + 1), (n, n, 1), (1, n, n), (2, n, n), (1025, 1025), (3,) * 9]
        )
        save(path, np.ones(shape))
    elif how == 2:
        kind = random.choice(["complex64", "S3", "U3", "M8[s]", "m8[s]", "V4", [("a", "f4")]])
        save(path, np.ones((n, n)).astype(kind) if isinstance(kind, str) and kind != "V4" else np.zeros((n, n), kind))
    elif how == 3:
        save(path, np.zeros((n, n), random.choice(("f4", "u1", "?"))))
    elif how == 4:
        path.write_bytes(random.choice([pickle.dumps(Evil()), pickle.dumps(good)]))
    elif how == 5:
        save(path, np.array([[Evil(), 1], [1, 1]], object), allow_pickle=True)
    elif how == 6:
        path.write_bytes(junk(random))
    elif how == 7:
        (np.savez if random.random() < 0.5 else np.savez_compressed)(room / "h.npz", good)
        return room / "h.npz"
    elif how == 8:
        save(path, good)
        path.write_bytes(path.read_bytes()[: random.randrange(path.stat().st_size)])
    elif how == 9:
        shape = random.choice(
            [
                "(1000000, 1000000)",
                "(-4, -4)",
                "(4, 4)" * 3000,
                "(4, 'a')",
                "(" * 500,
                "None",
                "(1e9, 4)",
                "(2**70, 2**70)",
                "(True, True)",
                "(4.0, 4.0)",
            ]
        )
        kind = random.choice(("<f8", "|u1", "<q9", "O", ""))
        head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}\n"
        path.write_bytes(b"\x93NUMPY\x02\0" + struct.pack("<I", len(head)) + head.encode())
        if random.random() < 0.3:
            os.truncate(path, 10**11)
    else:
        return special(room, random)
    return path


@attack("histograms, bad", 150)
def command_with_histogram(world, room, random):
    path = bad_histogram(world, room, random)
    return Case(colorize(world, world.photo, room / "o.png", "--histogram", path), names=[path])


@attack("histograms, bad")
def function_with_histogram(world, room, random):
    path = bad_histogram(world, room, random)
    return Case(lambda: read_histogram(path), names=[path])


@attack("histograms, bad")
def damaged_histogram(world, room, random):
    save(room / "h.npy", np.random.default_rng(0).random((16, 16)))
    (room / "h.npy").write_bytes(damaged((room / "h.npy").read_bytes(), random))

    def do():
        hist = read_histogram(room / "h.npy")
        assert hist.min() >= 0  # so not for NaN
        assert abs(hist.sum() - 1) < 1e-4
        assert hist.shape[0] == hist.shape[1] <= 1024

    return Case(do, None, [room / "h.npy"])


# --- checkpoints ---


def opened(path):
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata())  # noqa: SIM118


ABSURD = {
    "width": (0, -1, 129, 10**9, 1.5, "4", None, True, [4], float("nan"), 1e400),
    "channels": (0, 513, -16, "x"),
    "lateral": (0, 10**6),
    "bins": (0, 1, 3, 257, 10**6, 15.5, "16"),
    "stride": (0, 3, 65, -1),
    "keep": (-1, 4097, "all"),
    "palette": (1, "yes", None),
    "attention": (0, "no"),
    "readout": ("", "evil", None, 1, ["palette"], {}),
    "values": ("Phi", 0),
    "temperature": (0, -1, float("nan"), float("inf"), "x"),
    "learn_temperature": (2, "true"),
    "balance": (-1, 101, 1e9),
    "squeeze": (-1, 513),
    "norm": ("batch", None),
    "backbone": ("resnet50", "hf-hub:evil/evil", "../../etc/passwd", "", None, 7, "http://example.com/x"),
}


def bad_checkpoint(world, room, random):
    """Write a checkpoint that is certainly bad; returns its path."""
    path, how = room / "m.safetensors", random.randrange(12)
    tensors, about = opened(world.model)
    names = sorted(tensors)
    name = random.choice([n for n in names if tensors[n].is_floating_point() and tensors[n].numel() > 1])
    if how == 0:
        data = world.model.read_bytes()
        path.write_bytes(data[: random.randrange(len(data))])
        return path
    if how == 1:
        path.write_bytes(junk(random))
        return path
    if how == 2:
        torch.save(random.choice([tensors, Evil()]), path := room / random.choice(("m.pt", "m.safetensors", "m.bin")))
        return path
    if how == 3:
        path.write_bytes(struct.pack("<Q", random.choice((0, 1, 2**40, 2**63, 2**64 - 1))) + b"{}" + bytes(100))
        return path
    if how == 4:
        del tensors[random.choice(names)]
    elif how == 5:
        tensors[random.choice(("extra", "photo.evil", "average2", ""))] = torch.ones(3)
    elif how == 6:
        tensors[name + "_old"] = tensors.pop(name)
    elif how == 7:
        tensors[name] = tensors[name].clone()
        tensors[name].view(-1)[random.randrange(tensors[name].numel())] = random.choice(
            (float("nan"), float("inf"), -float("inf"))
        )
    elif how == 8:
        one = tensors[name]
        tensors[name] = random.choice(
            [one.reshape(-1), one[None], one.flatten()[:1].clone(), torch.zeros(0), one.to(torch.int32), one > 0]
        )
        if tensors[name].shape == one.shape and tensors[name].is_floating_point():
            tensors[name] = one[None]
    elif how == 9:
        config = json.loads(about["config"])
        key = random.choice(sorted(ABSURD))
        change = random.randrange(4)
        if change == 0:
            del config[key]
        elif change == 1:
            config["evil"] = 1
        else:
            config[key] = random.choice(ABSURD[key])
        about["config"] = json.dumps(config)
    elif how == 10:
        about["config"] = random.choice(
            [
                "",
                "no json",
                "[]",
                "null",
                "3",
                '"x"',
                "{}",
                "[" * 5000,
                "{" * 5000,
                '{"width": 4',
                "NaN",
                "[[1]]",
                '{"width": ' + "9" * 5000 + "}",
            ]
        )
    else:
        change = random.choice(
            [
                {"histcolor_format": "2"},
                {"histcolor_format": ""},
                {"method": ""},
                {"method": "evil"},
                None,
                {"method": "__class__"},
            ]
        )
        about = {} if change is None else {**about, **change}
    save_file({k: v.contiguous() for k, v in tensors.items()}, path, metadata=about)
    return path


@attack("checkpoints", 150)
def command_with_checkpoint(world, room, random):
    path = bad_checkpoint(world, room, random)
    return Case(["colorize", world.photo, "--model", path, *SMALL, "--output", room / "o.png"], names=[path])


@attack("checkpoints")
def function_with_checkpoint(world, room, random):
    path = bad_checkpoint(world, room, random)
    return Case(lambda: load(path), names=[path], errors=(ValueError,))


@attack("checkpoints")
def no_checkpoint(world, room, random):
    path = special(room, random)
    command = random.choice(
        [
            ["colorize", world.photo, *SMALL, "--output", room / "o.png"],
            ["evaluate", world.photos, *SMALL, "--output", room / "o.csv"],
        ]
    )
    return Case([*command, "--model", path], names=[path])


@attack("checkpoints")
def damaged_checkpoint(world, room, random):
    path, data = room / "m.safetensors", bytearray(world.model.read_bytes())
    head = 8 + struct.unpack("<Q", data[:8])[0]
    for _ in range(random.choice((1, 3, 20))):
        data[random.randrange(head)] ^= 1 << random.randrange(8)
    path.write_bytes(bytes(data))
    return Case(lambda: load(path), None, [path], errors=(ValueError,))
