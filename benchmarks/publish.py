"""Writes the page of a run, its JSON, and the picture of its worst cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import write
from benchmarks.report import FOLDER, PICTURE, page, read
from benchmarks.strips import draw
from schemas.errors import OutputError
from sources.forge import sample_cases


def publish(
    found: dict[str, Any],
    folder: Path = FOLDER,
    pictures: Sequence[Path] = (),
    progress: Callable[[str, int, int], None] | None = None,
) -> None:
    """Writes `truth.md`, `truth.json` and the picture.

    Args:
        found: What `benchmarks.truth.run` gives.
        folder: Where the page lies.
        pictures: The portraits of the run; its worst cases are made from them again.
        progress: Called as `(stage, done, total)`.

    Raises:
        OutputError: The folder cannot be written.
    """
    cases = sample_cases(found["seed"], found["cases"], pictures)
    draw(found["worst"], cases, folder / PICTURE, progress)
    try:
        write(found, folder / "truth.json")
        (folder / "truth.md").write_text(page(read(folder)), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}") from error
