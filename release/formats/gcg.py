"""GLaMM's grounded conversation generation, as its human-annotated GranD-f set is stored.

A list of pictures with `file_name`, `image_id`, `caption` and `groundings`: phrase to its place in
the caption (`token_positives`, characters) and its masks (`rle_masks`).
Source: https://github.com/mbzuai-oryx/groundingLMM, docs/datasets.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from release.formats.stream import write_array
from release.released import Released
from release.rows import Row
from schemas.records import SEG
from schemas.releasing import file_name

_GROUNDED = re.compile(r"<p>(?P<phrase>.*?)</p>(?P<mark> *" + re.escape(SEG) + ")?", re.DOTALL)


def write(released: Released, split: str, folder: Path) -> None:
    """Writes one split; real sides, of which nothing is to be grounded, are left out."""
    write_array(folder / f"{split}.json", _captions(released, split))


def _captions(released: Released, split: str) -> Iterator[dict[str, Any]]:
    for row in released.rows(split, ("id", "explanation", "explanation_masks")):
        caption, groundings = ground(row["explanation"], row["explanation_masks"])
        yield {
            "file_name": file_name(row["id"], "fake"), "image_id": row["id"], "caption": caption,
            "groundings": groundings,
        }  # fmt: skip


def ground(explanation: str, masks: Iterable[Row]) -> tuple[str, dict[str, Any]]:
    """Gives an explanation without its marks, and where its phrases are, with their masks."""
    caption, end, groundings = "", 0, dict[str, Any]()
    left = iter(masks)
    for found in _GROUNDED.finditer(explanation):
        caption += explanation[end : found.start()]
        start, end = len(caption), found.end()
        caption += found["phrase"]
        if not found["mark"]:
            continue
        place = {"token_positives": [start, len(caption)], "rle_masks": []}
        groundings.setdefault(found["phrase"], place)["rle_masks"].append(next(left))
    return caption + explanation[end:], groundings
