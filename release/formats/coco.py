"""COCO JSON: `coco/<split>.json`, which pycocotools and everything built on it load.

Each side of a pair is an image; the real side has no annotation. An annotation is a region's
changed pixels, or the whole artifact mask under the category `artifact`. Masks are run lengths.
Source: https://cocodataset.org/#format-data
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from release.formats.stream import write_object
from release.released import Released
from release.rows import Row
from schemas.records import Side
from schemas.releasing import file_name

ARTIFACT = "artifact"
Json = dict[str, Any]
MASKED = ("area", "bbox", "segmentation")


def write(released: Released, split: str, folder: Path) -> None:
    """Writes one split."""
    write_object(folder / f"{split}.json", instances(released, split))


def instances(released: Released, split: str) -> Iterator[tuple[str, Any]]:
    """Gives the parts of a COCO file; its lists are made while they are written."""
    facts = released.facts
    licence = facts["licence"]
    whole = {"id": artifact_id(released), "name": ARTIFACT, "supercategory": ARTIFACT}
    yield "info", {"description": facts["title"], "version": facts["release"]["version"]}
    yield "licenses", [{"id": 1, "name": licence["name"], "url": licence["url"]}]
    yield "categories", [*({**one} for one in released.categories), whole]
    yield "images", _images(released, split)
    yield "annotations", _annotations(released, split)


def artifact_id(released: Released) -> int:
    """Gives the category of whole artifact masks: the first number that is no FICT node's."""
    return 1 + max(int(one["id"]) for one in released.categories)


def _images(released: Released, split: str) -> Iterator[Json]:
    columns = ("id", "method", "compression", "artifact.segmentation.size")
    for number, row in enumerate(released.rows(split, columns)):
        yield _image(row, "real", 2 * number + 1)
        yield _image(row, "fake", 2 * number + 2)


def _image(row: Row, side: Side, number: int) -> Json:
    height, width = row["artifact"]["segmentation"]["size"]
    return {
        "id": number, "file_name": file_name(row["id"], side), "height": height, "width": width,
        "license": 1, "side": side, "row": row["id"], "method": row["method"],
        "compression": row["compression"],
    }  # fmt: skip


def _annotations(released: Released, split: str) -> Iterator[Json]:
    whole, number = artifact_id(released), 0
    columns = [f"artifact.{name}" for name in MASKED]
    columns += [f"regions.list.element.{name}" for name in ("category_id", *MASKED)]
    for place, row in enumerate(released.rows(split, columns)):
        parts = [(whole, row["artifact"])]
        parts += [(one["category_id"], one) for one in row["regions"]]
        for category, part in parts:
            number += 1
            yield _annotation(part, number, 2 * place + 2, category)


def _annotation(part: Row, number: int, image: int, category: int) -> Json:
    return {
        "id": number, "image_id": image, "category_id": category, "iscrowd": 0,
        "area": part["area"], "bbox": part["bbox"], "segmentation": part["segmentation"],
    }  # fmt: skip
