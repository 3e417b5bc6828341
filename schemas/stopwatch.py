"""Where the time goes: each step's own seconds, without those of the steps inside it.

One clock for the whole process, always running: a step costs about a microsecond. Worker processes
take what they counted and hand it to their parent, which adds it up.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Stopwatch:
    """Adds up the seconds of named steps, over threads; a step must not wait in a coroutine."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._open = threading.local()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times a block; its time is not the surrounding step's."""
        outer = getattr(self._open, "inside", None)
        self._open.inside = 0.0
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self.add({name: spent - self._open.inside})
            self._open.inside = None if outer is None else outer + spent

    def timed(self, name: str, function: Callable[P, T]) -> Callable[P, T]:
        """Gives a function that is a step."""

        @functools.wraps(function)
        def run(*arguments: P.args, **named: P.kwargs) -> T:
            with self.step(name):
                return function(*arguments, **named)

        return run

    def add(self, seconds: dict[str, float]) -> None:
        """Adds what another process counted."""
        with self._lock:
            for name, spent in seconds.items():
                self._seconds[name] += spent

    def take(self) -> dict[str, float]:
        """Gives the seconds of each step so far, and starts from zero."""
        with self._lock:
            taken, self._seconds = self._seconds, defaultdict(float)
        return dict(taken)


CLOCK = Stopwatch()
"""The clock of this process."""
