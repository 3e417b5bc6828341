"""The pictures as files below `images/`, for formats that name files."""

from __future__ import annotations

from pathlib import Path

from release.parts import SIDES
from release.released import Released
from schemas.errors import OutputError


def write(released: Released, folder: Path) -> int:
    """Writes the crops that the rows hold; gives how many there are.

    Raises:
        OutputError: A row names a file outside the folder.
    """
    written = 0
    for split in released.splits:
        for row in released.rows(split, ("real", "fake.bytes")):
            for side in SIDES:
                if picture := row[side]:
                    path = below(folder, picture["path"])
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(picture["bytes"])
                    written += 1
    return written


def below(folder: Path, name: str) -> Path:
    """Gives the path of a file below a folder.

    Raises:
        OutputError: It leads out of the folder.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise OutputError(f"the release names the file {name!r}, which is not below its folder")
    return path
