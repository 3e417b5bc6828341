"""Hashes of a dataset's files, remembered over runs so that a finished run is checked in seconds.

A remembered hash counts only for the same size, times and inode. The change time is among them: no
program can set it back, so a file whose content changed is read again even where its modification
time was restored. A file that changed within the last seconds is not remembered: it could change
again within one tick of the file system's clock.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from flows.run import Progress
from flows.units import read_json
from schemas.atomic import write_text
from schemas.errors import OutputError
from schemas.provenance import file_hash

FRESH_NS = 2 * 10**9
"""Age below which a file may still change unseen."""
THREADS = 4
"""Files that are read at once: a disk answers several sooner, and sums take no Python."""
AT_ONCE = 256
"""Files that are given to the threads at once."""
SAVE_EACH_S = 60.0
"""A process that is killed loses the hashes of about so many seconds."""


class Hashes:
    """Gives the hashes of files and of folders of pictures, as `file_hash` does.

    Args:
        path: Where they are remembered; written from time to time and when the block ends.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = read_json(path)
        self._now: dict[str, list[str]] = {}
        self._given: dict[Path, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._save(self._now)
            return
        with contextlib.suppress(OutputError):  # the error at hand is the one to tell
            self._save(self._before | self._now)

    def __call__(self, path: Path) -> str:
        """Gives the hash of a file; empty for one that cannot be read."""
        if not self._knows(path):
            self._given[path] = self._read(path)
        return self._given[path]

    def learn(self, paths: Iterable[Path], progress: Progress) -> None:
        """Reads those of some files whose hashes are not known, several at once.

        Args:
            paths: The files; they may come again.
            progress: Called after each file that was read.

        Raises:
            OutputError: What was learnt cannot be written down.
        """
        unknown = [path for path in dict.fromkeys(paths) if not self._knows(path)]
        progress("hash", 0, len(unknown))
        saved = time.monotonic()
        with contextlib.closing(self._read_all(unknown)) as read:
            for done, (path, digest) in enumerate(read, 1):
                self._given[path] = digest
                progress("hash", done, len(unknown))
                if time.monotonic() - saved >= SAVE_EACH_S:
                    self._save(self._before | self._now)
                    saved = time.monotonic()

    def _read_all(self, paths: list[Path]) -> Generator[tuple[Path, str]]:
        pool = ThreadPoolExecutor(THREADS)
        try:
            for start in range(0, len(paths), AT_ONCE):
                some = paths[start : start + AT_ONCE]
                yield from zip(some, pool.map(self._read, some), strict=True)
        finally:
            pool.shutdown(cancel_futures=True)

    def _knows(self, path: Path) -> bool:
        """Tells whether a file was asked for before, or is as it is remembered."""
        if path in self._given:
            return True
        mark, known = _mark(path), self._before.get(str(path))
        if not mark or not isinstance(known, list) or known[:-1] != [mark]:
            return False
        self._now[str(path)], self._given[path] = known, str(known[-1])
        return True

    def _read(self, path: Path) -> str:
        mark, digest = _mark(path), file_hash(path)
        if digest and mark and _mark(path) == mark:
            self._now[str(path)] = [mark, digest]
        return digest

    def _save(self, known: dict[str, list[str]]) -> None:
        if known != self._before:
            write_text(self._path, json.dumps(known))


def _mark(path: str | Path) -> str:
    """Gives what tells a file from a changed one; empty where it may still change unseen."""
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            with os.scandir(path) as entries:
                inside = [(one.name, _mark(one.path)) for one in sorted(entries, key=_name)]
            whole = all(mark for _, mark in inside)
            return hashlib.sha256(repr(inside).encode()).hexdigest() if whole else ""
    except OSError:
        return ""
    if found.st_ctime_ns > time.time_ns() - FRESH_NS:
        return ""
    return f"{found.st_size} {found.st_ino} {found.st_mtime_ns} {found.st_ctime_ns}"


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name
