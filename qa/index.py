"""The narrow index of a dataset: one line per frame, without pixels, masks and text.

It is one Parquet file, made once beside the statistics; whatever the dashboard counts, filters or
sorts is one query over it. A stamp tells whether the shards are still those that it was made from.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from fict.tree import load_tree
from qa.tables import QUERIES, Source, connect, write_tables
from schemas.atomic import whole_file, write_text
from schemas.errors import OutputError
from schemas.provenance import source_hash

NONE = "none"
"""Stands in a filter for the empty value of a column, such as the split of frames without one."""
SORTS = {
    "order": "n",
    "least sure": "confidence * stability, n",
    "most sure": "confidence * stability DESC, n",
    "largest mask": "mask_share DESC, n",
    "smallest mask": "mask_share, n",
}
VERDICTS = ("supported", "contradicted", "untestable", "refused")
ROWS = 20_000
"""Lines of a row group of the index."""
LISTED = ("regions", "evidence")
"""Columns that hold several values a frame."""


class Filter(BaseModel):
    """Which frames are looked at, and in which order; an empty value leaves all."""

    model_config = ConfigDict(frozen=True)

    method: str = ""
    compression: str = ""
    split: str = ""
    writer: str = ""
    verdict: str = ""
    region: int = 0
    evidence: str = ""
    least: float = 0.0
    most: float = 1.0
    search: str = ""
    sort: str = "order"

    @classmethod
    def of(cls, given: dict[str, str]) -> Filter:
        """Reads a filter from an address; what it does not know or understand is left out."""
        kept: dict[str, Any] = {}
        for name, field in cls.model_fields.items():
            try:
                kept[name] = type(field.default)(given[name])
            except (KeyError, ValueError):
                continue
        if kept.get("sort") not in SORTS:
            kept.pop("sort", None)
        if kept.get("verdict") not in VERDICTS:
            kept.pop("verdict", None)
        return cls(**kept)

    def changed(self) -> dict[str, str]:
        """Gives the keys that differ from those of an empty filter, for an address."""
        default = type(self)()
        return {
            name: str(value)
            for name, value in self.model_dump().items()
            if value != getattr(default, name)
        }


class Index:
    """An opened index; its queries may run in several threads.

    Args:
        path: The Parquet file.
    """

    def __init__(self, path: Path) -> None:
        # one thread: a second one saves few milliseconds, and takes 100 MB while the index is read
        self._con = duckdb.connect(
            config={"threads": 1, "memory_limit": "160MB", "allocator_background_threads": True}
        )
        try:
            rows = self._con.read_parquet(str(path), file_row_number=True)
            # a column has few words: compressed, it takes a small part and is read no slower
            self._con.execute("ATTACH ':memory:' AS kept (COMPRESS)")
            rows.project("*, file_row_number AS n").create("kept.frames")
            self._con.execute("CREATE VIEW frames AS FROM kept.frames")
            self._con.execute(
                "CREATE TABLE kept.touched AS SELECT n, unnest(regions) AS region FROM frames"
            )
            self._con.execute("CREATE VIEW touched AS FROM kept.touched")
            self._con.execute("CHECKPOINT kept")
        except duckdb.Error as error:
            raise OutputError(f"{path} cannot be read: {error}") from error

    def count(self, chosen: Filter) -> int:
        """Counts the frames of a filter."""
        return int(self._ask("SELECT count(*)", chosen)[0][0])

    def by(self, column: str, chosen: Filter) -> dict[Any, int]:
        """Counts frames by a column, most first; of a list's values each frame has several."""
        value = f"unnest({column})" if column in LISTED else column
        where, values = self._where(chosen)
        rows = self._run(
            f"SELECT value, count(*) FROM (SELECT {value} AS value FROM frames {where}) "  # noqa: S608
            "GROUP BY value ORDER BY 2 DESC, 1",
            values,
        )
        return dict(rows)

    def cross(self, chosen: Filter) -> list[tuple[str, str, int]]:
        """Counts frames by method and compression."""
        what = "SELECT method, compression, count(*)"
        return self._ask(what, chosen, "GROUP BY ALL ORDER BY ALL")

    def means(self, chosen: Filter) -> dict[str, float]:
        """Gives means of the masks' figures and sums of the verdicts; zeros without frames."""
        names = ("mask_share", "confidence", "stability")
        sums = [f"claims_{verdict}" for verdict in VERDICTS]
        parts = [f"coalesce(avg({name}), 0)" for name in names]
        parts += [f"coalesce(sum({name}), 0)" for name in sums]
        row = self._ask("SELECT " + ", ".join(parts), chosen)[0]
        return dict(zip((*names, *VERDICTS), map(float, row), strict=True))

    def histogram(self, column: str, chosen: Filter, steps: int = 20) -> list[int]:
        """Counts frames in equal steps of a figure between 0 and 1."""
        step = f"greatest(0, least({steps - 1}, floor({column} * {steps})))::INT"
        found = dict(self._ask(f"SELECT {step}, count(*)", chosen, "GROUP BY 1"))
        return [found.get(place, 0) for place in range(steps)]

    def page(self, chosen: Filter, first: int, rows: int) -> list[dict[str, Any]]:
        """Gives some of a filter's frames, in its order."""
        what = "SELECT id, method, compression, split, writer, confidence, stability, mask_share, "
        what += "regions, " + ", ".join(f"claims_{verdict}" for verdict in VERDICTS)
        after = f"ORDER BY {SORTS[chosen.sort]} LIMIT {rows:d} OFFSET {first:d}"
        names = [part.strip() for part in what.removeprefix("SELECT ").split(",")]
        return [dict(zip(names, row, strict=True)) for row in self._ask(what, chosen, after)]

    def beside(self, row: str, chosen: Filter) -> tuple[str, str, int]:
        """Gives the ids before and after a frame in a filter's order, and its place from 1.

        Empty ids where there is none; place 0 where the frame is not of the filter.
        """
        where, values = self._where(chosen)
        found = self._run(
            "SELECT before, after, place FROM (SELECT id, lag(id) OVER w AS before, "  # noqa: S608
            f"lead(id) OVER w AS after, row_number() OVER w AS place FROM frames {where} "
            f"WINDOW w AS (ORDER BY {SORTS[chosen.sort]})) WHERE id = ?",
            [*values, row],
        )
        before, after, place = found[0] if found else (None, None, 0)
        return before or "", after or "", int(place)

    def place(self, row: str) -> tuple[int, int] | None:
        """Gives the place of a frame's shard, and of its row there; None for an unknown id."""
        return next(iter(self.places([row])), None)

    def places(self, rows: Sequence[str]) -> list[tuple[int, int]]:
        """Gives the same for several frames, in the order of the shards; unknown ids are left out.

        Args:
            rows: Ids.
        """
        wanted = "SELECT shard, row FROM frames WHERE id IN (SELECT unnest(?::VARCHAR[]))"
        return sorted((int(shard), int(row)) for shard, row in self._run(wanted, [list(rows)]))

    def shared(self, other: Path, chosen: Filter, writer: str, rows: int) -> list[tuple[str, str]]:
        """Gives the first frames that another index has too, whatever the datasets are called.

        Args:
            other: File of the other index.
            chosen: Which frames of this one.
            writer: Whose frames of the other; empty for all.
            rows: How many at most.
        """
        where, values = self._where(chosen)
        return self._run(
            f"SELECT a.id, b.id FROM (SELECT id, n FROM frames {where}) a "  # noqa: S608
            "JOIN read_parquet(?) b ON a.id[strpos(a.id, '/'):] = b.id[strpos(b.id, '/'):] "
            f"WHERE ?::VARCHAR IN ('', b.writer) ORDER BY a.n LIMIT {rows:d}",
            [*values, str(other), writer],
        )

    def _ask(self, what: str, chosen: Filter, after: str = "") -> list[Any]:
        where, values = self._where(chosen)
        return self._run(f"{what} FROM frames {where} {after}", values)

    def _run(self, sql: str, values: Sequence[Any]) -> list[Any]:
        try:
            with self._con.cursor() as cursor:
                return cursor.execute(sql, values).fetchall()
        except duckdb.Error as error:
            raise OutputError(f"the index cannot be asked: {error}; was it removed?") from error

    def _where(self, chosen: Filter) -> tuple[str, list[Any]]:
        """Writes a filter as SQL; every value is a parameter, every id a number."""
        parts, values = ["confidence BETWEEN ? AND ?"], [chosen.least, chosen.most]
        known: list[Any] = list(values)
        for name in ("method", "compression", "split", "writer"):
            if value := getattr(chosen, name):
                parts.append(f"coalesce(nullif({name}, ''), '{NONE}') = ?")
                known.append(value)
        if chosen.verdict in VERDICTS:
            parts.append(f"claims_{chosen.verdict} > 0")
        if chosen.region:
            ids = ", ".join(map(str, touching(chosen.region)))
            parts.append(f"n IN (SELECT n FROM touched WHERE region IN ({ids}))")  # noqa: S608
        if chosen.evidence:
            parts.append("list_contains(evidence, ?)")
            known.append(chosen.evidence)
        if chosen.search:
            parts.append("contains(id, ?)")
            known.append(chosen.search)
        return "WHERE " + " AND ".join(parts), known


def touching(region: int) -> list[int]:
    """Gives the regions whose change touches one: itself, its parts, and the wholes it is of."""
    tree = load_tree()
    if region not in tree.by_id:
        return [region]
    concept = tree.by_id[region]
    return [one.id for one in (concept, *tree.descendants_of(concept), *tree.ancestors_of(concept))]


def prepare(source: Source, folder: Path) -> Path:
    """Writes the index and the statistics tables where the shards are others than the last time.

    Args:
        source: The dataset.
        folder: Its folder `qa/`.

    Returns:
        The index.

    Raises:
        OutputError: There is nothing annotated, or a file is damaged or of another format.
    """
    if not source.shards:
        raise OutputError(
            f"nothing of '{source.name}' is annotated; run: facext annotate {source.name}"
        )
    path, stamp = folder / "index.parquet", folder / "index.json"
    if not (path.is_file() and is_current(source, folder)):
        facts = state(source)
        stamp.unlink(missing_ok=True)
        with connect(source) as con, source.reading():
            _write(path, con.sql((QUERIES / "index.sql").read_text()).to_arrow_reader(ROWS))
        write_tables(source, folder / "tables")
        write_text(stamp, json.dumps(facts))
    return path


def _write(path: Path, batches: pa.RecordBatchReader) -> None:
    """Writes the index a row group at a time."""
    with (
        whole_file(path) as file,
        pq.ParquetWriter(file, batches.schema, compression="zstd") as writer,
    ):
        for batch in batches:
            writer.write_batch(batch, ROWS)


def is_current(source: Source, folder: Path) -> bool:
    """Tells whether the index in `qa/` was made from these shards by this code."""
    return bool(made_from(folder / "index.json") == state(source))


def made_from(stamp: Path) -> object:
    """Gives the state that a stamp tells; None for one that cannot be read."""
    try:
        return json.loads(stamp.read_text())
    except (OSError, ValueError):
        return None


def state(source: Source) -> dict[str, Any]:
    """Tells one state of a dataset's files from another, without reading them."""
    files = [*source.shards, source.rejects, source.costs]
    found = [(path.name, path.stat()) for path in files if path.is_file()]
    return {
        "files": [[name, stat.st_size, stat.st_mtime_ns] for name, stat in found],
        "code": source_hash("schemas", "qa"),
    }
