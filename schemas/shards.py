"""Reading and writing Parquet files of records: one schema, whole files or none."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.arrow import (
    FORMAT_VERSION,
    R,
    arrow_schema,
    from_table,
    huggingface_features,
    to_table,
)
from schemas.errors import OutputError
from schemas.records import Record

ROWS_PER_GROUP = 100
"""Rows of a row group: with pictures inside, a random row is then read in about 12 ms."""

METADATA_KEY = b"facext"


def write_records(
    path: Path, rows: Iterable[R], record: type[R], metadata: Mapping[str, Any] | None = None
) -> Path:
    """Writes records to one Parquet file, which appears whole or not at all.

    Args:
        path: The file to make; an existing one is replaced.
        rows: The records, in the order to store.
        record: Their class, which decides the schema.
        metadata: JSON-able facts for the file's `facext` metadata (FICT categories, versions).

    Raises:
        OutputError: The folder cannot be written or the disk is full.
    """
    table = to_table(rows, record).replace_schema_metadata(file_metadata(record, metadata))
    return write_table(path, table)


def write_table(path: Path, table: pa.Table) -> Path:
    """Writes a table under a temporary name, syncs it, and moves it into place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, temporary, compression="zstd", row_group_size=ROWS_PER_GROUP)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def file_metadata(record: type[Record], metadata: Mapping[str, Any] | None) -> dict[bytes, bytes]:
    """Gives a file's metadata: `facext` (versions and given facts) and Hugging Face features."""
    facts = {"format_version": FORMAT_VERSION, "record": record.__name__, **(metadata or {})}
    return {
        METADATA_KEY: json.dumps(facts, sort_keys=True).encode(),
        b"huggingface": huggingface_features(record).encode(),
    }


def read_records(paths: Path | Sequence[Path], record: type[R]) -> list[R]:
    """Reads whole files back as records.

    Raises:
        OutputError: A file is damaged or has another schema; the message names it.
    """
    rows: list[R] = []
    for path in [paths] if isinstance(paths, Path) else paths:
        rows.extend(from_table(read_table(path, record), record))
    return rows


def read_table(path: Path, record: type[Record]) -> pa.Table:
    """Reads one file as a table after checking that its schema is the record's."""
    try:
        table = pq.read_table(path, partitioning=None)
    except (pa.ArrowInvalid, OSError) as error:
        raise OutputError(f"{path} cannot be read as Parquet: {error}") from error
    expected = arrow_schema(record)
    if not table.schema.equals(expected):
        strange = sorted(set(table.schema.names) ^ set(expected.names))
        raise OutputError(
            f"{path} does not have the schema of {record.__name__} "
            f"(format {FORMAT_VERSION}); fields that differ: {strange or 'their types'}"
        )
    return table


def read_metadata(path: Path) -> dict[str, Any]:
    """Gives the `facext` metadata of a file: versions and FICT categories."""
    metadata = pq.read_schema(path).metadata or {}
    facts: dict[str, Any] = json.loads(metadata.get(METADATA_KEY, b"{}"))
    return facts
