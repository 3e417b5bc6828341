"""Parquet with one question a row, for tuning: `instructions/<split>/*.parquet`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from release.released import Released
from schemas.arrow import arrow_schema
from schemas.releasing import Instruction, file_name
from schemas.shards import file_metadata

ROWS_PER_GROUP = 2000


def write(released: Released, split: str, folder: Path) -> None:
    """Writes one split."""
    path = folder / split / "questions.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = file_metadata(Instruction, {"release": released.facts["release"]})
    schema = arrow_schema(Instruction).with_metadata(metadata)
    questions = map(_questions, released.pictured(split, ("id", "method", "questions")))
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for group in _groups(questions):
            file.write_table(group)


def _questions(table: pa.Table) -> pa.Table:
    """Gives the questions of some rows, one a row."""
    lists = table["questions"].combine_chunks()
    asked, whose = lists.flatten(), pc.list_parent_indices(lists)
    rows, sides = table["id"].take(whose), pc.struct_field(asked, "image")
    firsts = np.concatenate([[0], np.cumsum(pc.list_value_length(lists))])
    numbers = np.arange(len(asked)) - firsts[whose]
    named = list(zip(rows.to_pylist(), sides.to_pylist(), numbers.tolist(), strict=True))
    columns = {field.name: pc.struct_field(asked, field.name) for field in asked.type} | {
        "id": pa.array([f"{row}-{side}-{number:02d}" for row, side, number in named], pa.string()),
        "row": rows,
        "image": pa.array([file_name(row, side) for row, side, _ in named], pa.string()),
        "side": sides,
        "method": table["method"].take(whose),
    }
    schema = arrow_schema(Instruction)
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Cuts tables into row groups, whatever they were cut into before."""
    left = arrow_schema(Instruction).empty_table()
    for table in tables:
        left = pa.concat_tables([left, table])
        while left.num_rows >= ROWS_PER_GROUP:
            yield left.slice(0, ROWS_PER_GROUP).combine_chunks()
            left = left.slice(ROWS_PER_GROUP)
    if left.num_rows:
        yield left.combine_chunks()
