"""Which FICT concepts did the forgery touch? An exact rule instead of promotion by thresholds.

For a concept n with pixels R_n and the artifact mask M,

    gain(n) = |M and R_n| - miss x |R_n minus M| - entry x |crop|

and the answer is the set of concepts, none below another, whose gains add up to the most. Going up
from the leaves, a concept is taken whole exactly where its own gain exceeds the best of what lies
below it. A spot of the mask that lies mostly outside all of these, such as a mole on a cheek, is
told of the atomic concept that holds most of it. Source: ours; it replaces the paper's
atomic-to-parent promotion.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fict.tree import Concept, Tree
from schemas.manifest import LocaliseSettings


@dataclass(frozen=True)
class Located:
    """One chosen concept.

    Attributes:
        concept: FICT node id.
        hit: Changed pixels inside it.
        area: Its pixels.
        gain: Its gain, in pixels.
    """

    concept: int
    hit: int
    area: int
    gain: float


def localise(
    mask: NDArray[np.bool_], labels: NDArray[np.uint8], tree: Tree, settings: LocaliseSettings
) -> list[Located]:
    """Finds the concepts that explain an artifact mask best.

    Args:
        mask: `(S, S) bool` artifact mask.
        labels: `(S, S) uint8` FICT node of each pixel.
        tree: The concept tree.
        settings: Costs `miss` and `entry`.

    Returns:
        The chosen concepts, largest gain first; empty where no concept is worth its entry.
    """
    area, hit = tree.counts(labels), tree.counts(labels[mask])
    gain = hit - settings.miss * (area - hit) - settings.entry * labels.size

    def best(node: Concept) -> tuple[float, tuple[int, ...]]:
        below = [best(child) for child in tree.children_of(node) if hit[child.id] > 0]
        value = sum((part[0] for part in below), 0.0)
        if node is not tree.root and gain[node.id] > value and gain[node.id] > 0:
            return float(gain[node.id]), (node.id,)
        return value, tuple(concept for part in below for concept in part[1])

    _, chosen = best(tree.root)
    chosen += tuple(_marks(mask, labels, tree, chosen, settings.entry * labels.size))
    located = [Located(n, int(hit[n]), int(area[n]), float(gain[n])) for n in chosen]
    return sorted(located, key=lambda one: (-one.gain, one.concept))


def _marks(
    mask: NDArray[np.bool_],
    labels: NDArray[np.uint8],
    tree: Tree,
    chosen: tuple[int, ...],
    least: float,
) -> list[int]:
    """Gives the atomic concepts of spots that the chosen concepts leave out."""
    below = [node.id for one in chosen for node in tree.descendants_of(tree.by_id[one])]
    covered = np.isin(labels, [*chosen, *below])
    count, spots = cv2.connectedComponents(mask.astype(np.uint8))
    area = np.bincount(spots[mask], minlength=count)
    inside = np.bincount(spots[mask & covered], minlength=count)
    found = []
    for spot in np.flatnonzero((area >= least) & (2 * inside < area)):
        holds = np.bincount(labels[(spots == spot) & ~covered], minlength=256)
        holder = tree.by_id[int(holds.argmax())]
        if tree.is_atomic(holder) and holder.id not in found:
            found.append(holder.id)
    return found
