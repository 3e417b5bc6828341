"""The bench of speed: `facext bench speed`."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2

from benchmarks.speed.child import ask
from benchmarks.speed.goals import GOALS
from benchmarks.speed.material import (
    METHODS,
    TINY,
    TINY_FRAMES,
    TINY_MEASURE,
    Scene,
    forged,
    multiplied,
)
from benchmarks.speed.whole import (
    measure_memory,
    measure_prefect,
    measure_resume,
    measure_scaling,
    measure_shards,
)
from benchmarks.speed.work import contest
from flows.run import Progress, cores
from schemas.provenance import source_hash

CODE = ("schemas", "fict", "sources", "annotators", "flows", "benchmarks/speed",
        "benchmarks/straightforward.py")  # fmt: skip
"""What decides the figures."""


@dataclass(frozen=True)
class Size:
    """How much is measured; the defaults take a quarter of an hour on two cores.

    Attributes:
        clip: Frames of a clip, as FaceForensics++ is commonly cut.
        frame: Height and width of its frames.
        measure: Settings of the measure stage; empty: those of a manifest that names none.
        dense: Frames of the clips of which every frame is annotated.
        methods: Forgery methods; each gives two pairs.
        rounds: How often all take turns; the straightforward script once in the dense scene.
        scaled: Pairs of the run that is scaled.
        runs: How often it is run with one and with two processes.
        units: Pairs of the whole runs, ascending; each gives two frames.
        prefect_units: Pairs that are annotated with and without Prefect.
    """

    clip: int = 300
    frame: tuple[int, int] = (480, 640)
    measure: dict[str, Any] = field(default_factory=dict)
    dense: int = 16
    methods: tuple[str, ...] = tuple(METHODS)
    rounds: int = 3
    scaled: int = 36
    runs: int = 2
    units: tuple[int, ...] = (50, 500, 5000)
    prefect_units: int = 300


def run(size: Size, progress: Progress) -> dict[str, Any]:
    """Measures everything, in a temporary folder.

    Args:
        size: How much.
        progress: Is told how far it is.

    Returns:
        The figures that have goals, by name, and below the name of each part what belongs to it.
    """
    cv2.setNumThreads(1)
    begun, load = time.monotonic(), os.getloadavg()[1]
    with tempfile.TemporaryDirectory(prefix="facext-speed-") as folder:
        found = _measure(Path(folder), size, progress)
    found["met"] = {key: goal.is_met(found) for key, goal in GOALS.items()}
    return found | {
        "seconds": round(time.monotonic() - begun, 1),
        "cores": cores(),
        "load_before": load,
        "python": platform.python_version(),
        "code": source_hash(*CODE),
    }


def _measure(folder: Path, size: Size, progress: Progress) -> dict[str, Any]:
    names = size.methods
    long = forged(folder / "long", size.clip, names, progress, size.frame)
    short = forged(folder / "short", size.dense, names, progress, size.frame)
    tiny = forged(folder / "tiny", TINY_FRAMES, names, progress, TINY)

    sampled = Scene("sampled", long, size.measure, names)
    every = Scene("dense", short, size.measure | {"frames": size.dense, "context": 1}, names)
    scaled = Scene(
        "scaled", multiplied(long, folder / "many", size.scaled, names), size.measure, names
    )
    growing = [
        Scene(f"tiny{n}", multiplied(tiny, folder / f"tiny{n}", n, names), TINY_MEASURE, names)
        for n in (*size.units, size.prefect_units)
    ]
    parts: dict[str, Any] = {}
    parts["sampled"] = contest(sampled, folder / "contest", size.rounds, size.rounds, progress)
    parts["dense"] = contest(every, folder / "contest2", size.rounds, 1, progress)
    parts["scaling"] = measure_scaling(scaled, folder, size.runs, progress)
    parts["memory"], finished = measure_memory(growing[:-1], folder, 2, progress)
    parts["resume"] = measure_resume(finished, size.units[-1], size.runs)
    a_unit = _frames(parts["sampled"]) / parts["scaling"]["frames_per_second"]["2"]
    parts["prefect"] = measure_prefect(growing[-1], folder, size.runs, a_unit)
    whole = sampled.run(folder / "whole", 2)
    ask("plain", whole)
    parts["shards"] = measure_shards(whole, folder / "shard.parquet", size.rounds)
    figures = {
        key: next(part[key] for part in parts.values() if key in part)
        for key in (*GOALS, "frames_per_second")
    }
    return figures | parts | {"clip": size.clip, "frame": list(size.frame)}


def _frames(sampled: dict[str, Any]) -> float:
    """Gives the frames that are annotated of a pair."""
    return float(sampled["frames"] / sampled["pairs"])
