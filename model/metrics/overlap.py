"""Masks against right masks: strict and lenient mIoU, AP50, recall in two variants.

N is the number of masks that were said, M that of the right ones.
Source: the lenient variants are those of GLaMM's evaluation (arXiv 2311.03356), as its code does
them: pairs are taken greedily by IoU; its mIoU is the mean over pairs that overlap at all, its
recall stops at the first pair that is not good enough. Ours are one-to-one and count what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from model.answer import Answer
from model.metrics.case import Case, Figures, mean, share
from model.metrics.grounding import phrases
from schemas import rle

Masks = NDArray[np.bool_]
"""`(N, H, W) bool`."""
GOOD = 0.5
"""IoU from which a mask is found."""


def iou_matrix(said: Masks, right: Masks) -> NDArray[np.float64]:
    """Gives `(N, M)` IoU; 0 where both masks are empty.

    Raises:
        TypeError: Masks that are not bool: their sums would count overlaps twice.
    """
    if said.dtype != np.bool_ or right.dtype != np.bool_:
        raise TypeError(f"masks must be bool, not {said.dtype} and {right.dtype}")
    pixels = right.shape[1] * right.shape[2]
    ours, theirs = (each.reshape(-1, pixels).astype(np.float32) for each in (said, right))
    both = (ours @ theirs.T).astype(np.float64)
    union = ours.sum(1)[:, None] + theirs.sum(1)[None] - both
    iou: NDArray[np.float64] = np.divide(both, union, out=np.zeros_like(both), where=union > 0)
    return iou


def strict_miou(iou: NDArray[np.float64]) -> float | None:
    """Gives the sum of IoU over the best one-to-one pairs, over `max(N, M)`; None of no masks."""
    pairs = linear_sum_assignment(iou, maximize=True)
    return share(float(iou[pairs].sum()), max(iou.shape))


def glamm_miou(iou: NDArray[np.float64]) -> float:
    """Gives GLaMM's mIoU: the mean over greedy pairs with IoU above 0; what is left is ignored."""
    taken = [value for value, _ in _greedy(iou) if value > 0]
    return float(np.mean(taken)) if taken else 0.0


def strict_found(iou: NDArray[np.float64], fits: NDArray[np.bool_]) -> int:
    """Counts the most one-to-one pairs that fit and whose IoU is at least 0.5."""
    good = (iou >= GOOD) & fits
    return int(good[linear_sum_assignment(good, maximize=True)].sum())


def glamm_found(iou: NDArray[np.float64], fits: NDArray[np.bool_]) -> int:
    """Counts greedy pairs up to the first that is below 0.5, or does not fit, as GLaMM does."""
    found = 0
    for value, pair in _greedy(iou):
        if value < GOOD or not fits[pair]:
            break
        found += 1
    return found


def _greedy(iou: NDArray[np.float64]) -> list[tuple[float, tuple[int, int]]]:
    left, pairs = iou.copy(), []
    for _ in range(min(iou.shape)):
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        pairs.append((float(left[row, column]), (int(row), int(column))))
        left[row], left[:, column] = -1, -1
    return pairs


class Overlap:
    """Gathers masks.

    Args:
        related: Tells whether two phrases name the same region; pairs of other phrases are not
            found by either recall. Answers without phrases are compared by masks alone.
    """

    def __init__(self, related: Callable[[str, str], bool]) -> None:
        self._related = related
        self._strict: list[float] = []
        self._glamm: list[float] = []
        self._found = self._glamm_found = self._right = 0
        self._said_coco: list[dict[str, Any]] = []
        self._right_coco: list[dict[str, Any]] = []
        self._images: list[dict[str, Any]] = []

    def add(self, case: Case, answer: Answer) -> None:
        """Takes one answer up, where the right one has masks."""
        if not len(case.masks):
            return
        said = answer.masks.numpy()
        iou = iou_matrix(said, case.masks)
        fits = self._fits(phrases(answer.text), case.phrases)
        self._strict.append(strict_miou(iou) or 0.0)
        self._glamm.append(glamm_miou(iou))
        self._found += strict_found(iou, fits)
        self._glamm_found += glamm_found(iou, fits)
        self._right += len(case.masks)
        self._note(said, case.masks)

    def _fits(self, said: Sequence[str], right: Sequence[str]) -> NDArray[np.bool_]:
        rows = [[not b or self._related(a, b) for b in right] for a in said]
        return np.array(rows, dtype=np.bool_).reshape(len(said), len(right))

    def _note(self, said: Masks, right: Masks) -> None:
        image = len(self._images) + 1
        self._images.append({"id": image, "height": right.shape[1], "width": right.shape[2]})
        self._said_coco += [_coco(mask, image) | {"score": 1.0} for mask in said]
        for mask in right:
            facts = {"id": len(self._right_coco) + 1, "iscrowd": 0}
            self._right_coco.append(_coco(mask, image) | facts)

    def figures(self) -> Figures:
        """Gives `miou_strict`, `miou_glamm`, `ap50`, `recall50_strict`, `recall50_glamm`."""
        return {
            "miou_strict": mean(self._strict),
            "miou_glamm": mean(self._glamm),
            "ap50": self._ap50(),
            "recall50_strict": share(self._found, self._right),
            "recall50_glamm": share(self._glamm_found, self._right),
        }

    def _ap50(self) -> float | None:
        if not self._right_coco:
            return None
        if not self._said_coco:
            return 0.0
        regions = [{"id": 1, "name": "region"}]
        right = COCO(
            {"images": self._images, "annotations": self._right_coco, "categories": regions}
        )
        run = COCOeval_faster(right, right.loadRes(self._said_coco), "segm")
        run.evaluate()
        run.accumulate()
        run.summarize()
        return float(run.stats[1])


def _coco(mask: Masks, image: int) -> dict[str, Any]:
    coded = rle.encode(mask)
    return {
        "image_id": image,
        "category_id": 1,
        "segmentation": {"size": list(coded.size), "counts": coded.counts},
        "area": rle.area(mask),
        "bbox": list(rle.bbox(mask)),
    }
