"""What the makers of cases share: junk, damage, files that are certainly no photo, and what a result must be."""

import io
import os
import pickle
import socket
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import histcolor as hc

SMALL = ["--size", "32"]
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


class Evil:
    """What runs code when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("pickle-ran",)


def read(path):
    """Read a picture whole."""
    with Image.open(path) as picture:
        return picture.copy()


def damaged(data, random):
    """Damage a file in one of many ways; it may still be good."""
    data, where = bytearray(data), random.randrange(len(data) or 1)
    how = random.randrange(6)
    if how == 0:
        return bytes(data[:where])
    if how == 1:
        for _ in range(random.choice((1, 4, 30))):
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    elif how == 2:
        data[where : where + random.randrange(1, 200)] = b""
    elif how == 3:
        data[where:where] = random.randbytes(random.randrange(1, 200))
    elif how == 4:
        head = random.randrange(min(64, len(data)))
        data[head : head + 4] = random.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", random.randbytes(4)))
    else:
        data[where:] = bytes(len(data) - where)
    return bytes(data)


def junk(random):
    """The bytes of something else."""
    return random.choice(
        [
            b"",
            b"\0",
            random.randbytes(random.randrange(1, 3000)),
            b"no picture\n" * 50,
            bytes(5000),
            b"\xff" * 5000,
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(pickle-ran) (w) file closefile\nshowpage\n",
            b"%PDF-1.4\n%%EOF",
            b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
            b"<!DOCTYPE html><p>404",
            b"PK\x03\x04" + bytes(40),
            pickle.dumps(Evil()),
            pickle.dumps([1, 2]),
            b"\x1f\x8b" + random.randbytes(50),
            b"[]",
            b"null",
            b"{}",
            b"version https://git-lfs.github.com/spec/v1\n",
        ]
    )


def colorize(world, photo, output, *more):
    return ["colorize", photo, "--model", world.model, *SMALL, "--output", output, *more]


def same_light(path, expected, *, exact=True):
    """Check that a result has the photo's shape and its lightness."""

    def check():
        assert path.is_file(), "no output"
        out = hc.read_image(path)
        assert torch.isfinite(out).all(), "not finite"
        if expected is not None:
            want = torch.from_numpy(np.array(expected)).permute(2, 0, 1).float() / 255
            assert out.shape == want.shape, f"{out.shape}, not {want.shape}"
            off = (hc.rgb_to_lab(out)[0] - hc.rgb_to_lab(want)[0]).abs().mean()
            assert off < (2.0 if exact else 6.0), f"L is off by {off:.2f}"
            assert (out - out.mean(0)).abs().max() > 0.02, "it stayed gray"

    return check


def bad_photo(world, room, random, name="bad"):
    """Make a file that is certainly no photo; returns its path."""
    base = read(world.photo)
    how, path = random.randrange(12), room / f"{name}.{random.choice(('jpg', 'png', 'tif', 'webp'))}"
    if how <= 4:
        path.write_bytes(junk(random))
    elif how == 5:  # a bomb by its header
        wide = random.choice((14_200, 60_000, 2**31 - 1))
        head = struct.pack(">IIBBBBB", wide, random.choice((14_200, 60_000)), 8, 0, 0, 0, 0)
        chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
        body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    elif how == 6:  # another
        kind, at, size = random.choice([("BMP", 18, struct.pack("<ii", 60_000, 60_000)), ("GIF", 6, b"\xff" * 4)])
        data = io.BytesIO()
        base.convert("P" if kind == "GIF" else "RGB").save(data, kind)
        content = bytearray(data.getvalue())
        content[at : at + len(size)] = size
        path.write_bytes(bytes(content))
    elif how == 7:  # and one of a JPEG
        data = io.BytesIO()
        base.save(data, "JPEG")
        content = bytearray(data.getvalue())
        at = content.index(b"\xff\xc0")
        content[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)
        path.write_bytes(bytes(content))
    elif how == 8:
        path.write_bytes(world.photo.read_bytes()[: random.randrange(60)])
    elif how == 9:
        with open(path, "wb") as file:  # a sparse giant
            file.write(world.photo.read_bytes()[:100])
            file.truncate(10**11)
    elif how == 10:
        path.symlink_to(random.choice((path.name, "nowhere", "/dev/null")))
    else:
        other = random.choice(["EPS", "PDF", "ICO", "TGA", "PCX", "SGI", "DDS"])
        with open(path, "wb") as file:
            base.save(file, other)
    return path


def special(room, random):
    """Make something that is no file at all; returns its path."""
    path, how = room / random.choice(("s.jpg", "s.npy", "s.safetensors", "s")), random.randrange(5)
    if how == 0:
        os.mkfifo(path)
    elif how == 1:
        path.mkdir()
    elif how == 2:
        with socket.socket(socket.AF_UNIX) as one:
            os.chdir(room)  # the whole path may be too long for a socket
            one.bind(path.name)
    elif how == 3:
        return Path("/dev/null")
    return path


def save(path, array, **how):
    with open(path, "wb") as file:
        np.lib.format.write_array(file, np.asarray(array), **how)
