"""The measure stage as one would write it first, from the same libraries: the speed bench's rival.

    python -m benchmarks.straightforward REAL FAKE FOLDER     rows to FOLDER/rows.jsonl

The same frames are looked at, the same faces found by the same mesh, and a row holds the same
things: crops, label map, artifact mask, the FICT concepts that it covers with their masks and
sizes, measurements with their spread for each of them, all masks as COCO RLE. Each step is the
plain call of its library (PyAV, scikit-image, SciPy, pycocotools); what is shared by regions is
computed once a frame, what is needed of one region is computed on the picture. Nothing is slow on
purpose, nothing is tuned. How good its masks are is another question (`facext bench truth` asks it
of the `ssim` policy).
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco
from scipy import ndimage
from skimage.color import rgb2lab
from skimage.filters import laplace, threshold_otsu
from skimage.metrics import structural_similarity
from skimage.morphology import disk, remove_small_objects

from fict.labelmap import label_map
from fict.landmarks import MeshLandmarks
from fict.tree import Concept, Tree, load_tree

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]

LEAST_SHARE = 0.25
"""Of a concept's pixels: as much must have changed for it to be named."""
LEAST_SPOT = 100
"""Pixels of a 512-pixel crop: about the least spot of the measure stage."""
MARGIN = 1.7
"""Side of the crop over the height of the face."""
RIGHT_EYE, LEFT_EYE = 33, 263


@dataclass(frozen=True)
class Crop:
    """One frame of both sides, cut alike."""

    index: int
    real: Image
    fake: Image
    landmarks: NDArray[np.float32]
    unlike: Floats


def annotate_pair(
    real: Path, fake: Path, folder: Path, frames: int = 4, context: int = 3, size: int = 512
) -> int:
    """Annotates evenly spaced frames of a pair.

    Args:
        real: The real video.
        fake: The fake video.
        folder: Where `rows.jsonl` and the pictures go.
        frames: Frames to annotate.
        context: Frames looked at for each; the mask takes their mean.
        size: Side of the crop.

    Returns:
        Rows written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    indices = spaced(count_frames(fake), frames * context)
    wanted = {indices[k] for k in spaced(len(indices), frames)}
    crops = list(cut(decode(real, indices), decode(fake, indices), indices, size))
    if not crops:
        return 0
    steady = np.mean([crop.unlike for crop in crops], axis=0)
    tree, rows = load_tree(), 0
    with (folder / "rows.jsonl").open("a", encoding="utf-8") as file:
        for crop in crops:
            if crop.index in wanted:
                file.write(json.dumps(row_of(crop, steady, tree, folder)) + "\n")
                rows += 1
    return rows


def count_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return int(container.streams.video[0].frames)


def spaced(frames: int, count: int) -> list[int]:
    count = min(count, frames)
    return [(2 * k + 1) * frames // (2 * count) for k in range(count)]


def decode(path: Path, indices: Sequence[int]) -> list[Image]:
    wanted, found = set(indices), []
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for index, frame in enumerate(container.decode(video=0)):
            if index in wanted:
                found.append(frame.to_ndarray(format="rgb24"))
            if index == indices[-1]:
                break
    return found


def cut(
    reals: Sequence[Image], fakes: Sequence[Image], indices: Sequence[int], size: int
) -> Iterator[Crop]:
    finder = MeshLandmarks()
    for index, real, fake in zip(indices, reals, fakes, strict=True):
        faces = finder.detect(real)
        if not faces:
            continue
        points = faces[0].landmarks
        affine = crop_affine(points, size)
        sides = [cv2.warpAffine(side, affine, (size, size)) for side in (real, fake)]
        moved = points.copy()
        moved[:, :2] = points[:, :2] @ affine[:, :2].T + affine[:, 2]
        moved[:, 2] *= np.hypot(*affine[0, :2])
        _, alike = structural_similarity(*sides, channel_axis=2, full=True)
        yield Crop(index, sides[0], sides[1], moved, 1 - alike.mean(axis=2))


def crop_affine(points: NDArray[np.float32], size: int) -> NDArray[np.float64]:
    across = points[LEFT_EYE, :2] - points[RIGHT_EYE, :2]
    cos, sin = across / np.hypot(*across)
    turn = np.array([[cos, sin], [-sin, cos]])
    level = points[:, :2] @ turn.T
    low, high = level.min(axis=0), level.max(axis=0)
    scale = size / (MARGIN * (high[1] - low[1]))
    return np.hstack([scale * turn, (size / 2 - scale * (low + high) / 2)[:, None]])


def row_of(crop: Crop, steady: Floats, tree: Tree, folder: Path) -> dict[str, Any]:
    changed = artifact_mask(np.maximum(crop.unlike, steady))
    labels = label_map(crop.landmarks, crop.real.shape[0], tree, crop.real)
    maps = Maps(crop, changed)
    pictures = {"real": crop.real[..., ::-1], "fake": crop.fake[..., ::-1], "labels": labels}
    for name, picture in pictures.items():
        ending = "png" if name == "labels" else "jpg"
        cv2.imwrite(str(folder / f"{crop.index:06d}-{name}.{ending}"), picture)
    named = covered(tree.root, labels, changed, tree) or []
    return {
        "frame": crop.index,
        "artifact": encoded(changed),
        "regions": [region_of(n, within(labels, n, tree), maps) for n in named],
    }


def artifact_mask(unlike: Floats) -> Mask:
    mask = unlike > threshold_otsu(unlike)
    closed = ndimage.binary_closing(mask, disk(3))
    return np.asarray(ndimage.binary_fill_holes(remove_small_objects(closed, max_size=LEAST_SPOT)))


def covered(node: Concept, labels: Image, changed: Mask, tree: Tree) -> list[int] | None:
    """Gives the concepts within one that changed, itself where all of it did; None: not seen."""
    parts = [(child.id, covered(child, labels, changed, tree)) for child in tree.children_of(node)]
    own = labels == node.id
    if own.any():
        is_changed = (own & changed).sum() >= LEAST_SHARE * own.sum()
        parts.append((node.id, [node.id] if is_changed else []))
    seen = [(part, found) for part, found in parts if found is not None]
    if not seen:
        return None
    if node is not tree.root and all(found == [part] for part, found in seen):
        return [node.id]
    return [one for _, found in seen for one in found]


def within(labels: Image, concept: int, tree: Tree) -> Mask:
    below = tree.descendants_of(tree.by_id[concept])
    return np.isin(labels, [concept, *(node.id for node in below)])


def region_of(concept: int, mask: Mask, maps: Maps) -> dict[str, Any]:
    changed = mask & maps.changed
    return {
        "category_id": concept,
        "concept_area": int(mask.sum()),
        "concept": encoded(mask),
        "area": int(changed.sum()),
        "changed": encoded(changed),
        "evidence": maps.measure(changed),
    }


def encoded(mask: Mask) -> dict[str, Any]:
    rle: dict[str, Any] = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return rle | {"counts": rle["counts"].decode(), "bbox": coco.toBbox(rle).tolist()}


class Maps:
    """What is measured of a frame, pixel by pixel; each map is made once."""

    def __init__(self, crop: Crop, changed: Mask) -> None:
        self.changed = changed
        self.real, self.fake = rgb2lab(crop.real), rgb2lab(crop.fake)
        self.unchanged = ~ndimage.binary_dilation(changed, iterations=7)

    @functools.cached_property
    def maps(self) -> dict[str, Floats]:
        shift = self.fake - self.real
        return {
            "change": np.linalg.norm(shift, axis=2),
            "lightness": shift[..., 0],
            "red-green": shift[..., 1],
            "yellow-blue": shift[..., 2],
            "sharpness": self._ratio(lambda light: laplace(ndimage.gaussian_filter(light, 1.5))),
            "texture": self._ratio(lambda light: light - ndimage.gaussian_filter(light, 1.5)),
            "right": self.flow[..., 0],
            "down": self.flow[..., 1],
            "larger": sum(np.gradient(self.flow[..., k], axis=1 - k) for k in (0, 1)),
        }

    @functools.cached_property
    def flow(self) -> Floats:
        before, after = (np.uint8(side[..., 0] * 2.55) for side in (self.real, self.fake))
        flow = cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 3, 15, 3, 5, 1.2, 0)
        return np.asarray(flow)

    def _ratio(self, detail: Any) -> Floats:
        before, after = (
            ndimage.uniform_filter(detail(side[..., 0]) ** 2, 9) for side in (self.real, self.fake)
        )
        return np.asarray(0.5 * np.log((after + 0.02) / (before + 0.02)))

    @functools.cached_property
    def spreads(self) -> dict[str, float]:
        """What chance does: the robust spread of each map where nothing changed."""
        still = {name: each[self.unchanged] for name, each in self.maps.items()}
        return {name: 1.4826 * float(np.median(np.abs(each))) for name, each in still.items()}

    def measure(self, where: Mask) -> dict[str, tuple[float, float]]:
        """Gives effect and spread of each measurement of a region."""
        found = {
            name: (float(each[where].mean()), self.spreads[name])
            for name, each in self.maps.items()
        }
        return found | {"seam": (self._seam(where), self.spreads["lightness"])}

    def _seam(self, where: Mask) -> float:
        """Gives how much more the lightness changed just inside the border than just outside."""
        inside = where & ~ndimage.binary_erosion(where, iterations=4)
        outside = ndimage.binary_dilation(where, iterations=4) & ~self.changed
        if not inside.any() or not outside.any():
            return 0.0
        change = self.maps["lightness"]
        return float(abs(change[inside].mean() - change[outside].mean()))


if __name__ == "__main__":
    real_path, fake_path, out = (Path(argument) for argument in sys.argv[1:])
    annotate_pair(real_path, fake_path, out)
