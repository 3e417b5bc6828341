"""Work done side by side by processes, whose results come in the order of the jobs."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from types import TracebackType
from typing import TypeVar

import cv2
import pyarrow as pa

J = TypeVar("J")
R = TypeVar("R")

YOUNG = 100_000
"""Objects after which a worker looks for cycles. Rows are many small dicts that hold none: by the
interpreter's own number (700) the search takes a tenth of the time."""


class Processes:
    """Processes that are started with the first work that needs them and stay for the next.

    Args:
        count: How many; one means this process.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def map(self, work: Callable[[J], R], jobs: Sequence[J]) -> Iterator[R]:
        """Gives the result of each job, in order.

        Args:
            work: A function of a module, so that another process finds it.
            jobs: What to call it with; a single one is done here.
        """
        if self._count <= 1 or len(jobs) <= 1:
            return map(work, jobs)
        if not self._pool:
            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._count, mp_context=spawn, initializer=_prepare)
        return self._pool.map(work, jobs)


def _prepare() -> None:
    cv2.setNumThreads(1)
    pa.set_cpu_count(1)
    gc.set_threshold(YOUNG)
