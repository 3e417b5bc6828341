"""Hashes of a dataset's files, remembered over runs so that a finished run is checked in seconds.

A remembered hash counts only for the same size, times and inode. The change time is among them: no
program can set it back, so a file whose content changed is read again even where its modification
time was restored. A file that changed within the last seconds is not remembered: it could change
again within one tick of the file system's clock.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
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
    """Gives the hashes of files and of folders of pictures, as `file_hash` does.

    Args:
        path: Where they are remembered; written when the block ends well.
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
        if error is None and self._now != self._before:
            write_text(self._path, json.dumps(self._now))

    def __call__(self, path: Path) -> str:
        """Gives the hash of a file; empty for one that cannot be read."""
        if path not in self._given:
            self._given[path] = self._hash(path)
        return self._given[path]

    def _hash(self, path: Path) -> str:
        name, mark = str(path), _mark(path)
        known = self._before.get(name)
        if mark and isinstance(known, list) and known[:-1] == [mark]:
            self._now[name] = known
            return str(known[-1])
        digest = file_hash(path)
        if digest and mark and _mark(path) == mark:
            self._now[name] = [mark, digest]
        return digest


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
