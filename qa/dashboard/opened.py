"""A dataset as the dashboard holds it: its index, its frames, its figures, its reviews."""

from __future__ import annotations

import multiprocessing
from collections.abc import Collection
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from qa.exports import Exports
from qa.index import NONE, Index, is_current, prepare
from qa.labels import hash_labels
from qa.lookup import Lookup
from qa.reviews import Reviews, open_reviews
from qa.tables import Source
from schemas.errors import OutputError
from schemas.reviews import Judged, Review, weigh
from schemas.shards import read_metadata

MAX_LISTED = 200


@dataclass(frozen=True)
class Opened:
    """A dataset that is looked at.

    Attributes:
        source: Its files.
        folder: Its folder `qa/`, where index and tables are.
        facts: Metadata of its shards.
        index: What is counted and filtered.
        lookup: Its frames and pictures.
        reviews: Its reviews.
        exports: Where they are exported to, and when.
    """

    source: Source
    folder: Path
    facts: dict[str, Any]
    index: Index
    lookup: Lookup
    reviews: Reviews
    exports: Exports

    def renew(self) -> bool:
        """Tells whether the index still is that of the shards, and keeps nothing of older ones."""
        self.lookup.renew()
        return is_current(self.source, self.folder)

    def judged(self, said: Collection[Review]) -> Judged:
        """Gives what reviews say of rows as they are now.

        Raises:
            OutputError: The shards changed or are damaged.
        """
        return weigh(said, self.lookup.labels({one.id for one in said}))

    def table(self, name: str) -> list[dict[str, Any]]:
        """Reads one of the statistics tables; empty where it was not made.

        Raises:
            OutputError: It is damaged.
        """
        path = self.folder / "tables" / f"{name}.parquet"
        if not path.is_file():
            return []
        try:
            rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        except (OSError, ValueError) as error:
            raise OutputError(f"{path} cannot be read: {error}") from error
        return rows

    def rejects(self, reason: str, method: str) -> list[dict[str, Any]]:
        """Gives the first `MAX_LISTED` rejects of a reason and a method; empty words leave all.

        Raises:
            OutputError: The file is damaged.
        """
        if not self.source.rejects.is_file():
            return []
        names = ("id", "stage", "reason", "detail")
        try:
            with duckdb.connect() as con:
                found = con.execute(
                    f"SELECT {', '.join(names)} FROM read_parquet(?) "  # noqa: S608
                    f"WHERE ? IN ('', reason) "
                    f"AND ? IN ('', coalesce(nullif(method, ''), '{NONE}')) LIMIT {MAX_LISTED}",
                    [str(self.source.rejects), reason, method],
                ).fetchall()
        except duckdb.Error as error:
            raise OutputError(f"{self.source.rejects} cannot be read: {error}") from error
        return [dict(zip(names, row, strict=True)) for row in found]


def open_dataset(source: Source, folder: Path, reviews_path: Path, *, text: bool = False) -> Opened:
    """Opens a dataset; makes its index and tables first, where they are not current.

    They are made in a process of their own, whose memory is given back.

    Args:
        source: Its files.
        folder: Its folder `qa/`.
        reviews_path: Where its reviews are exported to; they are kept beside it.
        text: Make the tables of its text, too; a dataset has those of its report.

    Raises:
        OutputError: There is nothing annotated, or a file is damaged or of another format.
    """
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh) as process:
        path = process.submit(prepare, source, folder).result()
        if text:
            process.submit(_prepare_text, source, folder).result()
        reviews = process.submit(open_reviews, reviews_path).result()
        labels = process.submit(hash_labels, source, folder, reviews.rows()).result()
    index = Index(path)
    facts = read_metadata(source.shards[0])
    lookup = Lookup(index, source.shards)
    lookup.keep_labels(labels)
    exports = Exports(reviews, reviews_path)
    return Opened(source, folder, facts, index, lookup, reviews, exports)


def _prepare_text(source: Source, folder: Path) -> None:
    """Makes the tables of the text; what counts it takes 120 MB, which a server does not need."""
    from qa.statistics import prepare_text

    prepare_text(source, folder)
