"""Checksums of a release, as `sha256sum --check SHA256SUMS` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from schemas.provenance import file_hash

SUMS = "SHA256SUMS"


def write_checksums(folder: Path, known: Mapping[str, str]) -> None:
    """Writes the sha256 of every file of a folder, in the order of their paths.

    Args:
        folder: The folder.
        known: Hashes that were found already, by the file's path below the folder.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    names = [path.relative_to(folder).as_posix() for path in files]
    lines = [f"{known.get(name) or file_hash(folder / name)}  {name}\n" for name in names]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def broken_files(folder: Path) -> list[str]:
    """Gives the files whose checksum is another one, or that are missing; all, without a list."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except OSError:
        return [SUMS]
    told = (line.partition("  ") for line in lines)
    return [name for digest, _, name in told if file_hash(folder / name) != digest]
