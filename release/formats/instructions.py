"""Parquet with one question a row, for tuning: `instructions/<split>/*.parquet`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq

from release.released import Released
from schemas.arrow import arrow_schema, to_table
from schemas.releasing import Instruction, file_name
from schemas.shards import file_metadata

ROWS_PER_GROUP = 2000


def write(released: Released, split: str, folder: Path) -> None:
    """Writes one split."""
    path = folder / split / "questions.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = file_metadata(Instruction, {"release": released.facts["release"]})
    schema = arrow_schema(Instruction).with_metadata(metadata)
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        questions = _questions(released, split)
        while some := list(islice(questions, ROWS_PER_GROUP)):
            file.write_table(to_table(some, Instruction))


def _questions(released: Released, split: str) -> Iterator[Instruction]:
    for row in released.pictured(split):
        for number, one in enumerate(row.questions):
            yield Instruction(
                id=f"{row.id}-{one.image}-{number:02d}", row=row.id,
                image=file_name(row.id, one.image), side=one.image, method=row.method,
                **{name: getattr(one, name) for name in type(one).model_fields if name != "image"},
            )  # fmt: skip
