"""Ctrl-C and SIGTERM: the loop ends after a step, with a checkpoint; workers read until then."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Turns SIGTERM and Ctrl-C into an event that is looked at between steps."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def ask(number: int, frame: FrameType | None) -> None:
        event.set()

    before = [signal.signal(number, ask) for number in STOPS]
    try:
        yield event
    finally:
        for number, handler in zip(STOPS, before, strict=True):
            signal.signal(number, handler)


def outlive_signals(worker: int) -> None:
    """Lets a loader's worker read on after Ctrl-C, which a terminal sends to all processes.

    The loop still takes what is needed for the step at hand, and ends its workers itself.
    """
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
