"""What is true of the regions of one frame: every probe on clean pixels, mask and movement.

The definitions are those of `annotators.evidence`; only noise, mask and movement are not found but
known. Beside the values stand the forge's aims, which are true by construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.evidence import (
    CHANGE,
    COLOUR_CHANNEL,
    HORIZONTAL,
    SIZE,
    VERTICAL,
    Gauge,
    Probe,
)
from annotators.motion import Motion
from benchmarks.stated import Stated, aims_in
from fict.tree import Tree
from schemas import rle
from schemas.manifest import EvidenceSettings
from sources.crop import CropPair, warp
from sources.forge.cases import Film
from sources.forge.movement import Movement, movement_of
from sources.forge.still import Still
from sources.forge.truth import SEEN

MOVED_PX = 0.5
"""A region whose pixels moved less than this on average, in crop pixels, counts as unmoved: its
colours are compared in place, as the pipeline does where undoing a movement gains nothing."""
LEAST_KNOWN = 0.5
"""Where less of a region's changed pixels has a known movement, its movement is not known."""
PUBLISHED_SHARE = 0.5
"""A claim is right where the true change is at least this share of the least reported one: what
is reported exceeds the least change as measured, which noise puts on either side of the truth."""
FALSE_SHARE = 0.25
"""A statement is surely false where the true change in its direction is below this share."""

MOVEMENT = (VERTICAL, HORIZONTAL, SIZE)
Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]


class KnownMotion(Motion):
    """A movement that is known, not found.

    Args:
        real: `(S, S, 3) float32` CIELAB of the real side.
        fake: The same of the fake side.
        flow: `(S, S, 2) float32` from the real to the fake side, crop pixels, x then y.
    """

    def __init__(
        self, real: NDArray[np.float32], fake: NDArray[np.float32], flow: NDArray[np.float32]
    ) -> None:
        super().__init__(real, fake)
        self.flow = flow


class KnownGauge(Gauge):
    """A gauge of clean pixels with the true mask and the true movement.

    Args:
        crop: The crop pair, of unencoded frames.
        changed: `(S, S) bool`, the true mask.
        flow: `(S, S, 2) float32`, the true movement, crop pixels.
    """

    def __init__(self, crop: CropPair, changed: Mask, flow: NDArray[np.float32]) -> None:
        super().__init__(crop, changed)
        self.motion = KnownMotion(self.real, self.fake, flow)


class Facts:
    """The truth of one frame, for the regions of a label map.

    Args:
        gauge: Clean pixels, true mask, true movement.
        known: `(S, S) bool`, where the movement is known.
        labels: `(S, S) uint8`, the row's label map.
        aims: What the forge changed, with directions.
        tree: The concept tree.
        settings: Least reported changes.
    """

    def __init__(
        self,
        gauge: Gauge,
        known: Mask,
        labels: Labels,
        aims: Sequence[Stated],
        tree: Tree,
        settings: EvidenceSettings,
    ) -> None:
        self.gauge, self.known, self.labels = gauge, known, labels
        self.aims, self.tree, self.settings = aims, tree, settings
        self.touched = tree.counts(labels[gauge.changed])
        """`(256,)` truly changed pixels of each concept."""
        self._values: dict[tuple[int, Probe], float] = {}

    def value(self, concept: int, probe: Probe) -> float:
        """Gives the true signed change of a region; 0 where it was not changed, NaN: unknown."""
        if (concept, probe) not in self._values:
            self._values[concept, probe] = self._measured(concept, probe)
        return self._values[concept, probe]

    def towards(self, said: Stated) -> float:
        """Gives the true change in the direction of a statement; NaN where it is not known."""
        return said.sign * self.value(said.concept, said.probe)

    def least(self, said: Stated) -> float:
        """Gives the least change of a kind that the settings report."""
        return float(getattr(self.settings, said.kind.value))

    def aims_of(self, concept: int) -> list[Stated]:
        """Gives the aims that hold for a region: those of it and what is above or below it."""
        if self.touched[concept] < SEEN:
            return []
        return [
            replace(aim, concept=concept) for aim in self.aims if self.related(concept, aim.concept)
        ]

    def related(self, concept: int, aimed: int) -> bool:
        """Tells whether what was aimed at lies in a region, or the region in it."""
        return self.tree.related(concept, aimed)

    def is_own(self, said: Stated) -> bool:
        """Tells whether the forge aimed at this concept itself, or at one that holds it."""
        node = self.tree.by_id[said.concept]
        own = {node.id, *(above.id for above in self.tree.ancestors_of(node))}
        return any(
            aim.concept in own and (aim.kind, aim.direction) == (said.kind, said.direction)
            for aim in self.aims
        )

    def outcome(self, said: Stated) -> tuple[str, str]:
        """Judges a claim: `right`, `wrong` or `unknown`, and what says so."""
        aims = self.aims_of(said.concept)
        if said in aims:
            return "right", "aim"
        if said.probe is CHANGE:
            seen = self.touched[said.concept] >= SEEN
            return ("right" if seen else "wrong"), "mask"
        value = self.towards(said)
        if np.isnan(value):
            spoken = any(aim.probe is said.probe for aim in aims)
            return ("wrong", "aim") if spoken else ("unknown", "undefined")
        right = value >= PUBLISHED_SHARE * self.least(said)
        return ("right" if right else "wrong"), "value"

    def is_false(self, said: Stated) -> bool:
        """Tells whether a statement is surely false."""
        aims = self.aims_of(said.concept)
        if said in aims:
            return False
        value = self.towards(said)
        if np.isnan(value):
            return said.opposite in aims
        return value < FALSE_SHARE * self.least(said)

    def _measured(self, concept: int, probe: Probe) -> float:
        if self.touched[concept] < SEEN:
            return 0.0
        where = self._concept(concept) & self.gauge.changed
        sure = where & self.known
        known = np.count_nonzero(sure) >= LEAST_KNOWN * np.count_nonzero(where)
        moved = self._moves(sure)
        if (probe in MOVEMENT or (moved and probe in COLOUR_CHANNEL)) and known:
            return self.gauge.change(probe, sure, moved=True)
        if probe in MOVEMENT or (moved and probe is not CHANGE):
            return float("nan")
        return self.gauge.change(probe, where, moved=False)

    def _moves(self, sure: Mask) -> bool:
        ways = self.gauge.motion.flow[sure]
        return bool(ways.size and np.hypot(ways[:, 0], ways[:, 1]).mean() > MOVED_PX)

    def _concept(self, concept: int) -> Mask:
        return self.tree.pixels(self.labels, concept)


def in_crop(mask: Mask, crop: CropPair) -> Mask:
    """Warps a mask from frame pixels to crop pixels."""
    size = crop.real.shape[:2]
    return np.asarray(cv2.warpAffine(mask.astype(np.uint8) * 255, crop.affine, size) > 127)


def facts_of(
    film: Film,
    donor: Still,
    crop: CropPair,
    labels: Labels,
    tree: Tree,
    settings: EvidenceSettings,
) -> Facts:
    """Gives the truth of one frame in crop pixels.

    Args:
        film: The case before encoding.
        donor: Its other person.
        crop: The pipeline's crop of the decoded frame; its geometry is used, not its pixels.
        labels: `(S, S) uint8`, the row's label map.
        tree: The concept tree.
        settings: Least reported changes.
    """
    truth, size = film.truth[crop.index], crop.real.shape[0]
    real, fake = film.reals[crop.index], film.fakes[crop.index]
    clean = replace(
        crop, real=warp(real, crop.affine, size), fake=warp(fake, crop.affine, size),
        fake_affine=crop.affine,
    )  # fmt: skip
    movement = _movement(film, crop.index, donor)
    flow = cv2.warpAffine(movement.flow, crop.affine, (size, size))
    flow = (flow @ crop.affine[:, :2].T).astype(np.float32)
    gauge = KnownGauge(clean, in_crop(rle.decode(truth.segmentation), crop), flow)
    known = in_crop(movement.valid, crop)
    return Facts(gauge, known, labels, aims_in(truth, tree), tree, settings)


def _movement(film: Film, index: int, donor: Still) -> Movement:
    parts = film.mixture.parts if film.mixture else ()
    share = film.truth[index].strength
    return movement_of(parts, film.reals[index], film.points[index], donor, share)
