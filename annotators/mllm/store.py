"""Every answer and every cost of a dataset's captioning requests, in one SQLite file.

A request is entered with its highest possible cost before it is sent, and its answer is stored as
it came before anybody reads it. So the same question is never paid twice, and the sum of the costs
is never below what the server may have billed, whenever the process dies. One run at a time asks.

Source: ours.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pyarrow as pa

from annotators.mllm.disk import Disk
from schemas.arrow import arrow_schema
from schemas.errors import OutputError
from schemas.records import Cost

ROWS_AT_ONCE = 10_000
IN_FLIGHT = "in flight"
LOST = "lost"
"""Outcome of a request that was in flight when its process died: the server may have billed it."""

_TABLES = """
CREATE TABLE IF NOT EXISTS answers (request TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS costs (
    id INTEGER PRIMARY KEY, request TEXT NOT NULL, subject TEXT NOT NULL, step TEXT NOT NULL,
    recipe TEXT NOT NULL, server TEXT NOT NULL, model TEXT NOT NULL, sent_at REAL NOT NULL,
    latency_s REAL NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, outcome TEXT NOT NULL,
    prompt_tokens INTEGER, completion_tokens INTEGER, cost REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS costs_by_request ON costs (request);
CREATE TABLE IF NOT EXISTS batches (request TEXT PRIMARY KEY, batch TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Asked:
    """Who asks what, for the ledger."""

    request: str
    subject: str
    step: str
    recipe: str
    server: str
    model: str


class AnswerStore:
    """The answers and costs of one dataset.

    Args:
        path: The SQLite file; its folder is made.

    Raises:
        OutputError: The file cannot be written or is no such file.
    """

    def __init__(self, path: Path) -> None:
        self._disk = Disk(path, _TABLES)
        try:
            self._end_unfinished()
        except OutputError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file and lets another run ask."""
        self._disk.close()

    def _end_unfinished(self) -> None:
        """Closes entries of a process that died; a request of a batch is still to come."""
        with self._disk.writing() as file:
            file.execute(
                "UPDATE costs SET outcome = ? WHERE outcome = ? "
                "AND request NOT IN (SELECT request FROM batches)",
                (LOST, IN_FLIGHT),
            )

    def answer(self, request: str) -> bytes | None:
        """Gives the stored answer to a request, as the server sent it."""
        row = self._disk.first("SELECT body FROM answers WHERE request = ?", request)
        return row[0] if row else None

    @property
    def spent(self) -> float:
        """The most that all requests so far may have cost."""
        row = self._disk.first("SELECT coalesce(sum(cost), 0) FROM costs")
        return float(row[0]) if row else 0.0

    def begin(self, asked: Asked, highest: float) -> int:
        """Enters a request that is about to be sent; gives its number in the ledger."""
        values = (
            asked.request, asked.subject, asked.step, asked.recipe, asked.server, asked.model,
            time.time(), IN_FLIGHT, highest,
        )  # fmt: skip
        with self._disk.writing() as file:
            entered = file.execute(
                "INSERT INTO costs (request, subject, step, recipe, server, model, sent_at, "
                "outcome, cost) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
        return int(entered.lastrowid or 0)

    def raise_cost(self, entry: int, cost: float) -> None:
        """Enters that a request in flight may cost more than it was entered with."""
        with self._disk.writing() as file:
            file.execute("UPDATE costs SET cost = ? WHERE id = ?", (cost, entry))

    def open_entry(self, request: str) -> tuple[int, float] | None:
        """Gives the number and cost of a request's entry that an earlier run left in flight."""
        row: tuple[int, float] | None = self._disk.first(
            "SELECT id, cost FROM costs WHERE request = ? AND outcome = ?", request, IN_FLIGHT
        )
        return row

    def end(
        self,
        entry: int,
        outcome: str,
        *,
        latency_s: float,
        attempts: int,
        cost: float,
        tokens: tuple[int, int] | None = None,
        answer: tuple[str, bytes] | None = None,
    ) -> None:
        """Enters how a request ended, and with it its answer (request, body), in one step."""
        with self._disk.writing() as file:
            if answer:
                file.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", answer)
            file.execute(
                "UPDATE costs SET outcome = ?, latency_s = ?, attempts = ?, cost = ?, "
                "prompt_tokens = ?, completion_tokens = ? WHERE id = ?",
                (outcome, latency_s, attempts, cost, *(tokens or (None, None)), entry),
            )

    def remember_batch(self, batch: str, requests: Iterable[str]) -> None:
        """Enters which requests a batch holds, so that a later run waits for it."""
        with self._disk.writing() as file:
            values = ((request, batch) for request in requests)
            file.executemany("INSERT OR REPLACE INTO batches VALUES (?, ?)", values)

    def batch_of(self, request: str) -> str | None:
        """Gives the batch that holds a request."""
        row = self._disk.first("SELECT batch FROM batches WHERE request = ?", request)
        return row[0] if row else None

    def forget_batch_of(self, request: str) -> None:
        """Enters that a request is in no batch any more."""
        with self._disk.writing() as file:
            file.execute("DELETE FROM batches WHERE request = ?", (request,))

    def give_up_batch_of(self, request: str) -> None:
        """Enters that nobody waits for a request's batch, which may be billed all the same."""
        with self._disk.writing() as file:
            file.execute("DELETE FROM batches WHERE request = ?", (request,))
            file.execute(
                "UPDATE costs SET outcome = ? WHERE request = ? AND outcome = ?",
                (LOST, request, IN_FLIGHT),
            )

    def costs(self) -> pa.Table:
        """Gives the ledger as a table of `Cost`: one row for each request, in order of sending."""
        schema = arrow_schema(Cost)
        batches = []
        with self._disk.guarded():
            found = self._disk.rows(
                f"SELECT {', '.join(schema.names)} FROM costs ORDER BY id"  # noqa: S608 - our names
            )
            while rows := found.fetchmany(ROWS_AT_ONCE):
                columns = [
                    pa.array(column, field.type)
                    for column, field in zip(zip(*rows, strict=True), schema, strict=True)
                ]
                batches.append(pa.RecordBatch.from_arrays(columns, schema=schema))
        return pa.Table.from_batches(batches, schema)
