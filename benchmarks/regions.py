"""Which regions were changed, told by pixels and by aims, and which of them were found.

The truth does not use the rule that finds regions: a bad rule shows.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from annotators.localise import localise
from benchmarks.scores import LEVELS, Counts, FrameScore
from fict.tree import Tree
from schemas.manifest import LocaliseSettings
from sources.forge.operation import leaves_of
from sources.forge.truth import SEEN, FrameTruth

TOUCHED_SHARE = 0.25
"""A concept is changed where this share of its visible pixels was. Less is the soft border of a
change next to it; more would leave out a scar on a cheek's edge, which a person would name."""

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]


def score_regions(
    score: FrameScore,
    mask: Mask,
    changed: Mask,
    labels: Labels,
    truth: FrameTruth,
    tree: Tree,
    settings: LocaliseSettings,
) -> None:
    """Compares the concepts that explain the found mask with those that were changed.

    Args:
        score: Gets `regions` and `aimed`.
        mask: `(S, S) bool`, the found mask; empty where the frame was rejected.
        changed: `(S, S) bool`, the true mask.
        labels: `(S, S) uint8`, FICT ids; only concepts that can be seen here count.
        truth: What the forge aimed at.
        tree: The concept tree.
        settings: Costs of the rule that is judged.
    """
    found = found_in(mask, labels, tree, settings)
    aimed = leaves_of(truth.concepts) & set(np.unique(labels).tolist())
    score.regions = compared(found, touched(changed, labels), tree)
    score.aimed = compared(found, aimed, tree)


def miss_regions(score: FrameScore, truth: FrameTruth, tree: Tree) -> None:
    """Counts all that was aimed at as missed: a frame without a crop has no label map."""
    score.regions = score.aimed = compared((), leaves_of(truth.concepts), tree)


def touched(changed: Mask, labels: Labels) -> set[int]:
    """Gives the concepts of a label map of which enough pixels were changed."""
    area = np.bincount(labels.ravel(), minlength=256)
    hit = np.bincount(labels[changed], minlength=256)
    return set(np.flatnonzero((hit >= TOUCHED_SHARE * area) & (hit >= SEEN)).tolist())


def found_in(mask: Mask, labels: Labels, tree: Tree, settings: LocaliseSettings) -> set[int]:
    """Gives the concepts of a label map that the chosen ones are or hold."""
    chosen = [tree.by_id[one.concept] for one in localise(mask, labels, tree, settings)]
    below = {each.id for node in chosen for each in (node, *tree.descendants_of(node))}
    return below & set(np.unique(labels).tolist())


def compared(found: Iterable[int], known: Iterable[int], tree: Tree) -> dict[str, Counts]:
    """Lifts two sets of concepts to each level and counts where they agree."""
    counts: dict[str, Counts] = {}
    for name, level in LEVELS.items():
        table = tree.lookup_table(level)
        ours, theirs = ({int(table[each]) for each in ids} - {0} for ids in (found, known))
        counts[name] = (len(ours & theirs), len(ours - theirs), len(theirs - ours))
    return counts
