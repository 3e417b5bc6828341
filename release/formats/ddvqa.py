"""DD-VQA: for each method a JSON of pictures, each with numbered questions and their answers.

A key is the number of the method, as DD-VQA counts them (the method's name where it has none), and
the id of the row. Question 0 is about the whole face, the others about parts of it.
Source: https://github.com/Reality-Defender/Research-DD-VQA, README.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from release.formats.images import below
from release.formats.llava import ASKED, in_words
from release.formats.stream import object_file
from release.released import Released
from release.rows import Row
from schemas.errors import OutputError
from schemas.records import Side

CODES = {"Deepfakes": "0", "Face2Face": "1", "FaceShifter": "2", "FaceSwap": "3",
         "NeuralTextures": "6"}  # fmt: skip
ORIGINAL, ORIGINAL_CODE = "Original", "5"
WHOLE, PART = "I-TOE", "R-TOE"


def write(released: Released, split: str, folder: Path) -> None:
    """Writes one split: the files of all methods in one pass.

    Raises:
        OutputError: A method's name leads out of the folder, or is that of the real sides.
    """
    methods = sorted({row["method"] for row in released.rows(split, ["method"])})
    paths = {method: _path(folder / split, method) for method in methods}
    paths[ORIGINAL] = folder / split / f"{ORIGINAL}.json"
    with ExitStack() as files:
        add = {name: files.enter_context(object_file(path)) for name, path in paths.items()}
        for row in released.rows(split, ("method", *ASKED)):
            method = row["method"]
            add[method](f"{CODES.get(method, method)}_{row['id']}", _questions(row, "fake"))
            add[ORIGINAL](f"{ORIGINAL_CODE}_{row['id']}", _questions(row, "real"))


def _path(folder: Path, method: str) -> Path:
    path = below(folder, f"{method}.json")
    if method.casefold() == ORIGINAL.casefold():
        raise OutputError(f"dd-vqa keeps real sides in {ORIGINAL}.json: no method has its name")
    return path


def _questions(row: Row, side: Side) -> dict[str, Any]:
    asked = [one for one in row["questions"] if one["image"] == side]
    asked = [one for one in asked if one["task"] in (WHOLE, PART)]
    asked.sort(key=lambda one: one["task"] != WHOLE)  # the whole face first
    size = row["artifact"]["segmentation"]["size"]
    return {
        str(number): {"question": in_words(one, size), "answer": [one["answer"]]}
        for number, one in enumerate(asked)
    }
