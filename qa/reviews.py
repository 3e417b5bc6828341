"""Reviews as they are written: an append-only SQLite file that several people write at once.

SQLite is in WAL mode, so that readers do not wait for writers; writers wait in line, and up to
`PATIENCE_S` for whatever else locks the file. A review is synced to the disk before it counts as
saved. Nothing is ever changed or removed: a second thought is a new row. The Parquet file that all
are exported to is a second copy: what a lost SQLite file no longer holds is taken back from it.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa

from schemas.arrow import arrow_schema
from schemas.errors import OutputError, UsageError
from schemas.reviews import Decision, Review
from schemas.shards import file_metadata, read_table, write_table

PATIENCE_S = 10.0
MAX_NOTE = 4000
"""Characters of a note or a label; a longer one is refused, not cut."""
MAX_REVIEWER = 60
_TABLE = """
CREATE TABLE IF NOT EXISTS reviews (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL, reviewer TEXT NOT NULL, decision TEXT NOT NULL,
    label TEXT NOT NULL, note TEXT NOT NULL, labels_hash TEXT NOT NULL, at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS reviews_of_row ON reviews (id);
"""
_FIELDS = tuple(Review.model_fields)
_EVERY = f"SELECT {', '.join(_FIELDS)} FROM reviews {{where}} ORDER BY at, n"  # noqa: S608
SOME = 2000
"""Reviews that are in memory at once while they are exported."""
Line = tuple[Any, ...]
"""The fields of a review, in their order."""


class Reviews:
    """The reviews of one dataset.

    Args:
        path: The SQLite file; made with the first review.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, review: Review) -> None:
        """Saves one review; when this returns it is on the disk.

        Raises:
            UsageError: The review is incomplete or too long; nothing is saved.
            OutputError: The file is locked for too long, damaged, or cannot be written.
        """
        _check(review)
        self._insert([review])

    def all(self) -> list[Review]:
        """Gives all reviews, oldest first; none where nobody has reviewed yet."""
        return [_review(line) for line in self._read("")]

    def of(self, *rows: str) -> list[Review]:
        """Gives the reviews of some rows, oldest first."""
        where = "WHERE id IN (SELECT value FROM json_each(?))"
        return [_review(line) for line in self._read(where, json.dumps(rows))]

    def count(self) -> int:
        """Counts all reviews."""
        ((found,),) = self._ask("SELECT count(*) FROM reviews") or [(0,)]
        return int(found)

    def rows(self) -> list[str]:
        """Gives the ids of the rows that somebody reviewed, each once."""
        return [row for (row,) in self._ask("SELECT DISTINCT id FROM reviews")]

    def export(self, path: Path) -> int:
        """Writes all reviews to a Parquet file, which a release honours; gives their number.

        Reviews that the Parquet file alone holds are taken back first. One export at a time, over
        threads and processes: an older one never replaces a newer one.

        Raises:
            OutputError: The reviews or the Parquet file cannot be read, or it cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.with_name(f".{path.name}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._restore(path)
                table = self._table()
                write_table(path, table)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
        return int(table.num_rows)

    def _restore(self, path: Path) -> None:
        """Takes back what only the Parquet file holds; SQLite compares, in little memory."""
        if not path.is_file():
            return
        table = read_table(path, Review)
        columns, marks = ", ".join(_FIELDS), ", ".join("?" for _ in _FIELDS)
        with self._open() as db:
            db.execute(f"CREATE TEMP TABLE exported ({columns})")
            for batch in table.to_batches(max_chunksize=SOME):
                lines = zip(*(column.to_pylist() for column in batch.columns), strict=True)
                db.executemany(f"INSERT INTO exported VALUES ({marks})", lines)  # noqa: S608
            lost = db.execute(
                f"SELECT {columns} FROM exported EXCEPT SELECT {columns} FROM reviews"  # noqa: S608
            ).fetchall()
        if lost:
            try:
                self._insert(sorted(map(_review, lost), key=lambda one: one.at))
            except ValueError as error:
                raise OutputError(f"{path} is damaged: {error}") from error

    def _table(self) -> pa.Table:
        """Gives all reviews, oldest first; as records they would take ten times the memory."""
        schema, batches = arrow_schema(Review), []
        if self.path.is_file():
            with self._open() as db:
                found = db.execute(_EVERY.format(where=""))
                while lines := found.fetchmany(SOME):
                    arrays = zip(zip(*lines, strict=True), schema, strict=True)
                    batches.append([pa.array(values, field.type) for values, field in arrays])
        whole = schema.with_metadata(file_metadata(Review, None))
        return pa.Table.from_batches(
            [pa.RecordBatch.from_arrays(one, schema=whole) for one in batches], whole
        )

    def _insert(self, reviews: Sequence[Review]) -> None:
        marks = ", ".join("?" for _ in _FIELDS)
        with self._open(writing=True) as db:
            db.executemany(
                f"INSERT INTO reviews ({', '.join(_FIELDS)}) VALUES ({marks})",  # noqa: S608
                [tuple(review.model_dump().values()) for review in reviews],
            )

    def _read(self, where: str, *values: str) -> list[Line]:
        """Gives the fields of reviews, oldest first."""
        return self._ask(_EVERY.format(where=where), *values)

    def _ask(self, query: str, *values: str) -> list[Line]:
        """Gives what a query finds; nothing where nobody has reviewed yet."""
        if not self.path.is_file():
            return []
        with self._open() as db:
            return db.execute(query, values).fetchall()

    @contextmanager
    def _open(self, *, writing: bool = False) -> Iterator[sqlite3.Connection]:
        """Opens the file for one transaction; writers come in one after the other.

        A connection lives for one call: no thread holds another's, and a file that was removed
        while the server runs is made again by the next review, not written into the void.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=PATIENCE_S)) as db:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                db.executescript(_TABLE)
                with self._turn() if writing else nullcontext(), db:
                    yield db
        except (sqlite3.Error, OSError) as error:
            raise OutputError(f"reviews in {self.path} cannot be used: {error}") from error

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Waits in line: of many that write at once, SQLite's own waiting passes some over."""
        with self.path.with_name(f".{self.path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def open_reviews(exported: Path) -> Reviews:
    """Gives the reviews of a dataset, after an export that makes both of their files say the same.

    Args:
        exported: The Parquet file; the SQLite file lies beside it. Nothing is made where nobody has
            reviewed yet.

    Raises:
        OutputError: One of the files cannot be read or written.
    """
    reviews = Reviews(exported.with_suffix(".sqlite"))
    if reviews.path.is_file() or exported.is_file():
        reviews.export(exported)
    return reviews


def make_review(
    row: str,
    reviewer: str,
    decision: Decision,
    label: str = "",
    note: str = "",
    labels_hash: str = "",
) -> Review:
    """Gives a review of now."""
    return Review(
        id=row, reviewer=reviewer.strip(), decision=decision, label=label, note=note,
        labels_hash=labels_hash, at=time.time(),
    )  # fmt: skip


def _review(line: Line) -> Review:
    return Review(**dict(zip(_FIELDS, line, strict=True)))


def _check(review: Review) -> None:
    if not review.reviewer:
        raise UsageError("say who you are first: a review needs a name")
    if review.decision not in get_args(Decision):
        raise UsageError(f"'{review.decision}' is no decision: accept, reject or fix")
    if review.decision == "fix" and not review.label.strip():
        raise UsageError("say which label is wrong and what it should be")
    for name, text, most in (
        ("name", review.reviewer, MAX_REVIEWER),
        ("note", review.note, MAX_NOTE),
        ("label", review.label, MAX_NOTE),
    ):
        if len(text) > most:
            raise UsageError(f"the {name} has {len(text):,} characters; {most:,} is the most")
