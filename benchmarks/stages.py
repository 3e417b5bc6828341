"""Where the time of an annotated frame goes, one process, one thread.

python -m benchmarks.stages                   needs out/toy/source (`facext forge`)
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2

import annotators.pipeline as pipeline
from annotators.pipeline import Measurer, PairJob
from annotators.publish import publish, said_by_evidence
from schemas.manifest import load_manifest
from sources.layouts import find_pairs

STEPS = ("read_pair", "crop_clip", "diff", "localise", "Gauge", "measure", "_picture", "ask")


def main() -> None:
    cv2.setNumThreads(1)
    manifest = load_manifest()
    dataset = manifest.dataset("toy")
    root = dataset.folder("toy")
    measurer = Measurer(manifest.measure)
    spent: dict[str, float] = defaultdict(float)
    frames = 0
    with timed(spent):
        measurer.parser = stopwatch("label_map", measurer.parser, spent)
        for pair in find_pairs("toy", dataset, root)[0]:
            start = time.perf_counter()
            rows, rejects = measurer.measure_pair(job(root, pair, dataset.methods[pair.method]))
            spent["measure stage"] += time.perf_counter() - start
            frames += len(rows) + len(rejects)
            start = time.perf_counter()
            for row in rows:
                try:
                    publish(said_by_evidence(row, manifest.measure.evidence), "")
                except pipeline.Rejected:
                    continue
            spent["explain stage"] += time.perf_counter() - start
    print(f"{frames} frames; ms a frame")
    for step, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"  {step:<14}{1000 * seconds / frames:8.1f}")


def job(root: Path, pair: Any, forgery: str) -> PairJob:
    return PairJob(root, pair, forgery, "", "", "")


@contextmanager
def timed(spent: dict[str, float]) -> Iterator[None]:
    """Puts a stopwatch around each step that the pipeline calls by name."""
    plain = {name: getattr(pipeline, name) for name in STEPS}
    for name, step in plain.items():
        setattr(pipeline, name, stopwatch(name, step, spent))
    try:
        yield
    finally:
        for name, step in plain.items():
            setattr(pipeline, name, step)


def stopwatch(name: str, step: Callable[..., Any], spent: dict[str, float]) -> Callable[..., Any]:
    def run(*arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return step(*arguments, **named)
        finally:
            spent[name] += time.perf_counter() - start

    return run


if __name__ == "__main__":
    main()
