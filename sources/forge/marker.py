"""`forge.json`: which forged dataset a folder holds; written last, it marks the dataset whole."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from schemas.errors import OutputError
from schemas.provenance import source_hash
from sources.forge.still import Still

MARKER = "forge.json"

_PACKAGES = ("av", "numpy", "opencv-python", "pyarrow", "scipy")


def describe(
    stills: Sequence[Still], methods: Sequence[str], compressions: Sequence[str], **numbers: Any
) -> dict[str, Any]:
    """Gives everything that decides a forged dataset's bytes, as JSON-able values."""
    settings = {
        "source": source_hash("schemas", "fict", "sources"),
        "pictures": [{"name": still.name, "sha256": still.sha256} for still in stills],
        "methods": list(methods),
        "compressions": list(compressions),
        "packages": {name: version(name) for name in _PACKAGES},
        **numbers,
    }
    normal: dict[str, Any] = json.loads(json.dumps(settings))
    return normal


def holds(folder: Path, settings: dict[str, Any], files: Iterable[Path]) -> bool:
    """Says whether a folder holds exactly this dataset, every file of it at its full size."""
    marker = _read(folder)
    sizes = {path.as_posix(): _size(folder / path) for path in files}
    return marker.get("settings") == settings and marker.get("bytes") == sizes


def start_over(folder: Path, files: Iterable[Path]) -> None:
    """Makes the folders of a dataset, and removes an earlier one's marker and left-over files.

    Only files that the earlier marker lists are removed.

    Raises:
        OutputError: The folder cannot be written.
    """
    listed, wanted = _read(folder).get("bytes", {}), {path.as_posix() for path in files}
    try:
        (folder / MARKER).unlink(missing_ok=True)
        for name in set(listed) - wanted:
            (folder / name).unlink(missing_ok=True)
        for name in wanted:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}") from error


def finish(folder: Path, settings: dict[str, Any], files: Iterable[Path]) -> None:
    """Marks a dataset as whole.

    Raises:
        OutputError: The folder cannot be written.
    """
    sizes = {path.as_posix(): _size(folder / path) for path in files}
    text = json.dumps({"settings": settings, "bytes": sizes}, indent=2, sort_keys=True)
    temporary = folder / f".{MARKER}.tmp"
    try:
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(folder / MARKER)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}") from error


def _read(folder: Path) -> dict[str, Any]:
    """Gives the marker; empty where there is none or it is not ours."""
    try:
        content = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
