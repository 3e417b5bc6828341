"""How this process keeps memory that it freed, where glibc's own way does not suit its work.

Nothing happens where the C library is not glibc.
"""

from __future__ import annotations

import contextlib
import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Of glibc's `malloc.h`."""
MAPPED, KEPT = 32 * 2**20, 128 * 2**20
"""Bytes from which memory is asked of the kernel piece by piece, and that are kept when free."""
HEAPS = 2


def keep_heap() -> None:
    """Keeps freed memory at hand, for a process that measures.

    Pictures take megabytes, which glibc asks of the kernel each time and gives back at once; the
    kernel clears every page of them again. Kept, they make the measure stage a seventh faster at
    the same peak.
    """
    _set(M_MMAP_THRESHOLD, MAPPED)
    _set(M_TRIM_THRESHOLD, KEPT)


def share_heaps() -> None:
    """Lets all threads share a few heaps: a heap of its own keeps what one picture once took."""
    _set(M_ARENA_MAX, HEAPS)


def _set(option: int, value: int) -> None:
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(option, value)
