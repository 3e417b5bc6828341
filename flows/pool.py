"""Worker processes that survive what pairs and users do to them.

A pair that kills its worker (native crash, out of memory) costs that pair and nothing else; a
parent that dies takes its workers along; Ctrl-C reaches the parent alone.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any, Generic, TypeVar

import cv2

T = TypeVar("T")


class Workers(Generic[T]):
    """Runs one function over items in spawned processes.

    Args:
        work: Function of one item, at module level; it leaves its result in files.
        start: Called once in each worker with `settings`.
        settings: Argument of `start`.
        processes: How many workers.
    """

    def __init__(
        self, work: Callable[[T], None], start: Callable[[Any], None], settings: Any, processes: int
    ) -> None:
        self._work, self._start, self._settings = work, start, settings
        self._processes = processes

    def run(self, items: Sequence[T], done: Callable[[T], None], died: Callable[[T], None]) -> None:
        """Works on all items.

        Args:
            items: What to work on.
            done: Called in this process after each item.
            died: Called for an item that killed its worker twice, once among others, once alone.

        Raises:
            Exception: Whatever `work` raised; items not begun are dropped.
        """
        left = self._pass(items, done, self._processes)
        for item in left:
            if self._pass([item], done, 1):
                died(item)
                done(item)

    def _pass(self, items: Sequence[T], done: Callable[[T], None], processes: int) -> list[T]:
        """Works on items until all are done or a worker dies; gives those not done."""
        if not items:
            return []
        pool = ProcessPoolExecutor(
            min(processes, len(items)),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(self._start, self._settings),
        )
        try:
            left: dict[Future[None], T] = {}
            with _deaf_children(), contextlib.suppress(BrokenProcessPool):
                for item in items:
                    left[pool.submit(self._work, item)] = item
            unsent = items[len(left) :]  # a worker died meanwhile
            for future in as_completed(list(left)):
                with contextlib.suppress(BrokenProcessPool):
                    future.result()
                    done(left.pop(future))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        pool.shutdown()
        return [*left.values(), *unsent]


@contextlib.contextmanager
def _deaf_children() -> Iterator[None]:
    """Lets processes that start inside ignore Ctrl-C, from their first moment on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _begin(start: Callable[[Any], None], settings: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch, where a backend loads it
    start(settings)


def _end_with_parent() -> None:
    """Ends this worker when its parent is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
