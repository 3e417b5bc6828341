"""Whether memory grows with the dataset: the peak of the stage over few records and over many."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.captioner import Captioner, Script
from benchmarks.explain_child import finish, start
from benchmarks.explain_material import Material
from flows.run import Progress, Run

IN_FLIGHT = 16
LIES = 0.2
WATCH_S = 0.5


def measure_memory(material: Material, few: int, many: int, progress: Progress) -> dict[str, Any]:
    """Gives the peaks and their ratio; nothing is taken off for the interpreter."""
    found = [_weigh(material, records, progress) for records in (few, many)]
    return {
        "memory_ratio": found[1]["peak_mb"] / found[0]["peak_mb"],
        "peak_mb": {str(one["records"]): one["peak_mb"] for one in found},
        "frames_per_second": found[1]["records"] / found[1]["seconds"],
    }


def _weigh(material: Material, records: int, progress: Progress) -> dict[str, Any]:
    """Explains records in another process; gives its peak."""
    part = f"memory-{records}"
    with Captioner(Script(lies=LIES), material.folder / f"{part}.jsonl") as captioner:
        server = {"base_url": captioner.url, "in_flight": IN_FLIGHT}
        run, pairs = material.run(part, records, server)
        with _watched(run, len(pairs), progress):
            told = finish(start(run))
    if told["done"] != len(pairs):
        raise RuntimeError(f"{told['done']} of {len(pairs)} pairs were explained")
    shutil.rmtree(run.output / "units" / "explain")  # as large as the material
    return told | {"records": material.frames * len(pairs)}


@contextmanager
def _watched(run: Run, units: int, progress: Progress) -> Iterator[None]:
    """Tells how far another process is, by the units that lie in its folder."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(WATCH_S):
            progress("memory", done_units(run.explained.folder), units)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def done_units(folder: Path) -> int:
    """Counts the units that were committed."""
    return sum(1 for _ in folder.glob("*.json"))
