"""COCO run-length encoding of masks, byte for byte what pycocotools writes."""

from __future__ import annotations

import numpy as np
import rlemasklib
from numpy.typing import NDArray

from schemas.records import Segmentation


def encode(mask: NDArray[np.bool_]) -> Segmentation:
    """Encodes one mask.

    Args:
        mask: `(H, W) bool`.

    Returns:
        The COCO RLE with string counts and size `(H, W)`.
    """
    rle = rlemasklib.encode(np.ascontiguousarray(mask, dtype=np.uint8))
    height, width = mask.shape
    return Segmentation(size=(height, width), counts=rle["counts"].decode("ascii"))


def decode(segmentation: Segmentation) -> NDArray[np.bool_]:
    """Decodes one mask to `(H, W) bool`; the inverse of `encode`."""
    mask = rlemasklib.decode(as_coco(segmentation))
    return np.asarray(mask, dtype=np.bool_)


def as_coco(segmentation: Segmentation) -> dict[str, object]:
    """Gives the dict that pycocotools and rlemasklib take (`counts` as bytes)."""
    return {"size": list(segmentation.size), "counts": segmentation.counts.encode("ascii")}


def area(mask: NDArray[np.bool_]) -> int:
    """Counts the pixels of a mask."""
    return int(np.count_nonzero(mask))


def bbox(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Gives the tight box of a mask as COCO `(x, y, width, height)`; zeros for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return (0.0, 0.0, 0.0, 0.0)
    x, y = float(columns[0]), float(rows[0])
    return (x, y, float(columns[-1]) + 1 - x, float(rows[-1]) + 1 - y)
