"""FiftyOne: two of its documented layouts for each split.

`labels.json` is a `COCODetectionDataset` (its `data_path` is `images/`), `classes.json` the labels
of a `FiftyOneImageClassificationDataset`: the class of forgery of each picture.
Source: https://docs.voxel51.com/user_guide/import_datasets.html
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from release.formats.coco import instances
from release.formats.stream import Pairs, write_object
from release.released import Released
from schemas.releasing import file_name

REAL = "none"
"""Class of a real picture, as the answer of task Cls."""


def write(released: Released, split: str, folder: Path) -> None:
    """Writes one split."""
    write_object(folder / split / "labels.json", instances(released, split))
    classes = sorted({REAL, *(row["forgery"] for row in released.rows(split, ["forgery"]))})
    labels = Pairs(_labels(released, split, classes))
    write_object(folder / split / "classes.json", [("classes", classes), ("labels", labels)])


def _labels(released: Released, split: str, classes: list[str]) -> Iterator[tuple[str, int]]:
    """Gives each picture's name without its ending, and the place of its class."""
    for row in released.rows(split, ("id", "forgery")):
        yield file_name(row["id"], "real").removesuffix(".jpg"), classes.index(REAL)
        yield file_name(row["id"], "fake").removesuffix(".jpg"), classes.index(row["forgery"])
