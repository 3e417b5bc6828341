"""Hashes that tell what a result was made from."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
SUFFIXES = (".py", ".yaml", ".json", ".txt")


@functools.cache
def source_hash(*packages: str) -> str:
    """Gives a short hash of the source and data files of some of the project's packages.

    It is part of whatever is kept for a later run, so that nobody reads the results of code that
    has since changed.
    """
    digest = hashlib.sha256()
    for package in packages:
        for path in sorted((PROJECT / package).rglob("*")):
            if path.suffix in SUFFIXES:
                digest.update(path.relative_to(PROJECT).as_posix().encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def file_hash(path: Path) -> str:
    """Gives the sha256 of a file's bytes; empty for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
