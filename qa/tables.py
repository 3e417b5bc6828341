"""The statistics of a dataset as Parquet tables, by DuckDB over its shards.

A table is a query in `qa/sql/`. Pixels and masks are never read, and memory stays flat. Tables that
count annotated frames hold a row for all of them, for each method, compression, split, turn of the
head and size of the face, and for each method at each compression: `by` names the columns that a
row is of, the others are null.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import duckdb

from schemas.arrow import arrow_schema
from schemas.errors import OutputError
from schemas.records import AnnotatedFrame, Cost, Record, Reject
from schemas.releasing import ReleasedFrame
from schemas.shards import (
    DAMAGE,
    check_schema,
    check_whole,
    damage_in,
    read_metadata,
    write_table,
)

QUERIES = Path(__file__).parent / "sql"
TABLES = ("frames", "histograms", "regions", "evidence", "claims", "verdicts", "rejects", "costs")
DIMENSIONS = ("method", "compression", "split", "pose", "size")
SETS = ((), *((name,) for name in DIMENSIONS), ("method", "compression"))
"""What the frames are grouped by, one after the other."""
YAW_DEG = (0, 15, 30, 45, 60)
FACE_PX = (0, 60, 120, 240, 480)
"""Lower edges of the bands of pose and size."""
MEMORY = "256MB"
FRAMES: dict[str, type[AnnotatedFrame]] = {
    record.__name__: record for record in (AnnotatedFrame, ReleasedFrame)
}
"""Records whose files are shards, by the name in a file's metadata."""


@dataclass(frozen=True)
class Source:
    """The files of an annotated dataset.

    Attributes:
        name: What it is called.
        shards: Parquet files of annotated or released frames; may be none.
        rejects: Parquet file of rejects; may be absent.
        costs: Parquet file of the captioning requests; may be absent.
    """

    name: str
    shards: tuple[Path, ...]
    rejects: Path
    costs: Path

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Makes what reading a damaged file raises one error.

        Raises:
            OutputError: A file is damaged; the message names it and says what to do.
        """
        try:
            yield
        except (duckdb.Error, *DAMAGE) as error:
            record = _shard_record(self.shards)
            found = damage_in(self.shards, record, error)
            raise OutputError(f"cannot count {self.name}: {found}; {self.remedy}") from error

    @property
    def remedy(self) -> str:
        """Says how a damaged file is made again: what is finished is not done anew."""
        return f"remove it and run: facext annotate {self.name} --resume=if-possible"


def bands(name: str, unit: str, edges: Sequence[int]) -> list[str]:
    """Gives the names of the bands between edges, lowest first."""
    names = [f"{name} {low} to {high} {unit}" for low, high in pairwise(edges)]
    return [*names, f"{name} from {edges[-1]} {unit}"]


POSES = bands("|yaw|", "°", YAW_DEG)
SIZES = bands("face", "px", FACE_PX)


def connect(source: Source, memory: str = MEMORY) -> duckdb.DuckDBPyConnection:
    """Opens a dataset in DuckDB: the views `shards`, `rejects`, `costs` and `rows`.

    Raises:
        OutputError: A file is damaged or of another format; the message names it.
    """
    for path, kind in ((source.rejects, Reject), (source.costs, Cost)):
        try:
            if path.is_file():
                check_whole(path, kind)
        except OutputError as error:
            raise OutputError(f"{error}; {source.remedy}") from error
    con = duckdb.connect(config={"threads": 2, "memory_limit": memory})
    _view(con, "shards", source.shards, _shard_record(source.shards))
    _view(con, "rejects", [source.rejects], Reject)
    _view(con, "costs", [source.costs], Cost)
    pose, size = _band("abs(yaw)", YAW_DEG, POSES), _band("face_px", FACE_PX, SIZES)
    con.execute((QUERIES / "rows.sql").read_text().format(pose=pose, size=size))
    return con


def _shard_record(shards: Sequence[Path]) -> type[AnnotatedFrame]:
    """Gives the record of a dataset's rows, as the first of its files says."""
    named = read_metadata(shards[0]).get("record", "") if shards else ""
    return FRAMES.get(named, AnnotatedFrame)


def _view(
    con: duckdb.DuckDBPyConnection, name: str, paths: Sequence[Path], record: type[Record]
) -> None:
    """Makes a view of files that are there, or an empty one."""
    found = [path for path in paths if path.is_file()]
    for path in found:
        check_schema(path, record)
    if found:
        files = con.read_parquet([str(path) for path in found], file_row_number=True)
        files.project("*, file_index").create_view(name)
    else:
        con.from_arrow(arrow_schema(record).empty_table()).create(name)


def _band(value: str, edges: Sequence[int], names: Sequence[str]) -> str:
    """Writes the SQL that names a value's band."""
    lower = list(zip(edges, names, strict=True))[1:]
    cases = " ".join(f"WHEN {value} >= {edge} THEN '{name}'" for edge, name in reversed(lower))
    return f"CASE {cases} ELSE '{names[0]}' END"


def query(table: str) -> str:
    """Gives the SQL of a table, over the views of `connect`."""
    named = " ".join(f"WHEN {_mask(group)} THEN '{', '.join(group) or 'all'}'" for group in SETS)
    grouped = ", ".join(DIMENSIONS)
    return (
        (QUERIES / f"{table}.sql")
        .read_text()
        .format(
            dimensions=grouped,
            by=f'CASE GROUPING({grouped}) {named} END AS "by", {grouped}',
            sets="GROUPING SETS (" + ", ".join(f"({', '.join(group)})" for group in SETS) + ")",
        )
    )


def _mask(group: tuple[str, ...]) -> int:
    """Gives what `GROUPING` is where a row is of these columns: a bit for each of the others."""
    return sum((name not in group) << place for place, name in enumerate(reversed(DIMENSIONS)))


def write_tables(source: Source, folder: Path) -> Path:
    """Writes the tables of a dataset, one Parquet file each.

    Args:
        source: The dataset.
        folder: Where to; made where it is absent.

    Returns:
        The folder.

    Raises:
        OutputError: A file of the dataset is damaged, or the folder cannot be written.
    """
    with connect(source) as con:
        for table in TABLES:
            with source.reading():
                counted = con.sql(query(table)).to_arrow_table()
            write_table(folder / f"{table}.parquet", counted)
    return folder
