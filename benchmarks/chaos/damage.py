"""Videos damaged in many ways, from real encodes: each must become a reject with a reason."""

from __future__ import annotations

import io
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np

from benchmarks.chaos.scene import FINISHED, Scene
from schemas.errors import RejectReason
from schemas.records import AnnotatedFrame, Reject
from schemas.shards import read_records

NAME = "damaged"
MAGIC = (b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"\x1aE\xdf\xa3", b"RIFF\0\0\0\0AVI ", b"GIF89a",
         b"<!DOCTYPE html><html>", b"ID3\x04", b"\xff\xd8\xff\xe0")  # fmt: skip
"""How files of other kinds begin."""
CONTAINERS = (("avi", "mpeg4"), ("matroska", "mpeg4"), ("mpegts", "mpeg2video"), ("gif", "gif"),
              ("flv", "flv"), ("nut", "mpeg4"), ("image2", "png"))  # fmt: skip


@dataclass
class Damaged:
    """What became of damaged inputs.

    Attributes:
        inputs: How many there were.
        reasons: Rejected inputs by reason.
        readable: Inputs that could be annotated all the same: the damage left whole frames.
        crashes: Inputs that ended the run, met a bug, killed a worker or have no outcome.
        told: What was seen of those.
    """

    inputs: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    readable: int = 0
    crashes: int = 0
    told: list[str] = field(default_factory=list)


Damage = Callable[[bytes, bytes, random.Random], bytes]
"""Makes a damaged file of a whole one; the second is another whole one."""


def bit_flips(whole: bytes, other: bytes, rng: random.Random) -> bytes:
    """Flips 1 to 300 bits, anywhere or in the first kilobytes, where the headers are."""
    damaged = bytearray(whole)
    end = rng.choice((len(whole), 2000))
    for _ in range(rng.choice((1, 3, 10, 100, 300))):
        damaged[rng.randrange(min(end, len(whole)))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def truncation(whole: bytes, other: bytes, rng: random.Random) -> bytes:
    """Keeps the start or the end."""
    cut = rng.randrange(1, len(whole))
    return whole[:cut] if rng.random() < 0.8 else whole[cut:]


def wrong_container(whole: bytes, other: bytes, rng: random.Random) -> bytes:
    """Puts the start of a file of another kind before or over it, or is another kind, cut."""
    magic = rng.choice(MAGIC)
    kind = rng.randrange(3)
    if kind == 0:
        return magic + whole[len(magic) :]
    if kind == 1:
        return magic + whole
    made = _encoded(*rng.choice(CONTAINERS), rng)
    return made[: rng.randrange(1, len(made))]


def swapped_headers(whole: bytes, other: bytes, rng: random.Random) -> bytes:
    """Joins the boxes of one file with those of another, or in another order."""
    boxes, others = _boxes(whole), _boxes(other)
    at = rng.randrange(len(boxes))
    kind = rng.randrange(3)
    if kind == 0:
        boxes[at] = others[min(at, len(others) - 1)]
    elif kind == 1:
        rng.shuffle(boxes)
        boxes = boxes[: rng.randint(1, len(boxes))]
    else:
        head = rng.randrange(8, min(len(whole), len(other)))
        return other[:head] + whole[head:]
    return b"".join(boxes)


def zero_bytes(whole: bytes, other: bytes, rng: random.Random) -> bytes:
    """Is empty, all zero, or has zeros over a part, as after a power cut."""
    kind = rng.randrange(4)
    if kind < 2:
        return bytes(kind * rng.randrange(1, len(whole)))
    start = rng.randrange(len(whole))
    end = rng.randrange(start, len(whole)) + 1
    return whole[:start] + bytes(end - start) + whole[end:]


def random_bytes(whole: bytes, other: bytes, rng: random.Random) -> bytes:
    """Is noise, or has noise over a part."""
    if rng.random() < 0.3:
        return rng.randbytes(rng.randrange(1, len(whole)))
    start = rng.randrange(len(whole))
    end = rng.randrange(start, len(whole)) + 1
    return whole[:start] + rng.randbytes(end - start) + whole[end:]


KINDS: tuple[Damage, ...] = (
    bit_flips, truncation, wrong_container, swapped_headers, zero_bytes, random_bytes,
)  # fmt: skip


def _boxes(whole: bytes) -> list[bytes]:
    """Cuts an MP4 file into its boxes."""
    boxes: list[bytes] = []
    at = 0
    while at < len(whole):
        size = max(8, int.from_bytes(whole[at : at + 4], "big"))
        boxes.append(whole[at : at + size])
        at += size
    return boxes


def _encoded(form: str, codec: str, rng: random.Random) -> bytes:
    """Encodes a little noise in another container."""
    made = io.BytesIO()
    noise = np.random.default_rng(rng.randrange(2**32)).integers(0, 255, (64, 96, 3), np.uint8)
    form = "image2pipe" if form == "image2" else form
    with av.open(made, "w", format=form) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = 96, 64
        stream.pix_fmt = {"gif": "rgb8", "png": "rgb24"}.get(codec, "yuv420p")
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, "rgb24")))
        container.mux(stream.encode())
    return made.getvalue()


def damaged_scene(folder: Path, source: Path, inputs: int, rng: random.Random) -> Scene:
    """Makes a dataset of pairs of which one side is damaged, the kinds of damage in turn."""
    root = folder / "damaged-source"
    videos = sorted((source / "manipulated_sequences/LipRecolour").rglob("*.mp4"))
    whole = [path.read_bytes() for path in videos]
    real = sorted((source / "original_sequences").rglob("*.mp4"))
    for side in ("real", "fake"):
        (root / side).mkdir(parents=True)
    for number in range(inputs):
        at, kind = rng.randrange(len(videos)), KINDS[number % len(KINDS)]
        files = {"real": real[at], "fake": videos[at]}
        side = rng.choice(("real", "fake"))
        name = f"{number:03d}-{kind.__name__}.mp4"
        for each, path in files.items():
            shutil.copy(path, root / each / name)
        made = kind(files[side].read_bytes(), whole[1 - at], rng)
        (root / side / name).write_bytes(made)
    layout = {
        "real": "real/{name}.mp4", "fake": "fake/{name}.mp4", "compressions": [""],
        "methods": {"Damaged": "attribute edit"},
    }  # fmt: skip
    return Scene(folder, root, layout, {"frames": 1, "context": 1, "crop_size": 64})


def annotate_damaged(scene: Scene, inputs: int, progress: Callable[[int], None]) -> Damaged:
    """Annotates the dataset and looks at the outcome of each input."""
    process = scene.start(NAME)
    units = scene.run_of_files(NAME) / "units" / "measure"
    while process.poll() is None:
        progress(min(inputs, len(list(units.glob("*.json")))))
        time.sleep(0.2)
    _, errors = process.communicate()
    progress(inputs)
    found = Damaged(inputs=inputs)
    if process.returncode not in FINISHED or "Traceback" in errors:
        found.crashes += 1
        found.told.append(f"exit {process.returncode}: {errors[-800:]}")
        return found
    _count(scene, found)
    return found


def _count(scene: Scene, found: Damaged) -> None:
    run = scene.run(NAME)
    rejects = {one.pair: one for one in read_records(run.rejects_path, Reject)}
    rows = {row.pair for row in read_records(sorted(run.shards.glob("*.parquet")), AnnotatedFrame)}
    for path in sorted((scene.source / "fake").iterdir()):
        outcome = rejects.get(path.stem)
        if outcome is None and path.stem in rows:
            found.readable += 1
        elif outcome is None or outcome.reason == RejectReason.INTERNAL_ERROR:
            found.crashes += 1
            found.told.append(f"{path.stem}: {outcome.detail if outcome else 'no outcome'}")
        else:
            found.reasons[outcome.reason] += 1
