"""Annotated forgeries for the model to learn from: many small clips through the real pipeline.

Each clip is filmed, forged, encoded, decoded, measured, explained by its measurements and asked
about as any pair is; only the frame is small, so that thousands of rows take minutes. Training and
held-out clips are of the same two portraits and operations; camera, noise, light, turn of the head,
size of the face, strength, mixture and compression are drawn anew for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from annotators.diff import diff
from annotators.pipeline import Measurer, PairJob
from annotators.publish import publish, said_by_evidence
from benchmarks.truth import play
from fict.tree import load_tree
from flows.compact import categories
from schemas.errors import Rejected
from schemas.manifest import Measure
from schemas.provenance import source_hash
from schemas.records import AnnotatedFrame
from schemas.shards import read_metadata, write_records
from sources.forge import Case, sample_cases
from sources.forge.cases import fitting
from sources.forge.design import STRENGTHS
from sources.forge.methods import METHODS
from sources.forge.mixture import distinct
from sources.forge.operation import Operation
from sources.forge.operations import OPERATIONS

SIZE, FACE_SHARE = (240, 320), 0.5
"""Height and width of a frame, and its faces' sizes as a share of the forge's usual ones."""
SETTINGS = Measure(frames=2, context=3, crop_size=192, crop_margin=1.3)
"""Little around the face: a small model sees few pixels."""
RETOUCHES = (
    "tan_forehead", "sharpen_forehead", "darken_brows", "lighten_brows", "remove_brows",
    "blush_cheeks", "redden_nose", "bluish_chin",
)  # fmt: skip
"""Beside the toy methods' operations: other kinds of change of the same regions."""
WEAKEST = 0.5
"""Weaker changes are barely seen by a person, too."""
CODE = ("schemas", "fict", "sources", "annotators", "benchmarks/forged_rows.py")

Progress = Callable[[str, int, int], None]


def forged_shard(
    path: Path, seed: int, cases: int, workers: int = 1, progress: Progress | None = None
) -> Path:
    """Makes a shard of forged rows, or leaves one that is already there as the same code made it.

    Args:
        path: The shard.
        seed: Decides the cases.
        cases: Clips to forge; each gives at most two rows, a rejected frame none.
        workers: Processes.
        progress: Called as `(stage, done, total)`.
    """
    facts = {"seed": seed, "cases": cases, "code": source_hash(*CODE)}
    if path.is_file() and read_metadata(path).get("forged") == facts:
        return path
    rows: list[AnnotatedFrame] = []
    for done, found in enumerate(_each(_cases(seed, cases), workers), 1):
        rows += found
        if progress:
            progress(f"forging {path.stem}", done, cases)
    fict = {"version": load_tree().version, "categories": categories()}
    return write_records(path, rows, AnnotatedFrame, {"fict": fict, "forged": facts})


def operations() -> tuple[str, ...]:
    """Gives the operations of the set: those of the toy dataset, and some retouches."""
    toy = {variant.operation for variants in METHODS.values() for variant in variants}
    return (*sorted(toy - {""}), *RETOUCHES)


def _cases(seed: int, count: int) -> list[Case]:
    """Gives forgeries of one or two operations, without occluders and controls."""
    rng = np.random.default_rng([seed, 9])
    plain = [case for case in sample_cases(seed, 2 * count) if not case.control][:count]
    cases = [_forgery(case, f"{seed}-{case.name[:4]}", rng) for case in plain]
    return sorted(cases, key=lambda case: (case.picture.name, case.look, case.face))  # few stills


def _forgery(case: Case, name: str, rng: np.random.Generator) -> Case:
    small = replace(
        case,
        name=name,
        compression="c23" if case.compression == "c40" else case.compression,
        occluder=None,
        frames=SETTINGS.frames * SETTINGS.context,
        size=SIZE,
        face=round(FACE_SHARE * case.face),
    )
    chosen: list[Operation] = []
    for each in rng.permutation(sorted(set(operations()) & fitting(small))):
        if len(chosen) < 1 + rng.integers(2) and distinct([*chosen, OPERATIONS[each]]):
            chosen.append(OPERATIONS[each])
    strengths = rng.choice([s for s in STRENGTHS if s >= WEAKEST], len(chosen))
    return replace(
        small, operations=tuple((o.name, float(s)) for o, s in zip(chosen, strengths, strict=True))
    )


def _each(cases: Sequence[Case], workers: int) -> Iterator[list[AnnotatedFrame]]:
    if workers == 1:
        yield from map(annotate_case, cases)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(annotate_case, cases, chunksize=8)


def annotate_case(case: Case) -> list[AnnotatedFrame]:
    """Forges a case and gives its rows; a frame that the pipeline rejects has none."""
    measurer = Measurer(SETTINGS)
    film, pair, clip = play(case, measurer)
    assert film.mixture, "only forgeries are asked for"
    forgery = film.mixture.parts[0][0].forgery
    named = pair.model_copy(update={"method": case.operations[0][0], "dataset": "forged"})
    job = PairJob(Path("/"), named, forgery, "", "", "bench")
    rows = []
    for crop, found in clip.chosen(diff(clip.crops, SETTINGS.diff)):
        try:
            frame = measurer.measure_frame(job, crop, found)
            rows.append(publish(said_by_evidence(frame, SETTINGS.evidence), "bench"))
        except Rejected:
            continue
    return rows
