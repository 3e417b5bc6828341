"""Coarser regions for recipes that speak of fewer of them.

A level gives each FICT node its own coarser one. Localised regions are lifted to them: masks are
cut from the row's label map, measurements are chosen among those of the parts. The label map stays.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotators.evidence import PROBES
from annotators.verify import read_labels
from fict.tree import load_tree
from schemas import rle
from schemas.records import Evidence, MeasuredFrame, Region

AROUND = "surroundings"


def four(frame: MeasuredFrame) -> MeasuredFrame:
    """Lifts a frame to FFTG's four regions: mouth, nose, eyes with brows, rest of the face.

    What lies outside of the face has no place at this level: such a frame may have no region left.
    """
    return lifted(frame, _four())


def parts(frame: MeasuredFrame) -> MeasuredFrame:
    """Lifts a frame to the parents below the face (`nose`) and around it (`hair`)."""
    return lifted(frame, _parts())


def part_names() -> dict[str, int]:
    """Gives all facial parts of the level `parts` with their ids, and the face itself."""
    tree, table = load_tree(), _parts()
    ids = sorted({int(node) for node in table if node and not tree.is_atomic(tree.by_id[node])})
    return {tree.by_id[n].name: n for n in ids if tree.by_id[n].name not in ("image", AROUND)}


@functools.cache
def _four() -> NDArray[np.uint8]:
    return load_tree().lookup_table("group4")


@functools.cache
def _parts() -> NDArray[np.uint8]:
    """The ancestor directly below the face or its surroundings; what is above stays itself."""
    tree, table = load_tree(), np.zeros(256, np.uint8)
    for concept in tree.concepts:
        line = (concept, *tree.ancestors_of(concept))
        below = [node for node in line if node.parent in ("face", AROUND)]
        table[concept.id] = below[0].id if below else concept.id
    return table


def lifted(frame: MeasuredFrame, table: NDArray[np.uint8]) -> MeasuredFrame:
    """Gives a frame with the regions and measurements of a coarser level.

    A localised region that holds several nodes of the level is not split: what was measured of
    the whole face is not known of the mouth. It keeps its own pixels.

    How measurements are lifted is our reading: of each probe a node takes the measurement of that
    part of it whose change has the most pixels, a significant one before an insignificant one.

    Args:
        frame: A frame as it was measured.
        table: `(256,) uint8`, from a FICT id to its node at the level; 0: no place at the level.

    Returns:
        A copy; regions with the largest gain first. Its label map, artifact mask and pictures are
        the same.
    """
    parts: dict[int, list[Region]] = {}
    for region in frame.regions:
        if node := int(table[region.category_id]):
            parts.setdefault(node, []).append(region)
    cut = _Cut(read_labels(frame), rle.decode(frame.artifact.segmentation), table)
    regions = [cut.region(node, below) for node, below in parts.items()]
    evidence = [one for node, below in parts.items() for one in _evidence(frame, node, below)]
    return frame.model_copy(
        update={
            "regions": tuple(sorted(regions, key=lambda one: (-one.gain, one.category_id))),
            "evidence": tuple(evidence),
        }
    )


@dataclass(frozen=True)
class _Cut:
    """Cuts the regions of one frame.

    Attributes:
        labels: `(S, S) uint8` FICT node of each pixel.
        changed: `(S, S) bool` artifact mask.
        table: `(256,) uint8` the level.
    """

    labels: NDArray[np.uint8]
    changed: NDArray[np.bool_]
    table: NDArray[np.uint8]

    def region(self, node: int, below: Iterable[Region]) -> Region:
        """Gives the region of a node in which some localised regions lie."""
        below = list(below)
        concept = self._concept(node, is_whole=any(one.category_id == node for one in below))
        changed = concept & self.changed
        return Region(
            category_id=node,
            name=load_tree().by_id[node].name,
            area=rle.area(changed),
            bbox=rle.bbox(changed),
            segmentation=rle.encode(changed),
            concept_area=rle.area(concept),
            concept_segmentation=rle.encode(concept),
            gain=sum(one.gain for one in below),
        )

    def _concept(self, node: int, is_whole: bool) -> NDArray[np.bool_]:
        """Gives the pixels of a node at the level; of one that was localised, all below it, too."""
        tree = load_tree()
        ids = set(np.flatnonzero(self.table == node).tolist())
        if is_whole:
            ids |= {one.id for one in tree.descendants_of(tree.by_id[node])}
        return np.isin(self.labels, sorted(ids))


def _evidence(frame: MeasuredFrame, node: int, below: Iterable[Region]) -> list[Evidence]:
    """Chooses the measurements of a node among those of its parts, one of each probe."""
    area = {one.category_id: one.area for one in below}
    chosen = []
    for probe in PROBES:
        found = [
            one
            for one in frame.evidence
            if one.category_id in area
            and one.kind == probe.kind
            and one.direction in (probe.positive, probe.negative)
        ]
        if found:
            best = max(found, key=lambda one: (one.significant, area[one.category_id]))
            chosen.append(best.model_copy(update={"category_id": node}))
    return chosen
