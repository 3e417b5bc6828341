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
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any, Generic, TypeVar

import cv2

from schemas.errors import FacextError

T = TypeVar("T")
R = TypeVar("R")

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What libraries read when they are loaded, which is before a worker's first line of ours."""


class Workers(Generic[T, R]):
    """Runs one function over items in spawned processes.

    Args:
        work: Function of one item, at module level; what it gives goes to `done`.
        start: Called once in each worker with `settings`.
        settings: Argument of `start`.
        processes: How many workers.
    """

    def __init__(
        self, work: Callable[[T], R], start: Callable[[Any], None], settings: Any, processes: int
    ) -> None:
        self._work, self._start, self._settings = work, start, settings
        self._processes = processes
        for name in ONE_THREAD:
            os.environ.setdefault(name, "1")  # workers inherit it; this process has loaded them

    def run(
        self,
        items: Sequence[T],
        done: Callable[[R], None],
        died: Callable[[T], R],
        parts: Callable[[T], Sequence[T]] = lambda item: [item],
    ) -> None:
        """Works on all items.

        Args:
            items: What to work on.
            done: Called in this process with each result.
            died: Gives the result of an item that killed its worker twice, once among others,
                once alone, and that has no parts.
            parts: Splits such an item into those that are then worked on one by one.

        Raises:
            Exception: Whatever `work` raised; items not begun are dropped.
        """
        left = list(items)
        while left:
            suspects, left = self._pass(left, done, self._processes)
            for item in suspects:
                if not any(self._pass([item], done, 1)):
                    continue
                if len(parts(item)) > 1:
                    self.run(parts(item), done, died, parts)
                else:
                    done(died(item))

    def _pass(
        self, items: Sequence[T], done: Callable[[R], None], processes: int
    ) -> tuple[list[T], list[T]]:
        """Works on items until all are done or a worker dies.

        Few are sent at a time, so that few are under suspicion when a worker dies.

        Returns:
            The items that were with the workers when one died, and those that were not sent.
        """
        left, sent = deque(items), dict[Future[R], T]()
        pool = self._pool(min(processes, len(items)))
        try:
            with contextlib.suppress(BrokenProcessPool):
                while left or sent:
                    while left and len(sent) <= processes:
                        with _deaf_children():
                            future = pool.submit(if_started, self._work, left[0])
                        sent[future] = left.popleft()
                    _collect(sent, done)
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(error, KeyboardInterrupt):
                _abandon_children()
            raise
        pool.shutdown()
        return list(sent.values()), list(left)

    def _pool(self, processes: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            processes,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin_process,
            initargs=(self._start, self._settings),
        )


def _collect(sent: dict[Future[R], T], done: Callable[[R], None]) -> None:
    """Waits for the next result and hands on all that are there.

    Raises:
        BrokenProcessPool: A worker died; what was finished before is handed on.
    """
    broken = None
    for future in wait_for(sent, return_when=FIRST_COMPLETED).done:
        try:
            result = future.result()
        except BrokenProcessPool as error:
            broken = error
            continue
        del sent[future]
        done(result)
    if broken:
        raise broken


@contextlib.contextmanager
def _deaf_children() -> Iterator[None]:
    """Lets processes that start inside never hear Ctrl-C; for this one it is put off, not lost."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _abandon_children() -> None:
    """Ends the workers at once: units are whole or not there, and a user waits."""
    for child in multiprocessing.active_children():
        child.kill()


def _begin_process(start: Callable[[Any], None], settings: Any) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    begin(start, settings)


class _Start(threading.local):
    """How a worker, a process or a thread, started."""

    error: Exception | None = None


_START = _Start()


def begin(start: Callable[[Any], None], settings: Any) -> None:
    """Starts a worker; what it lacks is told when it gets work, as a pool would hide it."""
    try:
        start(settings)
    except Exception as error:
        _START.error = error


def if_started(work: Callable[[T], R], item: T) -> R:
    """Works on an item.

    Raises:
        FacextError: The worker could not start.
    """
    error = _START.error
    if isinstance(error, FacextError):
        raise error
    if error:
        raise FacextError(f"a worker could not start: {type(error).__name__}: {error}")
    return work(item)


def _end_with_parent() -> None:
    """Ends this worker when its parent is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
