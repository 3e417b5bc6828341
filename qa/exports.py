"""Exports reviews to Parquet soon after they were saved: a reviewer does not wait for it."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from threading import Lock, Timer

from qa.reviews import Reviews
from schemas.errors import OutputError

PAUSE_S = 2.0
"""Least time between two exports: what is saved meanwhile goes with the next one."""


class Exports:
    """The exports of one dataset's reviews, made in a thread of their own.

    Args:
        reviews: The reviews.
        path: The Parquet file.

    Attributes:
        lacking: Why the last export failed; empty where it did not.
    """

    def __init__(self, reviews: Reviews, path: Path) -> None:
        self.path = path
        self.lacking = ""
        self._reviews = reviews
        self._waiting: Timer | None = None
        self._earliest = 0.0
        self._turn, self._exporting = Lock(), Lock()

    def soon(self) -> None:
        """Asks for an export of all that is saved by now."""
        with self._turn:
            if self._waiting is None:
                wait = max(0.0, self._earliest - time.monotonic())
                self._waiting = Timer(wait, self._export)
                self._waiting.daemon = True
                self._waiting.start()

    def finish(self) -> None:
        """Exports what still waits; afterwards none is being written."""
        with self._turn:
            waiting = self._waiting
        if waiting is not None:
            waiting.cancel()
            self._export()
        with self._exporting:
            pass

    def _export(self) -> None:
        with self._exporting:
            with self._turn:
                self._waiting = None  # what is saved from here on asks anew
            try:
                self._reviews.export(self.path)
                self.lacking = ""
            except OutputError as error:
                self.lacking = str(error)
                logging.getLogger(__name__).error("reviews are saved, but not exported: %s", error)
            self._earliest = time.monotonic() + PAUSE_S
