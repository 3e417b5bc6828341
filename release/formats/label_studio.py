"""Label Studio: pre-annotated tasks with a brush mask for each region, and the labelling set-up.

Pictures are served from Label Studio's local storage whose folder is the release. A brush mask is
a bit stream: 32 bits length, 5 bits word size less 1, four times 4 bits of run sizes less 1; then
for each run a 1, two bits that choose the size, the length less 1 in so many bits, and the value.
Source: https://labelstud.io/tags/brushlabels, and the converter of the same project.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray
from rlemasklib import RLEMask

from release.formats.coco import ARTIFACT
from release.formats.stream import write_array
from release.released import Released
from release.rows import Row, as_coco
from schemas.records import Side
from schemas.releasing import file_name

LOCAL = "/data/local-files/?d=images/"
CHANNELS = 4
"""A brush mask is a picture of red, green, blue and alpha, all 0 or 255."""
SIZES = (3, 4, 8, 16)
"""Bits that a run's length may take."""
LONGEST = 1 << np.array(SIZES)
"""Longest runs of these sizes."""
COLUMNS = (
    "id", "method", "explanation", "code_version", "artifact.confidence", "artifact.segmentation",
    "regions.list.element.name", "regions.list.element.segmentation",
)  # fmt: skip
Ints = NDArray[np.int64]


def write(released: Released, split: str, folder: Path) -> None:
    """Writes one split."""
    write_array(folder / f"{split}.json", map(_task, released.rows(split, COLUMNS)))
    names = [ARTIFACT, *(one["name"] for one in released.categories)]
    labels = "\n".join(f"    <Label value={quoteattr(name)}/>" for name in names)
    (folder / f"{split}.xml").write_text(
        '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
        '  <Image name="real" value="$real"/>\n'
        f'  <BrushLabels name="regions" toName="image">\n{labels}\n  </BrushLabels>\n'
        '  <Text name="explanation" value="$explanation"/>\n</View>\n',
        encoding="utf-8",
    )


def _task(row: Row) -> dict[str, Any]:
    parts = [(ARTIFACT, row["artifact"]["segmentation"])]
    parts += [(one["name"], one["segmentation"]) for one in row["regions"]]
    return {
        "data": {
            "image": _address(row, "fake"), "real": _address(row, "real"),
            "id": row["id"], "method": row["method"], "explanation": row["explanation"],
        },
        "predictions": [
            {
                "model_version": row["code_version"],
                "score": row["artifact"]["confidence"],
                "result": [_brush(str(k), name, mask) for k, (name, mask) in enumerate(parts)],
            }
        ],
    }  # fmt: skip


def _address(row: Row, side: Side) -> str:
    return LOCAL + quote(file_name(row["id"], side))


def _brush(number: str, name: str, mask: Row) -> dict[str, Any]:
    height, width = mask["size"]
    return {
        "id": number, "from_name": "regions", "to_name": "image", "type": "brushlabels",
        "original_width": width, "original_height": height, "image_rotation": 0,
        "value": {"format": "rle", "rle": brush_rle(mask), "brushlabels": [name]},
    }  # fmt: skip


def brush_rle(mask: Row) -> list[int]:
    """Encodes a mask, a dict of size and counts, as Label Studio's brush: a list of bytes."""
    rows = RLEMask.from_dict(as_coco(mask)).transpose()  # run lengths go down, a brush's across
    values, runs = _parts(np.asarray(rows.counts, np.int64) * CHANNELS)
    places = np.searchsorted(LONGEST, runs)
    sizes = np.take(SIZES, places)
    codes = (((4 | places) << sizes | (runs - 1)) << 8) | values  # 4: the leading 1
    head = f"{mask['size'][0] * mask['size'][1] * CHANNELS:032b}{8 - 1:05b}"
    head += "".join(f"{one - 1:04b}" for one in SIZES)
    bits = np.concatenate([np.array([*head], np.uint8), _bits(codes, 3 + sizes + 8)])
    return np.packbits(bits).tolist()


def _parts(runs: Ints) -> tuple[Ints, Ints]:
    """Gives value and length of each run, cut into parts where it is too long for one."""
    parts = -(-runs // LONGEST[-1])
    lengths = np.full(parts.sum(), LONGEST[-1])
    ends = np.cumsum(parts)[parts > 0]
    lengths[ends - 1] = (runs - (parts - 1) * LONGEST[-1])[parts > 0]
    return np.repeat(np.arange(runs.size) % 2 * 255, parts), lengths


def _bits(codes: Ints, sizes: Ints) -> NDArray[np.uint8]:
    """Writes numbers one after the other, each in so many bits, the highest first."""
    places = np.arange(sizes.max())[::-1]
    return (codes[:, None] >> places & 1).astype(np.uint8)[places < sizes[:, None]]
