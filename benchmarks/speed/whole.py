"""Whole runs: how they scale over processes, what memory they hold, what a finished one costs."""

from __future__ import annotations

import random
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.speed.child import ask
from benchmarks.speed.material import Scene
from flows.run import Progress, Run
from schemas.records import AnnotatedFrame
from schemas.shards import read_records, write_records

ROWS = 1000
"""Rows of a shard, as compaction writes them."""


def measure_scaling(scene: Scene, folder: Path, rounds: int, progress: Progress) -> dict[str, Any]:
    """Runs the measure stage with one and with two processes in turns; the quickest counts.

    The start of the workers is part of it, as it is of a run. How far two processes that share
    nothing get on this machine is measured beside it: one stage with one process, twice at once.
    """
    units = len(scene.pairs())
    best: dict[int, float] = {}
    told = _told(progress, "scaling", units)
    for number in range(rounds):
        for workers in (1, 2):
            run = scene.run(folder / f"scaling-{workers}-{number}", workers)
            took = ask("measure", run, progress=told)["seconds"]
            best[workers] = min(took, best.get(workers, took))
            shutil.rmtree(run.manifest.output)
    apart = [scene.run(folder / f"apart-{n}") for n in range(2)]
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda run: ask("measure", run), apart))
    frames = units * apart[0].manifest.measure.frames
    return {
        "scaling_2": best[1] / best[2],
        "scaling_of_machine": 2 * best[1] / max(one["seconds"] for one in both),
        "frames_per_second": {str(n): frames / took for n, took in best.items()},
        "seconds_to_first_unit": both[0]["first_unit"],
        "frames": frames,
    }


def measure_memory(
    scenes: Sequence[Scene], folder: Path, workers: int, progress: Progress
) -> tuple[dict[str, Any], Run]:
    """Annotates datasets of growing size, each in a process of its own.

    Returns:
        The peaks and their ratio, and the last, largest run, which is finished.
    """
    found = []
    for scene in scenes:
        run = scene.run(folder / f"{scene.name}-out", workers)
        units = len(scene.pairs())
        found.append(ask("plain", run, progress=_told(progress, "memory", units)))
    peaks = [one["peak_mb"]["parent"] + workers * one["peak_mb"]["worker"] for one in found]
    return {
        "memory_ratio": peaks[-1] / peaks[0],
        "peak_mb": {
            str(one["frames"]): one["peak_mb"] | {"all": peak}
            for one, peak in zip(found, peaks, strict=True)
        },
        "processes": workers,
        "rows": found[-1]["rows"],
        "rejects": found[-1]["rejects"],
        "frames_per_second": found[-1]["frames"] / found[-1]["seconds"],
    }, run


def measure_resume(run: Run, units: int, rounds: int) -> dict[str, Any]:
    """Runs a finished dataset again: nothing is to be done, which has to be found out.

    Raises:
        RuntimeError: There was something to do.
    """
    found = [ask("plain", run) for _ in range(rounds)]
    if any(one["units"] for one in found):
        raise RuntimeError("a finished dataset was worked on again")
    return {
        "resume_seconds": min(one["seconds"] for one in found),
        "with_start_seconds": min(one["wall"] for one in found),
        "units": units,
    }


def measure_prefect(
    scene: Scene, folder: Path, rounds: int, seconds_per_unit: float
) -> dict[str, Any]:
    """Compares the flow on a server of its own with the same job without Prefect.

    What Prefect adds does not depend on how long a unit takes, so it is measured on short units,
    where it can be seen, and told as a share of units as they are.

    Args:
        scene: Many short pairs.
        folder: An empty folder.
        rounds: How often both take turns; the quickest counts.
        seconds_per_unit: What a real pair takes, with as many processes.
    """
    found = ask("prefect", scene.run(folder / "prefect", 2), rounds)
    added = min(found["prefect"]) - min(found["local"])
    return {
        "prefect_overhead": added / found["units"] / seconds_per_unit,
        "ms_per_unit": 1000 * added / found["units"],
        "seconds_added": added,
        "seconds": {name: found[name] for name in ("local", "prefect")},
        "units": found["units"],
        "seconds_per_unit": seconds_per_unit,
    }


def measure_shards(run: Run, path: Path, rounds: int) -> dict[str, Any]:
    """Writes and reads a full shard of a finished run's rows with their pictures.

    Args:
        run: The run; its rows are repeated, with random bytes for pictures: JPEG and PNG are as
            little to be compressed, and equal ones would be stored once.
        path: The shard.
        rounds: How often; the middle one counts.
    """
    rows = read_records(sorted(run.shards.glob("*.parquet")), AnnotatedFrame)
    many = [_renamed(rows[n % len(rows)], n) for n in range(ROWS)]
    writing = _middle(lambda: write_records(path, many, AnnotatedFrame), rounds)
    reading = _middle(lambda: read_records(path, AnnotatedFrame), rounds)
    size = path.stat().st_size / 1e6
    return {
        "rows": ROWS,
        "megabytes": size,
        "write_rows_per_second": ROWS / writing,
        "read_rows_per_second": ROWS / reading,
        "write_mb_per_second": size / writing,
        "read_mb_per_second": size / reading,
    }


def _renamed(row: AnnotatedFrame, number: int) -> AnnotatedFrame:
    """Gives a row another id, and pictures of as many bytes."""
    changed: dict[str, Any] = {"id": f"{number:06d}"}
    for name in ("real", "fake", "label_map"):
        picture = getattr(row, name)
        others = random.Random(f"{number} {name}").randbytes(len(picture.bytes))
        changed[name] = picture.model_copy(update={"bytes": others})
    return row.model_copy(update=changed)


def _middle(work: Callable[[], object], rounds: int) -> float:
    took = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        took.append(time.perf_counter() - begun)
    return statistics.median(took)


def _told(progress: Progress, stage: str, units: int) -> Callable[[int], None]:
    return lambda done: progress(stage, min(done, units), units)
