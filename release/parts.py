"""From shards to the Parquet files of a release: each shard is read once, a row group at a time.

The rows are checked and written in the same pass; the files lie in a temporary folder until the
whole gate is passed. A shard gives one file in the folder of each split, so that shards can be done
side by side and the result does not depend on who did them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from release.gate import Failure, Result
from release.processes import Processes
from release.rows import PICTURES, ROW_CHECK_NAMES, ROW_CHECKS, Size, pixel_hash
from release.values import strange_columns
from schemas.arrow import arrow_schema
from schemas.errors import OutputError
from schemas.records import AnnotatedFrame, Side
from schemas.releasing import ReleasedFrame
from schemas.shards import DAMAGE, ROWS_PER_GROUP, file_metadata

UNSPLIT = "unsplit"
"""Split of the rows that the source gives none."""
_SPLIT = re.compile(r"\w+")
SIDES: tuple[Side, ...] = ("real", "fake")
CHECKED = (
    "id", "artifact", "regions", "explanation", "explanation_masks", "claims", "claims_supported",
    "dropped", "questions", *SIDES,
)  # fmt: skip
"""Columns that the checks of rows look at."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Job:
    """One shard to check and write.

    Attributes:
        shard: The shard.
        data: Folder that the split folders are made in.
        held: Ids of rows to leave out.
        with_pixels: Whether crops are kept.
        facts: `facext` metadata of the files.
        size: Height and width of the crops.
    """

    shard: Path
    data: Path
    held: frozenset[str]
    with_pixels: bool
    facts: Mapping[str, Any]
    size: Size


@dataclass
class Checked:
    """What was found in rows and how many were written, by split."""

    results: dict[str, Result] = field(
        default_factory=lambda: {name: Result(name) for name in ROW_CHECK_NAMES}
    )
    rows: Counter[str] = field(default_factory=Counter)

    def join(self, other: Checked) -> None:
        """Adds what was found in another shard."""
        for name, result in other.results.items():
            self.results[name].join(result)
        self.rows += other.rows


def write_parts(jobs: Sequence[Job], workers: Processes, progress: Progress) -> Checked:
    """Checks and writes all shards.

    Args:
        jobs: The shards.
        workers: Who does them.
        progress: Called after each shard.

    Raises:
        OutputError: A shard is damaged inside, or the folder cannot be written.
    """
    checked = Checked()
    for done, found in enumerate(workers.map(write_part, jobs), start=1):
        checked.join(found)
        progress("release", done, len(jobs))
    return checked


def write_part(job: Job) -> Checked:
    """Checks and writes one shard."""
    checked = Checked()
    try:
        with ExitStack() as stack, pq.ParquetFile(job.shard) as file:
            writers: dict[str, pq.ParquetWriter] = {}
            for number in range(file.num_row_groups):
                for rows in _released(file.read_row_group(number), job, checked):
                    split = str(rows["split"][0]) or UNSPLIT
                    if split not in writers:
                        writers[split] = stack.enter_context(_writer(job, split))
                    writers[split].write_table(rows, row_group_size=ROWS_PER_GROUP)
                    checked.rows[split] += rows.num_rows
    except DAMAGE as error:
        raise OutputError(f"cannot release {job.shard} into {job.data}: {error}") from error
    return checked


def _writer(job: Job, split: str) -> pq.ParquetWriter:
    if not _SPLIT.fullmatch(split):
        raise OutputError(f"the split {split!r} of {job.shard} cannot name a folder")
    path = job.data / split / job.shard.name
    path.parent.mkdir(parents=True, exist_ok=True)
    return pq.ParquetWriter(path, released_schema(job.facts), compression="zstd")


def released_schema(facts: Mapping[str, Any]) -> pa.Schema:
    """Gives the schema of a release's files with their metadata."""
    schema = arrow_schema(ReleasedFrame)
    return schema.with_metadata(file_metadata(ReleasedFrame, facts))


def _released(table: pa.Table, job: Job, checked: Checked) -> Iterator[pa.Table]:
    """Checks the rows of a group that are not held back, and gives them split by split."""
    if job.held:
        kept = pc.invert(pc.is_in(table["id"], pa.array(sorted(job.held), pa.string())))
        table = table.filter(kept)
    if strange := strange_columns(table, AnnotatedFrame):
        raise OutputError(
            f"the shard {job.shard} is damaged: {', '.join(strange)} may not be so in any row; "
            "remove it and run: facext annotate"
        )
    hashes = _check(table, job, checked)
    for side in SIDES:
        if not job.with_pixels:
            table = _set(table, side, pa.nulls(table.num_rows, table.schema.field(side).type))
        table = table.append_column(f"{side}_pixels_sha256", pa.array(hashes[side], pa.string()))
    table = table.cast(arrow_schema(ReleasedFrame))
    for split in sorted(set(table["split"].to_pylist())):
        yield table.filter(pc.equal(table["split"], split))


def _check(table: pa.Table, job: Job, checked: Checked) -> dict[Side, list[str]]:
    """Runs the checks of rows; gives the hashes of their pixels."""
    hashes: dict[Side, list[str]] = {"real": [], "fake": []}
    for row in table.select(CHECKED).to_pylist():
        for name, check in ROW_CHECKS.items():
            checked.results[name].add(Failure(row["id"], why) for why in check(row, job.size))
        for side in SIDES:
            found = pixel_hash(row[side] and row[side]["bytes"], job.size)
            hashes[side].append(found)
            if not found:
                why = f"the {side} crop does not decode to {job.size[0]} x {job.size[1]} pixels"
                checked.results[PICTURES].add([Failure(row["id"], why)])
    return hashes


def _set(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, column)
