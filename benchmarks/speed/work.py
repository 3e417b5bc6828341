"""The measure stage against its floor and against the straightforward script, pair by pair.

Each works on the same frames of the same pairs, one thread; the script in a process of its own,
which has nothing of what workers do to their process. They take turns pair by pair, so that
whatever else the machine does hits all alike; each pair counts with its quickest of some rounds,
and a first pair that is not counted loads models and pages.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2

from annotators.backends import LEAST_FACE_SCORE, backends
from annotators.pipeline import Measurer, PairJob
from benchmarks.speed.material import METHODS, Scene
from benchmarks.straightforward import annotate_pair
from flows.run import Progress
from flows.units import Store, unit_id
from schemas.heap import keep_heap
from schemas.manifest import Measure
from schemas.records import MeasuredFrame, Pair
from schemas.stopwatch import CLOCK
from sources.pairs import spaced_indices
from sources.tracking import cuts_of, faces_of_clip
from sources.video import probe, read_frames

Seconds = dict[str, float]


class Contest:
    """The contestants and what they share.

    Args:
        scene: The pairs.
        folder: Where results go.
    """

    def __init__(self, scene: Scene, folder: Path) -> None:
        keep_heap()  # as workers do
        self.scene, self.folder = scene, folder
        self.settings = Measure.model_validate(scene.measure)
        self.measurer = Measurer(self.settings)
        make_finder, _ = backends(self.settings)
        self.finder = make_finder(LEAST_FACE_SCORE)
        self.store = Store(folder / "units", MeasuredFrame)
        fakes = {pair.fake_path for pair in scene.pairs()}
        self.lengths = {path: probe(scene.root / path).frames for path in fakes}
        self.script = ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), cv2.setNumThreads, (1,)
        )
        self.regions: Counter[str] = Counter()
        self._rows: list[MeasuredFrame] = []

    def floor(self, pair: Pair) -> int:
        """Decodes both sides and finds the faces: without it nothing can be measured.

        The frames are those that the stage looks at; the decoder has to go through all up to the
        last one. What the stage does before (counting frames, aligning the sides in time) and after
        is left out.

        Returns:
            Frames of the pair that would be annotated.
        """
        real, fake = (self.scene.root / path for path in (pair.real_path, pair.fake_path))
        looked_at = self.settings.frames * self.settings.context
        indices = spaced_indices(self.lengths[pair.fake_path], looked_at)
        images = [frame.image for frame in read_frames(real, indices)]
        read_frames(fake, indices)
        faces_of_clip(images, cuts_of(images), self.finder)
        return min(self.settings.frames, len(indices))

    def stage(self, pair: Pair) -> int:
        """Measures a pair and stores its unit, as a worker of the stage does."""
        job = PairJob(self.scene.root, pair, METHODS[pair.method], "", "", "")
        self._rows, rejects, _ = self.measurer.measure_pair(job)
        self.store.commit(unit_id({"pair": pair.key}), self._rows, rejects)
        return len(self._rows) + len(rejects)

    def straightforward(self, pair: Pair) -> int:
        """Does the same job without tuning."""
        real, fake = (self.scene.root / path for path in (pair.real_path, pair.fake_path))
        out, settings = self.folder / "straightforward", self.settings
        shutil.rmtree(out, ignore_errors=True)
        sizes = (settings.frames, settings.context, settings.crop_size)
        return self.script.submit(annotate_pair, real, fake, out, *sizes).result()

    def count_regions(self) -> None:
        """Adds up the regions of the last pair's rows, by who made them."""
        lines = (self.folder / "straightforward" / "rows.jsonl").read_text().splitlines()
        self.regions["straightforward"] += sum(len(json.loads(one)["regions"]) for one in lines)
        self.regions["stage"] += sum(len(row.regions) for row in self._rows)


def contest(
    scene: Scene, folder: Path, rounds: int, slow_rounds: int, progress: Progress
) -> dict[str, Any]:
    """Lets floor, stage and straightforward script take turns.

    Args:
        scene: The pairs.
        folder: An empty folder.
        rounds: How often floor and stage go over the pairs.
        slow_rounds: How often the script does; at most `rounds`.
        progress: Is told how far it is.
    """
    parts = Contest(scene, folder)
    pairs = sorted(scene.pairs(), key=lambda pair: pair.real_path)  # as workers get them
    works: dict[str, Callable[[Pair], int]] = {
        "floor": parts.floor, "stage": parts.stage, "straightforward": parts.straightforward
    }  # fmt: skip
    for work in works.values():
        work(pairs[0])
    CLOCK.take()
    best: dict[str, Seconds] = defaultdict(dict)
    frames = dict.fromkeys(works, 0)
    for turn in range(rounds):
        for done, pair in enumerate(pairs, 1):
            for name, work in works.items():
                if name == "straightforward" and turn >= slow_rounds:
                    continue
                took, count = _timed(work, pair)
                best[name][pair.key] = min(took, best[name].get(pair.key, took))
                frames[name] += count if turn == 0 else 0
            if turn == 0:
                parts.count_regions()
            progress(scene.name, turn * len(pairs) + done, rounds * len(pairs))
    parts.script.shutdown()
    shared = {"rounds": rounds, "context": parts.settings.context}
    a_row = {name: count / frames["stage"] for name, count in parts.regions.items()}
    return shared | {"regions_of_a_row": a_row} | _figures(best, frames, CLOCK.take())


def _timed(work: Callable[[Pair], int], pair: Pair) -> tuple[float, int]:
    begun = time.perf_counter()
    count = work(pair)
    return time.perf_counter() - begun, count


def _figures(best: dict[str, Seconds], frames: dict[str, int], steps: Seconds) -> dict[str, Any]:
    """Gives ratios of sums over the pairs, and milliseconds of an annotated frame.

    Raises:
        RuntimeError: The three did not work on as many frames.
    """
    if len(set(frames.values())) != 1:
        raise RuntimeError(f"the contestants annotated different numbers of frames: {frames}")
    count = frames["stage"]
    seconds = {name: sum(each.values()) for name, each in best.items()}
    beyond = {name: seconds[name] - seconds["floor"] for name in ("stage", "straightforward")}
    every = sum(steps.values())
    share = {name: spent / every for name, spent in _largest(steps)}
    return {
        "pairs": len(best["stage"]),
        "frames": count,
        "floor_ratio": seconds["stage"] / seconds["floor"],
        "speedup_straightforward": seconds["straightforward"] / seconds["stage"],
        "speedup_beyond_floor": beyond["straightforward"] / beyond["stage"],
        "frames_per_second": count / seconds["stage"],
        "ms_per_frame": {name: 1000 * spent / count for name, spent in seconds.items()},
        "stage_steps": share,
    }


def _largest(steps: Seconds) -> Sequence[tuple[str, float]]:
    return sorted(steps.items(), key=lambda item: -item[1])
