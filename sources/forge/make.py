"""Makes a forged dataset in FaceForensics++ layout, with the truth beside it.

    folder/
    ├── original_sequences/youtube/<compression>/videos/<target>.mp4
    ├── manipulated_sequences/<method>/<compression>/videos/<target>_<source>.mp4
    ├── truth.parquet       what each forgery changed (`sources.forge.truth.Truth`)
    └── forge.json          settings and files; written last, so that it marks a whole dataset

The same settings give the same bytes. A target is forged once by each method, with the next
picture as its source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2

from schemas.errors import UsageError, nearest
from schemas.shards import write_records
from sources.encode import CRF
from sources.forge.clip import Camera
from sources.forge.job import Job, make_clip
from sources.forge.marker import describe, finish, holds, start_over
from sources.forge.methods import METHODS
from sources.forge.still import default_pictures, load_stills
from sources.forge.truth import TRUTH_FILE, Truth

Progress = Callable[[int, int], None]
"""Takes the clips done and the clips in all."""

SMALLEST_SIDE = 64


@dataclass(frozen=True)
class ForgeSummary:
    """What a forged dataset holds.

    Attributes:
        folder: The dataset's root.
        pictures: Portraits, each the target of one pair of every method.
        pairs: Real/fake video pairs, over all methods and compressions.
        videos: Video files.
        truth_rows: Rows of `truth.parquet`.
        made: False when the folder already held exactly this dataset.
    """

    folder: Path
    pictures: int
    pairs: int
    videos: int
    truth_rows: int
    made: bool


def forge(
    folder: Path,
    *,
    pictures: Sequence[Path] = (),
    seed: int = 0,
    frames: int = 50,
    fps: float = 25,
    size: tuple[int, int] = (480, 640),
    compressions: Sequence[str] = ("c0", "c23", "c40"),
    methods: Sequence[str] | None = None,
    progress: Progress | None = None,
    workers: int = 1,
) -> ForgeSummary:
    """Makes a forged dataset, or leaves a folder as it is that already holds it.

    Args:
        folder: Root of the dataset; files of an earlier forge there are replaced or removed.
        pictures: Portraits, two or more; without any, the public-domain ones of
            `default_pictures`.
        seed: Decides the camera's path and noise.
        frames: Frames of each clip.
        fps: Frames per second.
        size: Height and width of a frame, both even.
        compressions: Keys of `sources.encode.CRF`.
        methods: Keys of `METHODS`; None means all.
        progress: Called with clips done and clips in all, from 0 to all.
        workers: Processes; 1 works in this one.

    Raises:
        UsageError: An unknown method or compression, an impossible size or number, fewer than two
            pictures, or a picture that cannot be read or shows no face.
        OutputError: The folder cannot be written.
    """
    names = tuple(METHODS if methods is None else methods)
    levels = tuple(compressions)
    _check(names, levels, frames, fps, size, workers)
    paths = list(pictures) or default_pictures()
    if len(paths) < 2:
        raise UsageError(f"the forge needs two pictures or more, target and source; got {paths}")
    stills = load_stills(paths, size)
    jobs = [
        Job(folder, method, k, still, stills[source], source, camera, fps, levels)
        for method in ("", *names)
        for k, still in enumerate(stills)
        for source, camera in [((k + 1) % len(stills), Camera(size, frames, (seed, k)))]
    ]
    settings = describe(stills, names, levels, seed=seed, frames=frames, fps=fps, size=size)
    files = [job.made(level) for level in levels for job in jobs] + [Path(TRUTH_FILE)]
    report = progress or (lambda done, total: None)
    made = not holds(folder, settings, files)
    if made:
        start_over(folder, files)
        write_records(folder / TRUTH_FILE, _run(jobs, workers, report), Truth)
        finish(folder, settings, files)
    else:
        report(len(jobs), len(jobs))
    fakes, videos = len(names) * len(stills), len(jobs) * len(levels)
    return ForgeSummary(folder, len(stills), fakes * len(levels), videos, fakes * frames, made)


def _check(
    methods: tuple[str, ...],
    levels: tuple[str, ...],
    frames: int,
    fps: float,
    size: tuple[int, int],
    workers: int,
) -> None:
    for what, names, known in (("method", methods, METHODS), ("compression", levels, CRF)):
        for name in names:
            if name not in known:
                hint = nearest(name, known)
                raise UsageError(f"no {what} '{name}' to forge{hint}; known: {', '.join(known)}")
        if not names or len(set(names)) < len(names):
            raise UsageError(f"name each {what} to forge once, got: {', '.join(names) or 'none'}")
    if frames < 1 or fps <= 0 or workers < 1:
        raise UsageError(f"frames, fps and workers must be above 0: {frames}, {fps}, {workers}")
    if min(size) < SMALLEST_SIDE or size[0] % 2 or size[1] % 2:
        raise UsageError(f"frame sides must be even and at least {SMALLEST_SIDE}, got {size}")


def _run(jobs: list[Job], workers: int, progress: Progress) -> list[Truth]:
    """Runs the real clips, then the fakes (a control reads its real video); keeps their order."""
    results: dict[int, list[Truth]] = {}
    progress(0, len(jobs))
    for real in (True, False):
        batch = [k for k, job in enumerate(jobs) if real == (not job.method)]
        for k, rows in _each(batch, jobs, workers):
            results[k] = rows
            progress(len(results), len(jobs))
    return [row for k in sorted(results) for row in results[k]]


def _each(batch: list[int], jobs: list[Job], workers: int) -> Iterator[tuple[int, list[Truth]]]:
    if workers == 1:
        threads = cv2.getNumThreads()
        try:
            yield from ((k, make_clip(jobs[k])) for k in batch)
        finally:
            cv2.setNumThreads(threads)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(make_clip, jobs[k]): k for k in batch}
        for done in as_completed(waiting):
            yield waiting[done], done.result()
