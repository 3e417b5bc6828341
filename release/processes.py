"""Work on files side by side, in the order of the files."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import cv2
import pyarrow as pa

J = TypeVar("J")
R = TypeVar("R")


def spread(work: Callable[[J], R], jobs: Sequence[J], workers: int) -> Iterator[R]:
    """Gives the result of each job, in order.

    Args:
        work: A function of a module, so that another process finds it.
        jobs: What to call it with.
        workers: Processes; one means this one.
    """
    if workers <= 1 or len(jobs) <= 1:
        yield from map(work, jobs)
        return
    context = multiprocessing.get_context("spawn")
    processes = min(workers, len(jobs))
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_one_thread) as pool:
        yield from pool.map(work, jobs)


def _one_thread() -> None:
    cv2.setNumThreads(1)
    pa.set_cpu_count(1)
