"""Is the captioning client fast, frugal and safe? The real explain stage against a scripted server.

The server is ours, on loopback, in a process of its own: no figure says anything of a model. It
says what the client adds, loses, pays and lets through while the server does its worst.
"""

from __future__ import annotations

import platform
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2

from benchmarks.explain_faults import measure_faults
from benchmarks.explain_goals import GOALS
from benchmarks.explain_material import forged, repeat
from benchmarks.explain_memory import measure_memory
from benchmarks.explain_money import KILLS, measure_budget, measure_kills
from benchmarks.explain_speed import Load, measure_speed
from flows.run import Progress, Run, cores
from schemas.errors import OutputError
from schemas.provenance import source_hash

CODE = ("schemas", "annotators", "flows", "benchmarks")
"""Packages whose source decides the figures."""
RECORD_BYTES = 450_000
"""What a record takes on the disk: measured, explained, and its share of the other parts."""


@dataclass(frozen=True)
class Size:
    """How much is measured; the defaults take eight minutes on two cores that do nothing else.

    Attributes:
        load: Of the measurement of speed.
        faulty: Records that all faults are played to: more than 2,000 requests.
        killed: Records of the run that is killed.
        kills: How often.
        budgeted: Records of the run with a budget.
        few: Records of the smaller weighing.
        many: Records of the larger one.
    """

    load: Load = field(default_factory=Load)
    faulty: int = 1200
    killed: int = 400
    kills: int = KILLS
    budgeted: int = 600
    few: int = 100
    many: int = 10_000

    @property
    def records(self) -> int:
        """Records of the material; the parts share them."""
        load = self.load
        return max(load.different, load.records, self.faulty, self.killed, self.budgeted, self.many)


def run(size: Size, progress: Progress) -> dict[str, Any]:
    """Measures everything in a temporary folder; see `measure`.

    Raises:
        OutputError: The folder has not enough room.
    """
    with tempfile.TemporaryDirectory(prefix="facext-bench-") as folder:
        _check_room(Path(folder), size.records * RECORD_BYTES)
        base = forged(Path(folder), progress, cores())
        return measure(Path(folder), base, size, progress)


def measure(folder: Path, base: Run, size: Size, progress: Progress) -> dict[str, Any]:
    """Measures everything.

    Args:
        folder: An empty folder.
        base: A run whose measured frames are repeated.
        size: How much is measured.
        progress: Is told how far it is.

    Returns:
        The figures that have goals, by name, and below the name of each part what belongs to it.
    """
    cv2.setNumThreads(1)
    material = repeat(folder, base, size.records, progress)
    speed = measure_speed(material, size.load, progress)
    faults = measure_faults(material, size.faulty, progress)
    kills = measure_kills(material, size.killed, progress, size.kills)
    budget = measure_budget(material, size.budgeted, faults["cost_per_record"], progress)
    memory = measure_memory(material, size.few, size.many, progress)
    parts = {
        "speed": speed, "faults": faults, "kills": kills, "budget": budget, "memory": memory,
    }  # fmt: skip
    found = {key: part.pop(key) for key in GOALS for part in parts.values() if key in part}
    found |= parts
    found["met"] = {key: goal.is_met(found) for key, goal in GOALS.items()}
    return found | {
        "cores": cores(), "python": platform.python_version(), "code": source_hash(*CODE),
    }  # fmt: skip


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"the bench needs {needed / 1e9:.1f} GB in {folder.parent}, {free / 1e9:.1f} GB are "
            "free; set TMPDIR to a folder with more"
        )
