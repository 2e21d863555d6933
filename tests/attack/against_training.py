"""Bad packs, training states and run folders."""

import copy
import shutil
from pathlib import Path

import numpy as np
import torch
from arena import Case, attack
from making import Evil, bad_photo, junk, read, special

STATE = {}  #: that of the good run, read once


def bad_pack(world, room, random):
    path = room / "pack"
    shutil.copytree(world.pack, path)
    images, how = np.load(path / "images.npy"), random.randrange(9)
    if how == 0:
        kind = random.choice(("f4", "f2", "i2", "u2", "i1", "?", ">u4", "complex64", "S1"))
        np.save(path / "images.npy", images.astype(kind) if kind != "f4" else images / np.float32(255))
    elif how == 1:
        shape = random.choice(
            [
                images[..., :2],
                images[..., 0],
                images[:, :16],
                images[:0],
                images.reshape(-1),
                images[0],
                images[None],
                images.transpose(0, 3, 1, 2),
                np.concatenate([images, images[..., :1]], -1),
            ]
        )
        np.save(path / "images.npy", shape)
    elif how == 2:
        np.save(path / "images.npy", random.choice([images[:-1], np.concatenate([images, images])]))
    elif how == 3:
        name = random.choice(("images.npy", "manifest.csv"))
        (path / name).unlink()
        if random.random() < 0.3:
            (path / name).mkdir()
    elif how == 4:
        name = random.choice(("images.npy", "manifest.csv"))
        (path / name).write_bytes(junk(random))
    elif how == 5:
        data = (path / "images.npy").read_bytes()
        (path / "images.npy").write_bytes(data[: random.randrange(len(data))])
    elif how == 6:
        lines = (path / "manifest.csv").read_text().splitlines()
        lines = random.choice([lines[:1], lines[1:], lines[:-1], [*lines, lines[-1]], ["a,b", *lines[1:]]])
        (path / "manifest.csv").write_text("\n".join(lines))
    elif how == 7:
        shutil.rmtree(path)
        path = random.choice((path, special(room, random)))
    else:
        np.save(path / "images.npy", np.array([Evil()] * len(images), object), allow_pickle=True)
    return path


@attack("packs", 90)
def train_on_bad_pack(world, room, random):
    path, words = bad_pack(world, room, random), [*world.train, "--run", room / "run"]
    words[words.index(str(world.pack))] = path
    return Case(words, names=[path])


@attack("packs")
def validate_on_bad_pack(world, room, random):
    path = bad_pack(world, room, random)
    return Case([*world.train, "--run", room / "run", "--validation", path], names=[path])


@attack("packs")
def make_bad_pack(world, room, random):
    path, how = room / "in", random.randrange(5)
    words = ["data", "pack", path, "--output", room / "pack", "--size", "32", "--min-bytes", "0"]
    if how == 0:
        path.mkdir()
        for i in range(3):
            bad_photo(world, path, random, f"bad{i}")
    elif how == 1:
        path.mkdir()
        read(world.photo).convert("L").save(path / "gray.png")
    elif how == 2:
        path = words[2] = room / random.choice(("in.tar", "in.tar.gz", "in.tgz"))
        path.write_bytes(junk(random))
    elif how == 3:
        path = words[2] = special(room, random)
    else:
        words[2] = world.photos
        path = words[4] = random.choice([world.pack, room, world.photo, world.photo / "pack", Path("/proc/pack")])
    return Case(words, names=[path, path.parent])


@attack("training states", 30)
def resume_from_bad_state(world, room, random):
    run_, how = room / "run", random.randrange(9)
    shutil.copytree(world.run, run_)
    file = run_ / "state.pt"
    if not STATE:
        STATE.update(torch.load(file, weights_only=True))
    state = copy.deepcopy(STATE)
    if how == 0:
        data = file.read_bytes()
        file.write_bytes(data[: random.randrange(len(data))])
    elif how == 1:
        file.write_bytes(junk(random))
    elif how == 2:
        torch.save(random.choice([Evil(), [], 3, {}, torch.ones(3), {"model": Evil()}]), file)
    elif how == 3:
        del state[random.choice(sorted(state))]
        torch.save(state, file)
    elif how == 4:
        state |= random.choice(
            [
                {"step": -1},
                {"step": "x"},
                {"step": None},
                {"step": float("nan")},
                {"seconds": float("nan")},
                {"seconds": -1},
                {"seconds": float("inf")},
                {"pack": "x"},
                {"pack": None},
                {"step": [2]},
                {"step": float("inf")},
                {"step": torch.ones(2)},
                {"step": 10**30},
            ]
        )
        torch.save(state, file)
    elif how in (5, 6):
        part = state[random.choice(("model", "average"))]
        key = random.choice([k for k in sorted(part) if part[k].is_floating_point() and part[k].numel() > 1])
        one = part[key]
        part[key] = random.choice(
            [
                1.0,
                None,
                one[None],
                one.reshape(-1)[:1],
                one.double(),
                one.int(),
                torch.tensor(1.0),
                torch.full_like(one, float("nan")),
                torch.full_like(one, float("inf")),
            ]
        )
        torch.save(state, file)
    elif how == 7:
        part = state["optimizer"]
        what = random.randrange(5)
        if what == 0:
            del part["state"][random.choice(sorted(part["state"]))]
        elif what == 1:
            part["state"][0]["exp_avg"] = random.choice(
                [torch.tensor(0.0), 0.0, part["state"][0]["exp_avg"] * float("nan")]
            )
        elif what == 2:
            part["param_groups"] = random.choice([[], None, part["param_groups"][:1]])
        elif what == 3:
            part["param_groups"][0] |= random.choice(
                [{"weight_decay": float("nan")}, {"betas": (2, 2)}, {"params": [99]}]
            )
        else:
            state["optimizer"] = random.choice([[], None, {}, 3])
        torch.save(state, file)
    else:
        file = run_ / "config.json"
        file.unlink()
        if random.random() < 0.8:
            file.write_bytes(random.choice([junk(random), b'{"steps": 3}', b"[1]", b'{"a":', b"\xff", b"[" * 9000]))
    return Case([*world.train, "--run", run_], names=[run_])


@attack("training states")
def resume_with_bad_history(world, room, random):
    run_ = room / "run"
    shutil.copytree(world.run, run_)
    (run_ / "history.csv").write_bytes(random.choice([junk(random), b"a,b\n1,2\n", b"step\nx\n", b'"']))
    return Case([*world.train, "--run", run_], names=[run_])


@attack("training states")
def no_run_folder(world, room, random):
    how = random.randrange(4)
    folder = room / "run"
    if how == 0:
        folder.write_text("a file")
    elif how == 1:
        folder = world.photo / "run"
    elif how == 2:  # another program's file of that name
        folder.mkdir()
        (folder / "config.json").write_bytes(
            random.choice([b'{"name": "website"}', b"[1, 2]", b"no json", b"\xff\xfe"])
        )
    else:  # the result of a run that has no state any more
        shutil.copytree(world.run, folder)
        (folder / "state.pt").unlink()
        (folder / "config.json").unlink() if random.random() < 0.5 else (folder / "config.json").write_text("{}")
    return Case([*world.train, "--run", folder], names=[folder])
