"""Which FICT concepts did the forgery touch? An exact rule instead of promotion by thresholds.

For a concept n with pixels R_n and the artifact mask M,

    gain(n) = |M and R_n| - miss x |R_n minus M| - entry x |crop|

and the answer is the set of concepts, none below another, whose gains add up to the most. Going up
from the leaves, a concept is taken whole exactly where its own gain exceeds the best of what lies
below it. Source: ours; it replaces the paper's atomic-to-parent promotion.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    located = [Located(n, int(hit[n]), int(area[n]), float(gain[n])) for n in chosen]
    return sorted(located, key=lambda one: (-one.gain, one.concept))
