"""What people decided of the rows as they are now: a review is of the labels that were seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from release.source import Source
from schemas.errors import OutputError
from schemas.reviews import LABELS, Judged, labels_hash, weigh
from schemas.shards import DAMAGE


def judge(source: Source) -> Judged:
    """Gives the decisions that hold: those on labels that the rows still have.

    Raises:
        OutputError: A shard is damaged.
    """
    wanted = {review.id for review in source.reviews}
    now = {row["id"]: labels_hash(row) for row in _rows(source.shards, wanted)}
    return weigh(source.reviews, now)


def _rows(shards: Sequence[Path], wanted: set[str]) -> Iterator[dict[str, Any]]:
    """Gives the labels of the wanted rows; memory holds a row group."""
    ids = pa.array(sorted(wanted), pa.string())
    for shard in shards if wanted else ():
        try:
            with pq.ParquetFile(shard) as file:
                for number in range(file.num_row_groups):
                    here = pc.is_in(file.read_row_group(number, columns=["id"])["id"], ids)
                    if pc.any(here).as_py():
                        group = file.read_row_group(number, columns=["id", *LABELS])
                        yield from group.filter(here).to_pylist()
        except DAMAGE as error:
            raise OutputError(f"the shard {shard} is damaged: {error}") from error
