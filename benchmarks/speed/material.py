"""What the bench of speed works on: pairs as FaceForensics++ has them, and many tiny ones."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.explain_material import DATASET, LEVEL, MANIFEST
from flows.run import Progress, Run, cores
from schemas.manifest import Manifest
from schemas.records import Pair
from sources.forge import forge
from sources.layouts import find_pairs

METHODS = {
    "IdentitySwap": "identity swap",
    "MouthWarp": "expression reenactment",
    "LipRecolour": "attribute edit",
}
TINY = (240, 320)
TINY_FRAMES = 6
"""Size and length of the clips of runs with thousands of units."""
TINY_MEASURE = {"frames": 2, "context": 1, "crop_size": 128}

BLOCK = DATASET | {"title": "Forged faces", "splits_may_leak": True}


@dataclass(frozen=True)
class Scene:
    """A dataset, and how it is measured.

    Attributes:
        name: Name of the dataset.
        root: Its folder.
        measure: Replaces keys of the settings of the measure stage.
        methods: Methods that are there.
    """

    name: str
    root: Path
    measure: dict[str, Any]
    methods: Sequence[str] = tuple(METHODS)

    def run(self, output: Path, workers: int = 1) -> Run:
        """Makes a run with an output folder of its own; its manifest lies in that folder."""
        methods = {name: METHODS[name] for name in self.methods}
        content = {
            "output": str(output),
            "measure": self.measure,
            "datasets": {self.name: BLOCK | {"root": str(self.root), "methods": methods}},
        }
        output.mkdir(parents=True, exist_ok=True)
        (output / MANIFEST).write_text(yaml.safe_dump(content), encoding="utf-8")
        return Run(self.name, Manifest.model_validate(content), workers)

    def pairs(self) -> list[Pair]:
        """Finds the pairs."""
        dataset = self.run(self.root.parent / f"{self.name}-look").manifest.dataset(self.name)
        return find_pairs(self.name, dataset, self.root)[0]


def forged(
    folder: Path, frames: int, methods: Sequence[str], progress: Progress, size: tuple[int, int]
) -> Path:
    """Forges pairs of two faces by some methods; gives their folder."""
    forge(
        folder, methods=methods, frames=frames, compressions=(LEVEL,), size=size,
        workers=cores(),
        progress=lambda done, total: progress("forge", done, total),
    )  # fmt: skip
    return folder


def multiplied(source: Path, folder: Path, pairs: int, methods: Sequence[str]) -> Path:
    """Makes a dataset of many pairs: those of a few methods, linked under other names."""
    fakes = [
        path
        for method in methods
        for path in sorted(source.glob(f"manipulated_sequences/{method}/{LEVEL}/videos/*.mp4"))
    ]
    for number in range(pairs):
        fake = fakes[number % len(fakes)]
        target, donor = fake.stem.split("_")
        copy = f"{number // len(fakes):04d}"
        real = source / f"original_sequences/youtube/{LEVEL}/videos/{target}.mp4"
        for path, name in ((real, f"{target}{copy}"), (fake, f"{target}{copy}_{donor}{copy}")):
            link = folder / path.relative_to(source).with_name(f"{name}.mp4")
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                os.link(path, link)
    return folder
