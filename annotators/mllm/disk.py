"""An SQLite file that one run at a time writes, all or nothing."""

from __future__ import annotations

import fcntl
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from schemas.errors import OutputError

_log = logging.getLogger(__name__)


class Disk:
    """An open file.

    Args:
        path: Where it is; its folder is made. Beside it stands a lock.
        tables: SQL that makes what is not there yet.

    Raises:
        OutputError: The file cannot be written or is no such file.
    """

    def __init__(self, path: Path, tables: str) -> None:
        self._path = path
        with self.guarded():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = path.with_suffix(".lock").open("w")
            try:
                _wait_for_turn(self._lock, path)
                self._file = self._opened(tables)
            except BaseException:
                self._lock.close()
                raise

    def close(self) -> None:
        """Closes the file and lets another run write."""
        self._file.close()
        self._lock.close()

    def rows(self, question: str, *values: object) -> sqlite3.Cursor:
        """Gives what a question finds."""
        with self.guarded():
            return self._file.execute(question, values)

    def first(self, question: str, *values: object) -> Any:
        """Gives the first row that a question finds, or `None`."""
        with self.guarded():
            return self._file.execute(question, values).fetchone()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Writes all or nothing."""
        with self.guarded():
            self._file.execute("BEGIN IMMEDIATE")
            try:
                yield self._file
                self._file.execute("COMMIT")
            except BaseException:
                if self._file.in_transaction:  # SQLite takes some back on its own
                    self._file.execute("ROLLBACK")
                raise

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turns a failure of the disk into the project's error."""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"the answers cannot be kept in {self._path}: {error}") from error

    def _opened(self, tables: str) -> sqlite3.Connection:
        file = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            # a killed process loses nothing; a power cut may lose the last moments
            file.execute("PRAGMA journal_mode = WAL")
            file.execute("PRAGMA synchronous = NORMAL")
            file.executescript(tables)
        except BaseException:
            file.close()
            raise
        return file


def _wait_for_turn(lock: TextIO, path: Path) -> None:
    """Waits until no other run asks: two would pay for the same answers."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _log.warning("another run asks for the same dataset (%s); waiting for it", path)
        fcntl.flock(lock, fcntl.LOCK_EX)
