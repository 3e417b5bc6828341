"""Finds the faces of a frame: BlazeFace decoded by hand, near and far faces.

Source: Bazarevsky et al., BlazeFace (2019); Google MediaPipe models (Apache-2.0).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fict.models import load_model

SCORE_MIN = 0.5
"""Detections below this probability are dropped."""
OVERLAP_MAX = 0.3
"""Detections of one face: those whose intersection over union is above this."""
TILE, TILED_ABOVE = 640, 640
"""Frames with a side above the second, in pixels, are searched again in tiles of the first."""


@dataclass(frozen=True)
class Net:
    """One BlazeFace network: its file and its anchor grids as (cells a side, anchors a cell)."""

    file_name: str
    grids: tuple[tuple[int, int], ...]


SHORT_RANGE = Net("face_detection_short_range.tflite", ((16, 2), (8, 6)))
FULL_RANGE = Net("face_detection_full_range.tflite", ((48, 1),))


@functools.cache
def anchors(grids: tuple[tuple[int, int], ...]) -> NDArray[np.float32]:
    """(N, 2) float32 anchor centres (x, y) in the unit square, row by row, grid by grid."""
    rows = []
    for cells, repeat in grids:
        y, x = np.divmod(np.arange(cells * cells), cells)
        rows.append(np.repeat(np.stack([x, y], 1) + 0.5, repeat, axis=0) / cells)
    return np.concatenate(rows).astype(np.float32)


def find_in(image: NDArray[np.uint8], net: Net) -> NDArray[np.float32]:
    """One pass of one network over one picture.

    Args:
        image: (H, W, 3) uint8 RGB.
        net: which network.

    Returns:
        (N, 17) float32 candidates: probability, box x0 y0 x1 y1, then six points x y (right eye,
        left eye, nose, mouth, right ear, left ear; the subject's sides), in pixels of `image`.
    """
    model = load_model(net.file_name)
    height, width = image.shape[:2]
    side = max(height, width)
    scale = model.side / side
    square = np.zeros((model.side, model.side, 3), np.float32)
    small_size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, small_size, interpolation=cv2.INTER_AREA)
    square[: small_size[1], : small_size[0]] = small
    raw, logits = model(square / 127.5 - 1.0)
    score = 1.0 / (1.0 + np.exp(-np.clip(logits[:, 0], -50, 50)))
    keep = score >= SCORE_MIN
    centre = anchors(net.grids)[keep]
    offsets = raw[keep] / model.side
    points = offsets.reshape(-1, 8, 2)
    middle, half = points[:, 0] + centre, points[:, 1] / 2
    parts = [middle - half, middle + half, *(points[:, k] + centre for k in range(2, 8))]
    in_pixels = np.concatenate(parts, axis=1) * side
    return np.concatenate([score[keep, None], in_pixels], axis=1).astype(np.float32)


def merge(found: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weighted non-maximum suppression: overlapping candidates become their score-weighted mean."""
    rest = found[np.argsort(-found[:, 0], kind="stable")]
    kept = []
    while len(rest):
        same = overlap(rest[0, 1:5], rest[:, 1:5]) > OVERLAP_MAX
        same[0] = True
        weights = rest[same, :1]
        mean = (rest[same] * weights).sum(0) / weights.sum()
        mean[0] = rest[0, 0]
        kept.append(mean)
        rest = rest[~same]
    return np.stack(kept) if kept else np.zeros((0, 17), np.float32)


def overlap(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) float32 intersection over union of one box_xyxy with (N, 4) others."""
    size = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.clip(size, 0, None).prod(1)
    areas = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(1)
    union = np.clip(box[2:] - box[:2], 0, None).prod() + areas - shared
    return np.asarray(shared / np.maximum(union, 1e-6), dtype=np.float32)


def tiles(height: int, width: int) -> list[tuple[int, int]]:
    """Top left corners (x, y) of overlapping tiles that cover a large frame; none for others."""
    if max(height, width) <= TILED_ABOVE:
        return []

    def starts(length: int) -> list[int]:
        count = max(1, int(np.ceil((length - TILE) / (TILE * 0.75))) + 1)
        return [int(v) for v in np.linspace(0, max(0, length - TILE), count)]

    return [(x, y) for y in starts(height) for x in starts(width)]


def find_faces(image: NDArray[np.uint8], far: bool = True) -> NDArray[np.float32]:
    """Candidates of the whole frame, near and far, merged; same columns as `find_in`.

    The short-range network sees the whole frame (near faces), the full-range network sees the frame
    and, where the frame is large, overlapping tiles of it (far faces), unless `far` is unset.
    """
    places = tiles(*image.shape[:2])
    seen, scale = _halved(image) if places else (image, 1)
    found = [find_in(seen, SHORT_RANGE), find_in(seen, FULL_RANGE)]
    side = TILE // scale
    for x, y in ((x // scale, y // scale) for x, y in places if far):
        part = find_in(np.ascontiguousarray(seen[y : y + side, x : x + side]), FULL_RANGE)
        part[:, 1:] += np.tile(np.array([x, y], np.float32), 8)
        found.append(part)
    candidates = np.concatenate(found)
    candidates[:, 1:] *= scale
    return merge(candidates)


def _halved(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """A large frame at half its size, and 2: by whole pixels it is made small far quicker.

    The networks see no more than 192 pixels of a tile or frame, so nothing that they see is lost.
    An odd last row or column is.
    """
    height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    size = (width // 2, height // 2)
    half = cv2.resize(image[:height, :width], size, interpolation=cv2.INTER_AREA)
    return np.asarray(half, np.uint8), 2
