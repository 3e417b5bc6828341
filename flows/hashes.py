"""Hashes of a dataset's files, remembered over runs so that a finished run is checked in seconds.

A remembered hash counts only for the same size, times and inode. The change time is among them: no
program can set it back, so a file whose content changed is read again even where its modification
time was restored. A file that changed within the last seconds is not remembered: it could change
again within one tick of the file system's clock.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from flows.units import read_json
from schemas.atomic import write_text
from schemas.provenance import file_hash

FRESH_NS = 2 * 10**9
"""Age below which a file may still change unseen."""


class Hashes:
    """Gives the sha256 of files below a folder; empty for one that cannot be read.

    Args:
        path: Where the hashes are remembered; written when the block ends well.
        root: The folder.
    """

    def __init__(self, path: Path, root: Path) -> None:
        self._path, self._root = path, root
        self._before = read_json(path)
        self._now: dict[str, list[int | str]] = {}
        self._given: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None and self._now != self._before:
            write_text(self._path, json.dumps(self._now))

    def __call__(self, name: str) -> str:
        """Gives the hash of a file by its path below the folder."""
        if name not in self._given:
            self._given[name] = self._hash(os.path.join(self._root, name))
        return self._given[name]

    def _hash(self, path: str) -> str:
        mark = _mark(path)
        if mark is None:
            return file_hash(Path(path))
        known = self._before.get(path)
        if isinstance(known, list) and known[:-1] == mark:
            self._now[path] = known
            return str(known[-1])
        digest = file_hash(Path(path))
        if digest and _mark(path) == mark:
            self._now[path] = [*mark, digest]
        return digest


def _mark(path: str) -> list[int] | None:
    """Gives what tells a file from a changed one; none where it may still change unseen."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    times = [found.st_mtime_ns, found.st_ctime_ns]
    if found.st_ctime_ns > time.time_ns() - FRESH_NS:
        return None
    return [found.st_size, found.st_ino, *times]
