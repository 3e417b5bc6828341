"""DD-VQA: for each method a JSON of pictures, each with numbered questions and their answers.

A key is the number of the method, as DD-VQA counts them (the method's name where it has none), and
the id of the row. Question 0 is about the whole face, the others about parts of it.
Source: https://github.com/Reality-Defender/Research-DD-VQA, README.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from release.formats.images import below
from release.formats.llava import in_words
from release.formats.stream import write_object
from release.released import Released
from schemas.errors import OutputError
from schemas.records import Side
from schemas.releasing import ReleasedFrame

CODES = {"Deepfakes": "0", "Face2Face": "1", "FaceShifter": "2", "FaceSwap": "3",
         "NeuralTextures": "6"}  # fmt: skip
ORIGINAL, ORIGINAL_CODE = "Original", "5"
WHOLE, PART = "I-TOE", "R-TOE"


def write(released: Released, split: str, folder: Path) -> None:
    """Writes one split.

    Raises:
        OutputError: A method's name leads out of the folder, or is that of the real sides.
    """
    methods = sorted({row.method for row in released.pictured(split)})
    for method in methods:
        path = below(folder / split, f"{method}.json")
        if method.casefold() == ORIGINAL.casefold():
            raise OutputError(f"dd-vqa keeps real sides in {ORIGINAL}.json: no method has its name")
        write_object(path, _pictures(released, split, "fake", method))
    path = folder / split / f"{ORIGINAL}.json"
    write_object(path, _pictures(released, split, "real", ""))


def _pictures(
    released: Released, split: str, side: Side, method: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in released.pictured(split):
        if method in ("", row.method):
            code = CODES.get(row.method, row.method) if side == "fake" else ORIGINAL_CODE
            yield f"{code}_{row.id}", _questions(row, side)


def _questions(row: ReleasedFrame, side: Side) -> dict[str, Any]:
    asked = [one for one in row.questions if one.image == side and one.task in (WHOLE, PART)]
    asked.sort(key=lambda one: one.task != WHOLE)  # the whole face first
    size = row.artifact.segmentation.size
    return {
        str(number): {"question": in_words(one, size), "answer": [one.answer]}
        for number, one in enumerate(asked)
    }
