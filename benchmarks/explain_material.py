"""What the bench of the captioning client asks about: many measured frames, no two alike.

Faces are forged and measured by the real stages; the frames are then repeated under other names,
with measurements that differ by hundredths, so that no prompt is a repetition of another one.
Pictures, masks and regions are of real size and number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from annotators.pipeline import frame_id
from flows import stages
from flows.run import PlannedPair, Progress, Run
from flows.units import Store, unit_id
from schemas.manifest import Manifest, load_manifest
from schemas.records import AnnotatedFrame, MeasuredFrame, Pair
from schemas.shards import read_records, write_records
from sources.forge import forge

NAME = "forged"
METHODS = {
    "IdentitySwap": "identity swap",
    "MouthWarp": "expression reenactment",
    "SkinSmoothing": "attribute edit",
    "LipRecolour": "attribute edit",
    "NoseReshape": "attribute edit",
    "EyeReshape": "attribute edit",
}
"""From one region with two measurements to twelve regions with fifty."""
LEVEL = "c23"
FRAMES = 4
"""Frames of a pair, as in the project's own manifest."""
CLIP = 12
"""Frames of each forged clip."""
UNITS = "measured"
MANIFEST = "manifest.yaml"
STEP = 0.01
"""Measurements are told in hundredths."""
STEPS = 8
"""Values of one measurement; then the next one changes, too."""

DATASET = {
    "title": "Forged faces, repeated",
    "real": "original_sequences/youtube/{compression}/videos/{target}.mp4",
    "fake": "manipulated_sequences/{method}/{compression}/videos/{target}_{source}.mp4",
    "compressions": [LEVEL],
    "licence": {"name": "public domain (NASA, United States Navy)", "redistribute_pixels": True},
}


@dataclass(frozen=True)
class Material:
    """Measured pairs, ready to be explained.

    Attributes:
        folder: Temporary folder of the whole bench.
        base: The run that measured what is repeated.
        pairs: The pairs, all of as many records.
    """

    folder: Path
    base: Run
    pairs: tuple[PlannedPair, ...]

    @property
    def frames(self) -> int:
        """Records of a pair."""
        return self.base.manifest.measure.frames

    @property
    def records(self) -> int:
        """Records of all pairs."""
        return self.frames * len(self.pairs)

    def first(self, records: int) -> list[PlannedPair]:
        """Gives the first pairs that hold so many records."""
        return list(self.pairs[: math.ceil(records / self.frames)])

    def measured(self, records: int) -> list[MeasuredFrame]:
        """Gives the first records."""
        store = Store(self.folder / UNITS, MeasuredFrame)
        return store.rows(pair.measure_unit for pair in self.first(records))[:records]

    def run(
        self, part: str, records: int, server: dict[str, Any], **explain: Any
    ) -> tuple[Run, list[PlannedPair]]:
        """Makes a run of its own over the first pairs; its manifest and plan lie in its folder.

        Args:
            part: Its name; its results lie apart from those of other parts.
            records: Records that it explains, rounded up to whole pairs.
            server: The server's block of the manifest.
            explain: Keys of the manifest's block `explain`.
        """
        changed = {
            "output": str(self.folder / part),
            "explain": {"explainer": "mllm", "mllm": "captioner", **explain},
            "mllms": {"captioner": {"model": "scripted", **server}},
        }
        content = self.base.manifest.model_dump(mode="json") | changed
        run = Run(self.base.name, Manifest.model_validate(content))
        units = run.output / "units"
        units.mkdir(parents=True, exist_ok=True)
        if not (units / "measure").exists():
            (units / "measure").symlink_to(self.folder / UNITS, target_is_directory=True)
        write_records(run.plan_path, self.first(records), PlannedPair)
        (run.output / MANIFEST).write_text(yaml.safe_dump(content), encoding="utf-8")
        return run, self.first(records)


def planned_run(folder: Path) -> tuple[Run, list[PlannedPair]]:
    """Reads a run of `Material.run` back from its folder."""
    run = Run(folder.name, load_manifest(folder / MANIFEST))
    return run, read_records(run.plan_path, PlannedPair)


def forged(folder: Path, progress: Progress, workers: int = 1) -> Run:
    """Forges and measures the faces that are repeated.

    Args:
        folder: Folder of the videos and the run.
        progress: Is told how far it is.
        workers: Processes.
    """
    root = folder / "source"
    forge(
        root,
        methods=tuple(METHODS),
        frames=CLIP,
        compressions=(LEVEL,),
        workers=workers,
        progress=lambda done, total: progress("forge", done, total),
    )
    content = {
        "output": str(folder / "base"),
        "measure": {"frames": FRAMES},
        "datasets": {NAME: DATASET | {"root": str(root), "methods": METHODS}},
    }
    run = Run(NAME, Manifest.model_validate(content), workers)
    stages.measure(run, stages.plan(run).pairs, progress)
    return run


def repeat(folder: Path, base: Run, records: int, progress: Progress) -> Material:
    """Repeats measured pairs.

    Args:
        folder: Where they are stored.
        base: A run whose pairs are measured; those with a frame of which nothing can be said are
            left out.
        records: Records to make, rounded up to whole pairs.
        progress: Is told how far it is.
    """
    store = Store(folder / UNITS, MeasuredFrame)
    planned = read_records(base.plan_path, PlannedPair)
    frames = base.manifest.measure.frames
    measured = [(pair, base.measured.rows([pair.measure_unit])) for pair in planned]
    whole = [
        (pair, rows)
        for pair, rows in measured
        if len(rows) == frames and all(any(e.significant for e in row.evidence) for row in rows)
    ]
    pairs = []
    number = math.ceil(records / frames)
    for n in range(number):
        pair, rows = whole[n % len(whole)]
        pairs.append(_repeated(store, pair, rows, n // len(whole)))
        progress("repeat", n + 1, number)
    return Material(folder, base, tuple(pairs))


def _repeated(
    store: Store[MeasuredFrame], pair: PlannedPair, rows: Sequence[MeasuredFrame], copy: int
) -> PlannedPair:
    """Stores one repetition of a pair as a measured unit; gives its row of the plan."""
    unit = unit_id({"measured": pair.measure_unit, "copy": copy})
    changed = {"measure_unit": unit, "explain_unit": unit_id({"parent": unit})}
    repeated = pair.model_copy(update=changed | {"pair": f"{pair.pair}-{copy:05d}"})
    store.commit(unit, [differing(row, repeated, copy) for row in rows], [])
    return repeated


def differing(row: MeasuredFrame, pair: Pair, copy: int) -> MeasuredFrame:
    """Gives a frame to another pair, and its significant measurements another size.

    Only significant ones grow, so that what is true of them stays true. The number of the copy is
    written into them digit by digit: no two copies have the same measurements.
    """
    evidence = list(row.evidence)
    significant = [n for n, one in enumerate(evidence) if one.significant]
    for n in significant:
        is_last = n == significant[-1]
        copy, step = (0, copy) if is_last else divmod(copy, STEPS)
        effect = evidence[n].effect + STEP * step
        evidence[n] = evidence[n].model_copy(update={"effect": effect})
    return row.model_copy(
        update={
            "id": frame_id(pair, row.frame_index),
            "pair": pair.pair,
            "evidence": tuple(evidence),
        }
    )


def rows_of(run: Run, pairs: Sequence[PlannedPair]) -> list[AnnotatedFrame]:
    """Gives the rows of the explained pairs."""
    return run.explained.rows(explained(run, pairs))


def explained(run: Run, pairs: Sequence[PlannedPair]) -> list[str]:
    """Gives the units of the pairs that are explained."""
    return [pair.explain_unit for pair in pairs if run.explained.is_stored(pair.explain_unit)]
