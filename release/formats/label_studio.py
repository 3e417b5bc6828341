"""Label Studio: pre-annotated tasks with a brush mask for each region, and the labelling set-up.

Pictures are served from Label Studio's local storage whose folder is the release. A brush mask is
a bit stream: 32 bits length, 5 bits word size less 1, four times 4 bits of run sizes less 1; then
for each run a 1, two bits that choose the size, the length less 1 in so many bits, and the value.
Source: https://labelstud.io/tags/brushlabels, and the converter of the same project.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np

from release.formats.coco import ARTIFACT
from release.formats.stream import write_array
from release.released import Released
from schemas import rle
from schemas.records import Segmentation, Side
from schemas.releasing import ReleasedFrame, file_name

LOCAL = "/data/local-files/?d=images/"
CHANNELS = 4
"""A brush mask is a picture of red, green, blue and alpha, all 0 or 255."""
SIZES = (3, 4, 8, 16)
"""Bits that a run's length may take."""


def write(released: Released, split: str, folder: Path) -> None:
    """Writes one split."""
    write_array(folder / f"{split}.json", map(_task, released.pictured(split)))
    names = [ARTIFACT, *(one["name"] for one in released.categories)]
    labels = "\n".join(f"    <Label value={quoteattr(name)}/>" for name in names)
    (folder / f"{split}.xml").write_text(
        '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
        '  <Image name="real" value="$real"/>\n'
        f'  <BrushLabels name="regions" toName="image">\n{labels}\n  </BrushLabels>\n'
        '  <Text name="explanation" value="$explanation"/>\n</View>\n',
        encoding="utf-8",
    )


def _task(row: ReleasedFrame) -> dict[str, Any]:
    parts = [(ARTIFACT, row.artifact.segmentation)]
    parts += [(one.name, one.segmentation) for one in row.regions]
    return {
        "data": {
            "image": _address(row, "fake"), "real": _address(row, "real"),
            "id": row.id, "method": row.method, "explanation": row.explanation,
        },
        "predictions": [
            {
                "model_version": row.code_version,
                "score": row.artifact.confidence,
                "result": [_brush(str(k), name, mask) for k, (name, mask) in enumerate(parts)],
            }
        ],
    }  # fmt: skip


def _address(row: ReleasedFrame, side: Side) -> str:
    return LOCAL + quote(file_name(row.id, side))


def _brush(number: str, name: str, mask: Segmentation) -> dict[str, Any]:
    height, width = mask.size
    return {
        "id": number, "from_name": "regions", "to_name": "image", "type": "brushlabels",
        "original_width": width, "original_height": height, "image_rotation": 0,
        "value": {"format": "rle", "rle": brush_rle(mask), "brushlabels": [name]},
    }  # fmt: skip


def brush_rle(mask: Segmentation) -> list[int]:
    """Encodes a mask as Label Studio's brush run lengths, a list of bytes."""
    flat = rle.decode(mask).ravel()
    head = f"{flat.size * CHANNELS:032b}{8 - 1:05b}" + "".join(f"{one - 1:04b}" for one in SIZES)
    bits = head + "".join(_runs(flat))
    bits += "0" * (-len(bits) % 8)
    return list(int(bits, 2).to_bytes(len(bits) // 8, "big"))


def _runs(flat: np.ndarray) -> Iterator[str]:
    starts = np.flatnonzero(np.diff(flat, prepend=~flat[:1]))
    lengths = np.diff(starts, append=flat.size) * CHANNELS
    for start, length in zip(starts, lengths.tolist(), strict=True):
        value = 255 if flat[start] else 0
        while length:
            part = min(length, 1 << SIZES[-1])
            length -= part
            place = next(k for k, size in enumerate(SIZES) if part <= 1 << size)
            yield f"1{place:02b}{part - 1:0{SIZES[place]}b}{value:08b}"
