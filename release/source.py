"""What a release is made from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from release.processes import Processes
from schemas.arrow import FORMAT_VERSION, arrow_schema
from schemas.datasets import Dataset
from schemas.errors import OutputError, UsageError
from schemas.records import AnnotatedFrame, Cost, Pair, Record, Reject
from schemas.releasing import Releasing
from schemas.reviews import Review
from schemas.shards import DAMAGE, check_whole, read_metadata, read_table

Figures = Mapping[str, Mapping[str, float]]
"""Figures of a text: writer, then name, to value."""

_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9a-z]+(\.[0-9a-z]+)*)?")
MEMORY = "512MB"
"""Most that DuckDB may hold; what needs more goes to disk."""


@dataclass(frozen=True)
class Source:
    """An annotated dataset with all that decides whether it may be released.

    Attributes:
        name: The dataset's name in the manifest.
        dataset: Its block of the manifest.
        settings: The manifest's block `release`.
        pairs: The pairs of the plan.
        hashes: Hashes of the real and the fake video of each pair, by its key.
        shards: The annotations, in order of their names.
        rejects: What could not be annotated.
        counted: What was counted when the shards were written: `frames` as (method, compression,
            count), `rejects` by reason.
        costs: The requests to captioning models; may be absent.
        reviews: What people decided of these rows and of earlier ones.
        truth: Figures of `facext bench truth`, by their dotted names.
        bench: Its `code` and `settings`.
        measure_text: Measures the text of shards, by writer.
    """

    name: str
    dataset: Dataset
    settings: Releasing
    pairs: Sequence[Pair]
    hashes: Mapping[str, tuple[str, str]]
    shards: Sequence[Path]
    rejects: Path
    counted: Mapping[str, Any]
    costs: Path
    reviews: Sequence[Review]
    truth: Mapping[str, float]
    bench: Mapping[str, str]
    measure_text: Callable[[Sequence[Path], Processes], Figures]

    @property
    def remedy(self) -> str:
        """Says how a damaged file is made again: what is finished is not done anew."""
        return f"remove it and run: facext annotate {self.name} --resume=if-possible"

    def facts(self) -> dict[str, Any]:
        """Gives the `facext` metadata of the first shard."""
        return read_metadata(self.shards[0])


def check_version(version: str) -> None:
    """Lets a version like `1.0.2` or `1.1.0-rc.1` pass.

    Raises:
        UsageError: It is none.
    """
    if not _VERSION.fullmatch(version):
        raise UsageError(f"'{version}' is no version; it must look like 0.1.0 or 1.0.0-rc.1")


def check_shards(source: Source) -> None:
    """Lets shards pass that can be read and have this format, with their rejects and costs.

    Raises:
        OutputError: There is none, a file is damaged, or of another format; the message names it.
    """
    again = source.remedy
    if not source.shards:
        raise OutputError(f"nothing is annotated of '{source.name}', so nothing can be released; "
                          f"run: facext annotate {source.name}")  # fmt: skip
    for shard in source.shards:
        try:
            with pq.ParquetFile(shard) as file:
                schema = file.schema_arrow
        except DAMAGE as error:
            raise OutputError(f"the shard {shard} is damaged ({error}); {again}") from error
        version = read_metadata(shard).get("format_version", "unknown")
        if version != FORMAT_VERSION or not schema.equals(arrow_schema(AnnotatedFrame)):
            raise OutputError(
                f"the shard {shard} has format {version}, this code releases {FORMAT_VERSION}; "
                f"{again}"
            )
    beside: list[tuple[Path, type[Record]]] = [(source.rejects, Reject)]
    beside += [(source.costs, Cost)] if source.costs.is_file() else []
    for path, record in beside:
        try:
            check_whole(path, record)
        except OutputError as error:
            raise OutputError(f"{error}; {again}") from error


def open_tables(shards: Sequence[Path], rejects: Path) -> duckdb.DuckDBPyConnection:
    """Opens shards and rejects as the DuckDB views `frames` and `rejects`."""
    tables = duckdb.connect(config={"threads": 2, "memory_limit": MEMORY})
    tables.read_parquet([str(path) for path in shards]).create_view("frames")
    tables.read_parquet(str(rejects)).create_view("rejects")
    return tables


def ids_of(shards: Sequence[Path]) -> Iterator[str]:
    """Gives the ids of all rows."""
    for shard in shards:
        yield from read_table(shard, AnnotatedFrame, columns=["id"])["id"].to_pylist()
