"""Checks of one row: its masks, its `[SEG]` marks, its claims, its pictures.

Rows are plain dicts as Arrow gives them: a hundred thousand of them are to be checked in minutes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import rlemasklib

from schemas.records import SEG
from sources.pictures import from_picture

Row = Mapping[str, Any]
Size = tuple[int, int]


def _masks(row: Row, size: Size) -> Iterator[str]:
    """Masks decode, have the crop's size, and their area and box are what the row says."""
    known: set[str] = set()
    for place, mask in _all_masks(row):
        if (height_width := tuple(mask["size"])) != size:
            yield f"{place} is {height_width}, the crop {size}"
            continue
        if mask["counts"] not in known:
            known.add(mask["counts"])
            if _fills(mask):
                continue
            yield f"{place} does not decode to {size[0]} x {size[1]} pixels"
            return  # what decodes badly may not be measured
    measured = [("artifact", row["artifact"])]
    measured += [(f"region {one['name']}", one) for one in row["regions"]]
    for place, one in measured:
        coco = as_coco(one["segmentation"])
        if (area := rlemasklib.area(coco)) != one["area"]:
            yield f"{place} covers {area} pixels, the row says {one['area']}"
        if (box := [float(x) for x in rlemasklib.to_bbox(coco)]) != list(one["bbox"]):
            yield f"{place} lies in {box}, the row says {list(one['bbox'])}"
    for one in row["regions"]:
        if (area := rlemasklib.area(as_coco(one["concept_segmentation"]))) != one["concept_area"]:
            yield f"concept {one['name']} has {area} pixels, the row says {one['concept_area']}"


def _all_masks(row: Row) -> Iterator[tuple[str, Any]]:
    yield "artifact", row["artifact"]["segmentation"]
    for one in row["regions"]:
        yield f"region {one['name']}", one["segmentation"]
        yield f"concept {one['name']}", one["concept_segmentation"]
    for mask in row["explanation_masks"]:
        yield "a mask of the explanation", mask
    for question in row["questions"]:
        for mask in question["masks"]:
            yield f"a mask of the answer to {question['question']!r}", mask
        if question["query_segmentation"]:
            yield f"the query of {question['question']!r}", question["query_segmentation"]


def as_coco(mask: Row) -> dict[str, Any]:
    """Gives the dict that rlemasklib takes."""
    return {"size": list(mask["size"]), "counts": mask["counts"].encode()}


def _fills(mask: Any) -> bool:
    """Tells whether run lengths are whole and fill the picture."""
    try:
        rlemasklib.decompress(as_coco(mask))
    except ValueError:
        return False
    return True


def _marks(row: Row, size: Size) -> Iterator[str]:
    """A text has as many `[SEG]` as masks beside it."""
    texts = [("the explanation", row["explanation"], row["explanation_masks"])]
    texts += [
        (f"the answer to {one['question']!r}", one["answer"], one["masks"])
        for one in row["questions"]
    ]
    for place, text, masks in texts:
        if text.count(SEG) != len(masks):
            yield f"{place} has {text.count(SEG)} {SEG} and {len(masks)} masks"


def _claims(row: Row, size: Size) -> Iterator[str]:
    """Nothing that the pixels contradict is published, and published claims were counted."""
    refuted = {_said(one) for one in row["dropped"] if one["fate"] == "contradicted"}
    for claim in row["claims"]:
        if claim["verdict"] == "contradicted" or _said(claim) in refuted:
            yield f"publishes what the pixels contradict: {claim['sentence']}"
    if not row["claims"]:
        yield "publishes no claim"
    supported = sum(claim["verdict"] == "supported" for claim in row["claims"])
    if supported != row["claims_supported"]:
        yield f"{supported} supported claims, the row says {row['claims_supported']}"
    for concept in {claim["category_id"] for claim in row["claims"]} - {
        region["category_id"] for region in row["regions"]
    }:
        yield f"a claim is about concept {concept}, which is none of the row's regions"


def _said(one: Any) -> tuple[Any, ...]:
    return one["category_id"], one["kind"], one["direction"]


ROW_CHECKS: Mapping[str, Callable[[Row, Size], Iterator[str]]] = {
    "masks": _masks,
    SEG: _marks,
    "claims": _claims,
}
PICTURES = "pictures"
"""The check of `pixel_hash`, whose result a row keeps."""
ROW_CHECK_NAMES: Sequence[str] = (*ROW_CHECKS, PICTURES)


def pixel_hash(encoded: bytes | None, size: Size) -> str:
    """Gives the hash of a stored crop's pixels, `real_pixels_sha256` of a released row.

    Empty for one that does not decode, or not to the crop's size.
    """
    image = from_picture(encoded or b"")
    if image is None or image.shape[:2] != size:
        return ""
    return hashlib.sha256(image.tobytes()).hexdigest()
