"""Reading and writing Parquet files of records: one schema, whole files or none."""

from __future__ import annotations

import itertools
import json
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
from schemas.atomic import whole_file
from schemas.errors import OutputError
from schemas.records import Record

ROWS_PER_GROUP = 100
"""Rows of a row group: with pictures inside, a random row is then read in about 12 ms."""

METADATA_KEY = b"facext"

DAMAGE = (pa.ArrowException, OSError, ValueError)
"""What reading a damaged file raises: of Arrow, of the system, of text that is no UTF-8."""


def write_records(
    path: Path, rows: Iterable[R], record: type[R], metadata: Mapping[str, Any] | None = None
) -> Path:
    """Writes records to one Parquet file, which appears whole or not at all.

    Memory holds one row group at a time, so `rows` may be a generator of any length.

    Args:
        path: The file to make; an existing one is replaced.
        rows: The records, in the order to store.
        record: Their class, which decides the schema.
        metadata: JSON-able facts for the file's `facext` metadata (FICT categories, versions).

    Raises:
        OutputError: The folder cannot be written or the disk is full.
    """
    schema = arrow_schema(record).with_metadata(file_metadata(record, metadata))
    left = iter(rows)
    with whole_file(path) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        group = list(itertools.islice(left, ROWS_PER_GROUP))
        writer.write_table(to_table(group, record))
        while group := list(itertools.islice(left, ROWS_PER_GROUP)):
            writer.write_table(to_table(group, record))
    return path


def write_table(path: Path, table: pa.Table) -> Path:
    """Writes a table whole or not at all."""
    with whole_file(path) as file:
        pq.write_table(table, file, compression="zstd", row_group_size=ROWS_PER_GROUP)
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
        table = read_table(path, record)
        try:
            rows.extend(from_table(table, record))
        except DAMAGE as error:
            raise OutputError(f"{path} is damaged: {error}") from error
    return rows


def read_table(path: Path, record: type[Record], columns: Sequence[str] | None = None) -> pa.Table:
    """Reads one file, or some of its columns, after checking that its schema is the record's."""
    check_schema(path, record)
    try:
        with pq.ParquetFile(path) as file:
            return file.read(columns and list(columns))
    except DAMAGE as error:
        raise OutputError(f"{path} cannot be read as Parquet: {error}") from error


def check_whole(path: Path, record: type[Record]) -> None:
    """Checks that all of a file can be read, and that its text is text; memory holds a row group.

    Raises:
        OutputError: It is damaged or of another format; the message names it.
    """
    check_schema(path, record)
    try:
        with pq.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                file.read_row_group(number).validate(full=True)
    except DAMAGE as error:
        why = " ".join(str(error).split())  # Arrow says it in lines
        raise OutputError(f"{path} is damaged: {why}") from error


def damage_in(paths: Sequence[Path], record: type[Record], error: Exception) -> OutputError:
    """Gives the error that names the damaged one of several files, which it reads until it is met.

    Args:
        paths: The files.
        record: Their record.
        error: What was said where all were read as one.
    """
    for path in paths:
        try:
            check_whole(path, record)
        except OutputError as found:
            return found
    return OutputError(f"one of {', '.join(map(str, paths[:3]))} ... is damaged: {error}")


def check_schema(path: Path, record: type[Record]) -> None:
    """Checks that a file is Parquet and has a record's schema; reads its footer alone.

    Raises:
        OutputError: It is damaged or of another format; the message names it.
    """
    try:
        schema = pq.read_schema(path)
    except DAMAGE as error:
        raise OutputError(f"{path} cannot be read as Parquet: {error}") from error
    expected = arrow_schema(record)
    if not schema.equals(expected):
        strange = sorted(set(schema.names) ^ set(expected.names))
        raise OutputError(
            f"{path} does not have the schema of {record.__name__} "
            f"(format {FORMAT_VERSION}); fields that differ: {strange or 'their types'}"
        )


def read_metadata(path: Path) -> dict[str, Any]:
    """Gives the `facext` metadata of a file: versions and FICT categories.

    Raises:
        OutputError: The file is absent or damaged.
    """
    try:
        metadata = pq.read_schema(path).metadata or {}
        facts: dict[str, Any] = json.loads(metadata.get(METADATA_KEY, b"{}"))
    except DAMAGE as error:
        raise OutputError(f"{path} cannot be read as Parquet: {error}") from error
    return facts
