"""Makes a release: gate, files, figures, card, formats, checksums, and then one rename.

Everything is written into a temporary folder beside its place, so that a release is there whole or
not at all; a version that is there is never touched.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pyarrow as pa
import pyarrow.compute as pc

from release import card, croissant, figures
from release.formats import FORMATS, check_formats, images
from release.gate import Result, Scene, check_dataset, check_text
from release.held import Held, hold, write_withheld
from release.parts import Job, Progress, write_parts
from release.place import new_folder, publish
from release.processes import Processes
from release.released import FACTS, open_release
from release.seal import write_checksums
from release.source import (
    Source,
    check_shards,
    check_version,
    open_tables,
)
from release.takedown import TakenDown
from schemas.errors import OutputError, UsageError
from schemas.provenance import file_hash
from schemas.records import Reject
from schemas.shards import read_table, write_table

WITHHELD = "withheld.csv"
REJECTS = "rejects.parquet"


@dataclass(frozen=True)
class Order:
    """What is to be released how.

    Attributes:
        version: Version, like `1.0.2`.
        folder: The release's folder, which must not exist.
        with_pixels: Whether crops are passed on.
        formats: Exports to add, names of `release.formats.FORMATS`.
        workers: Processes.
    """

    version: str
    folder: Path
    with_pixels: bool
    formats: tuple[str, ...] = ()
    workers: int = 1


@dataclass(frozen=True)
class Outcome:
    """What became of it.

    Attributes:
        results: What each check of the gate found.
        rows: Released rows by split.
        withheld: Rows that were left out, by reason.
        unmatched: Entries of the take-down list that name nothing of the dataset.
        outdated: Rows that were reviewed only before their labels changed.
        passed: Whether there is a release now.
    """

    results: Sequence[Result]
    rows: Counter[str]
    withheld: Counter[str]
    unmatched: Sequence[str]
    outdated: int
    passed: bool

    @property
    def remarks(self) -> list[str]:
        """Gives what somebody should look at, though it stops no release."""
        told = [
            f"the take-down list names nothing of this dataset: {one}" for one in self.unmatched
        ]
        if self.outdated:
            told.append(f"{self.outdated} rows were reviewed before their labels changed: again?")
        return told


def make_release(source: Source, order: Order, progress: Progress) -> Outcome:
    """Checks a dataset and makes a release of it, if it passes.

    Raises:
        UsageError: The version is none or there already, or a format does not exist.
        OutputError: Shards are absent, damaged or of another format, or the folder cannot be
            written; nothing is left behind.
    """
    check_version(order.version)
    check_formats(order.formats)
    if order.folder.exists():
        raise UsageError(
            f"{order.folder} is there already; a version is released once: choose a higher one"
        )
    check_shards(source)
    held = hold(source)
    with new_folder(order.folder) as folder, Processes(order.workers) as workers:
        results, rows = _gate(source, order, held, folder, workers, progress)
        passed = not any(result.failed for result in results)
        if passed:
            finish(folder, order.formats, workers)
            publish(folder, order.folder)
    return Outcome(
        results, rows, held.counts, held.down.unmatched, len(held.judged.outdated), passed
    )


def _gate(
    source: Source,
    order: Order,
    held: Held,
    folder: Path,
    workers: Processes,
    progress: Progress,
) -> tuple[list[Result], Counter[str]]:
    """Runs all checks; writes the rows and what is told of them on the way."""
    with open_tables(source.shards, source.rejects) as tables:
        scene = Scene(source, tables, order.with_pixels, held)
        results = check_dataset(scene)
    facts = _facts(source, order)
    checked = write_parts(_jobs(source, order, held, folder, facts), workers, progress)
    results += checked.results.values()
    if not checked.rows.total():
        raise OutputError(f"no row of '{source.name}' is left to release")
    write_table(folder / REJECTS, _rejects(source, held.down))
    write_withheld(folder / WITHHELD, held)
    text = source.measure_text(sorted(folder.glob("data/*/*.parquet")), workers)
    results.append(check_text(source, text))
    told = {
        "text": text,
        "truth": dict(source.truth),
        "bench": dict(source.bench),
        "bounds": source.settings.model_dump(mode="json", include={"truth", "text"}),
        "costs": figures.count_costs(source.costs),
        "withheld": dict(held.counts),
        "checks": [result.name for result in results],
        "formats": list(order.formats),
        "splits_may_leak": source.dataset.splits_may_leak,
        "reviewed": len(held.judged.decisions.keys() - held.reasons.keys()),
    }
    text_of_facts = json.dumps(facts | told, sort_keys=True, indent=1, allow_nan=True)
    (folder / FACTS).write_text(text_of_facts + "\n", encoding="utf-8")
    return results, checked.rows


def _facts(source: Source, order: Order) -> dict[str, Any]:
    """Gives what every file of the release says of it."""
    facts = source.facts()
    encoder = f"OpenCV {cv2.__version__}, JPEG quality {facts['measure']['crop_quality']}"
    release = {"version": order.version, "pixels": order.with_pixels, "encoder": encoder}
    return facts | {"record": "ReleasedFrame", "release": release}


def _jobs(
    source: Source, order: Order, held: Held, folder: Path, facts: Mapping[str, Any]
) -> list[Job]:
    side = int(facts["measure"]["crop_size"])
    ids = frozenset(held.reasons)
    return [
        Job(shard, folder / "data", ids, order.with_pixels, facts, (side, side))
        for shard in source.shards
    ]


def _rejects(source: Source, down: TakenDown) -> pa.Table:
    rejects = read_table(source.rejects, Reject)
    named = pc.is_in(rejects["id"], pa.array(sorted(down.rejects), pa.string()))
    return rejects.filter(pc.invert(named))


def finish(folder: Path, formats: Sequence[str], workers: Processes) -> None:
    """Adds to the rows what is made from them: formats, card, Croissant, checksums."""
    released = open_release(folder)
    exports = [(folder, name, split) for name in formats for split in released.splits]
    for _ in workers.map(_export, exports):
        pass
    if released.with_pixels and any(FORMATS[name].pictures for name in formats):
        images.write(released, folder / "images")
    (folder / "README.md").write_text(card.page(released), encoding="utf-8")
    hashes = {path.relative_to(folder).as_posix(): file_hash(path) for path in released.files}
    croissant.write(released, hashes)
    write_checksums(folder, hashes)


def _export(job: tuple[Path, str, str]) -> None:
    """Writes one split of a release in one format."""
    folder, name, split = job
    (folder / name).mkdir(exist_ok=True)
    FORMATS[name].write(open_release(folder), split, folder / name)
