"""Where the time of an annotated frame goes, one process, one thread; as `annotate --profile`.

python -m benchmarks.stages                   needs out/toy/source (`facext forge`)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2

from annotators.pipeline import Measurer, PairJob
from annotators.publish import publish, said_by_evidence
from flows.console import print_profile
from schemas.errors import Rejected
from schemas.manifest import load_manifest
from schemas.stopwatch import CLOCK
from sources.layouts import find_pairs


def main() -> None:
    cv2.setNumThreads(1)
    manifest = load_manifest()
    dataset = manifest.dataset("toy")
    root = dataset.folder("toy")
    measurer = Measurer(manifest.measure)
    frames = 0
    CLOCK.take()
    for pair in find_pairs("toy", dataset, root)[0]:
        rows, rejects, _ = measurer.measure_pair(job(root, pair, dataset.methods[pair.method]))
        frames += len(rows) + len(rejects)
        for row in rows:
            try:
                with CLOCK.step("explain"):
                    publish(said_by_evidence(row, manifest.measure.evidence), "")
            except Rejected:
                continue
    print_profile(CLOCK.take(), frames)


def job(root: Path, pair: Any, forgery: str) -> PairJob:
    return PairJob(root, pair, forgery, "", "", "")


if __name__ == "__main__":
    main()
