"""Hashes that tell what a result was made from."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
SUFFIXES = (".py", ".yaml", ".json", ".txt", ".html", ".sql")


@functools.cache
def source_hash(*places: str, without: tuple[str, ...] = ()) -> str:
    """Gives a short hash of the source and data files of some of the project's folders or files.

    It is part of whatever is kept for a later run, so that nobody reads the results of code that
    has since changed.
    """
    digest = hashlib.sha256()
    for place in places:
        found = PROJECT / place
        for path in sorted(found.rglob("*")) if found.is_dir() else [found]:
            name = path.relative_to(PROJECT).as_posix()
            if path.suffix in SUFFIXES and not name.startswith(without):
                digest.update(name.encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def file_hash(path: Path) -> str:
    """Gives the sha256 of a file's bytes; empty for a file that cannot be read.

    Of a folder it is the hash of the names and hashes of the files in it, hidden ones left out.
    """
    try:
        if path.is_dir():
            inside = sorted(one for one in path.iterdir() if not one.name.startswith("."))
            lines = [f"{one.name} {file_hash(one)}\n" for one in inside if one.is_file()]
            return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
