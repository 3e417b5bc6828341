"""Measured changes of a region, real to fake, and whether chance explains them.

A *probe* turns a crop pair into maps whose mean over a region is the change; a *null* is what the
same mean shows on windows of like size where nothing was forged. Every probe is reported for every
region, significant or not: to refute a claim one must know what was measured and found small.
Source: ours (kinds after FFTG's raw note and EDVD's landmark motion).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.noise import Map, to_lab
from schemas.manifest import EvidenceSettings
from schemas.records import Evidence, EvidenceKind
from sources.crop import CropPair

Mask = NDArray[np.bool_]

LEAST_PIXELS = 30
"""Regions with fewer changed pixels than this are not measured."""
LEAST_WINDOWS = 50
"""Fewer unchanged windows than this are no null."""
DIGITS = 4
"""Digits kept of a measurement: the same on every machine, and more than it resolves."""
WINDOWS = (5, 9, 17, 33, 65)
"""Sides of the null's windows. Larger ones hardly fit beside a forgery, and chance averages out
over larger regions, so that the null of a large region is an upper bound."""
FLOW_EXPLAINS = 0.6
"""A movement counts where undoing it leaves less than this share of the difference."""


@dataclass(frozen=True)
class Probe:
    """One thing that can be measured.

    Attributes:
        kind: Evidence kind.
        positive: Direction of a positive change.
        negative: Direction of a negative change.
        unit: Unit of the reported effect.
        floor: Least null spread in the probe's own unit: what the measurement cannot resolve.
    """

    kind: EvidenceKind
    positive: str
    negative: str
    unit: str
    floor: float

    def direction(self, value: float) -> str:
        """Gives the word for the sign of a change."""
        return self.positive if value >= 0 else self.negative


CHANGE = Probe(EvidenceKind.CHANGE, "altered", "altered", "CIELAB", 0.15)
LIGHTNESS = Probe(EvidenceKind.LIGHTNESS, "lighter", "darker", "L*", 0.15)
RED_GREEN = Probe(EvidenceKind.COLOUR, "redder", "greener", "a*", 0.15)
YELLOW_BLUE = Probe(EvidenceKind.COLOUR, "yellower", "bluer", "b*", 0.15)
SHARPNESS = Probe(EvidenceKind.SHARPNESS, "sharper", "smoother", "relative", 0.03)
TEXTURE = Probe(EvidenceKind.TEXTURE, "more textured", "less textured", "relative", 0.03)
SEAM = Probe(EvidenceKind.SEAM, "blending edge", "blending edge", "L*", 0.1)
VERTICAL = Probe(EvidenceKind.POSITION, "moved down", "moved up", "eye distances", 0.002)
HORIZONTAL = Probe(EvidenceKind.POSITION, "moved left", "moved right", "eye distances", 0.002)
SIZE = Probe(EvidenceKind.SIZE, "larger", "smaller", "relative", 0.01)

PROBES = (
    CHANGE, LIGHTNESS, RED_GREEN, YELLOW_BLUE, SHARPNESS, TEXTURE, SEAM, VERTICAL, HORIZONTAL,
    SIZE,
)  # fmt: skip


def probe_of(kind: EvidenceKind, direction: str) -> Probe:
    """Gives the probe that measures a kind in a direction.

    Raises:
        KeyError: The kind has no such direction.
    """
    for probe in PROBES:
        if probe.kind == kind and direction in (probe.positive, probe.negative):
            return probe
    raise KeyError(f"{kind} has no direction '{direction}'")


class Gauge:
    """The maps of one crop pair from which every region's changes are read.

    Args:
        crop: The crop pair.
        changed: `(S, S) bool`, the artifact mask; the rest of the face is the null.
    """

    def __init__(self, crop: CropPair, changed: Mask) -> None:
        self.crop = crop
        self.changed = changed
        self.real, self.fake = to_lab(crop.real), to_lab(crop.fake)
        self.signed = self.fake - self.real
        side = max(3, round(0.03 * crop.real.shape[0]) | 1)
        self.unchanged = crop.valid & ~np.asarray(
            cv2.dilate(changed.astype(np.uint8), np.ones((side, side), np.uint8)), dtype=np.bool_
        )

    def change(self, probe: Probe, where: Mask) -> float:
        """Gives the signed change of a region, in the probe's unit; NaN: not measurable."""
        if probe is SEAM:
            return self._seam(where)
        if probe in (SHARPNESS, TEXTURE):
            before, after = self._energy[probe.kind]
            return _sum(after, where) / max(_sum(before, where), 1e-6) - 1
        if probe in (VERTICAL, HORIZONTAL, SIZE) and not self._moved(where):
            return float("nan")
        if probe is SIZE:
            return self._growth(where)
        return _mean(self._maps[probe], where)

    def null(self, probe: Probe, pixels: int) -> float:
        """Gives the spread of the change over unchanged windows of about `pixels` pixels."""
        side = max([side for side in WINDOWS if side * side <= pixels], default=WINDOWS[0])
        return max(probe.floor, self._spread(probe, side))

    @functools.cache  # noqa: B019 - a gauge lives for one frame
    def _spread(self, probe: Probe, side: int) -> float:
        if probe is SEAM:
            values = np.abs(self._step)[self.unchanged]
            return (
                float(values.std(dtype=np.float64) / np.sqrt(side)) if values.size else float("inf")
            )
        whole = cv2.erode(self.unchanged.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
        if np.count_nonzero(whole) < LEAST_WINDOWS:
            return float("inf")
        if probe in (SHARPNESS, TEXTURE):
            before, after = (cv2.blur(energy, (side, side)) for energy in self._energy[probe.kind])
            values = after[whole] / np.maximum(before[whole], 1e-6) - 1
        elif probe is SIZE:
            values = self._growth_of_windows(side)[whole]
        else:
            values = cv2.blur(self._maps[probe], (side, side))[whole]
        return float(1.4826 * np.median(np.abs(values)))

    @functools.cached_property
    def _maps(self) -> dict[Probe, Map]:
        distance = self.crop.eye_distance
        along, across = self._flow[..., 0] / distance, self._flow[..., 1] / distance
        length = np.sqrt(np.einsum("ijk,ijk->ij", self.signed, self.signed))
        return {
            CHANGE: length - np.median(length[self.unchanged] if self.unchanged.any() else 0.0),
            LIGHTNESS: self.signed[..., 0].copy(),
            RED_GREEN: self.signed[..., 1].copy(),
            YELLOW_BLUE: self.signed[..., 2].copy(),
            VERTICAL: across,
            HORIZONTAL: along,  # the subject's left is on the picture's right
        }

    @functools.cached_property
    def _energy(self) -> dict[EvidenceKind, tuple[Map, Map]]:
        """Band energies: contours (sharpness) and the finest grain (texture), real and fake."""
        pairs = {}
        for kind, fine, coarse in (
            (EvidenceKind.SHARPNESS, 1.5, 4.0),
            (EvidenceKind.TEXTURE, 0.0, 1.5),
        ):
            pairs[kind] = (
                _band(self.real[..., 0], fine, coarse),
                _band(self.fake[..., 0], fine, coarse),
            )
        return pairs

    @functools.cached_property
    def _flow(self) -> Map:
        """`(S, S, 2)` movement from the real to the fake side, crop pixels, x then y."""
        real, fake = (cv2.cvtColor(s, cv2.COLOR_RGB2GRAY) for s in (self.crop.real, self.crop.fake))
        finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        return np.asarray(finder.calc(real, fake, None))

    @functools.cached_property
    def _undone(self) -> Map:
        """`(S, S)` length of the difference that is left when the movement is undone."""
        size = self.real.shape[0]
        rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
        back = cv2.remap(
            self.fake, columns + self._flow[..., 0], rows + self._flow[..., 1], cv2.INTER_LINEAR
        )
        return np.asarray(np.abs(back - self.real).sum(axis=2))

    def _moved(self, where: Mask) -> bool:
        before = _sum(np.abs(self.signed).sum(axis=2), where)
        return before > 0 and _sum(self._undone, where) < FLOW_EXPLAINS * before

    def _growth(self, where: Mask) -> float:
        """Gives the relative growth of a region: the scale that fits its movement best.

        Each connected part grows about its own middle. (The mean divergence would be nothing:
        it adds up to zero over any movement that dies out within the region.)
        """
        _, parts = cv2.connectedComponents(where.astype(np.uint8))
        rows, columns = np.nonzero(where)
        part = parts[rows, columns]
        pixels = np.maximum(np.bincount(part), 1)
        outward = np.zeros(len(part))
        spread = np.zeros(len(part))
        for place, flow in ((columns, self._flow[..., 0]), (rows, self._flow[..., 1])):
            middle = np.bincount(part, place) / pixels
            away = place - middle[part]
            outward += away * flow[rows, columns]
            spread += away * away
        return float(outward.sum() / max(spread.sum(), 1e-6))

    def _growth_of_windows(self, side: int) -> Map:
        """Gives the growth of the square window around each pixel."""
        ramp = np.arange(side, dtype=np.float32) - side // 2
        box = np.ones(side, np.float32)
        outward = cv2.sepFilter2D(self._flow[..., 0], cv2.CV_32F, ramp, box) + cv2.sepFilter2D(
            self._flow[..., 1], cv2.CV_32F, box, ramp
        )
        return np.asarray(outward / (2 * side * float(ramp @ ramp)))

    @functools.cached_property
    def _step(self) -> Map:
        """`(S, S)` growth of the lightness gradient from real to fake, L* per pixel."""
        return _gradient(self.fake[..., 0]) - _gradient(self.real[..., 0])

    def _seam(self, where: Mask) -> float:
        """Gives by how much steps along the rim of a change grew more than inside it."""
        inner = cv2.erode(self.changed.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        outer = cv2.dilate(self.changed.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        near = cv2.dilate(where.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        rim = outer & ~inner & near & self.crop.valid
        if np.count_nonzero(rim) < LEAST_PIXELS or np.count_nonzero(inner & where) < LEAST_PIXELS:
            return float("nan")
        return max(0.0, _mean(self._step, rim) - _mean(self._step, inner & where))


def _sum(values: Map, where: Mask) -> float:
    """Sums in double precision: in single, the last digits depend on where the array lies."""
    return float(values[where].sum(dtype=np.float64))


def _mean(values: Map, where: Mask) -> float:
    return _sum(values, where) / max(int(np.count_nonzero(where)), 1)


def _band(lightness: Map, fine: float, coarse: float) -> Map:
    upper = cv2.GaussianBlur(lightness, (0, 0), fine) if fine else lightness
    band = upper - cv2.GaussianBlur(lightness, (0, 0), coarse)
    return np.asarray(band * band)


def _gradient(lightness: Map) -> Map:
    across = cv2.Sobel(lightness, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    along = cv2.Sobel(lightness, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    return np.asarray(cv2.magnitude(across, along))


def measure(
    gauge: Gauge, concepts: Sequence[tuple[int, Mask]], settings: EvidenceSettings
) -> list[Evidence]:
    """Measures every probe on every region.

    Args:
        gauge: The maps of the crop pair.
        concepts: FICT node id and its changed pixels `(S, S) bool`.
        settings: What a change must reach to count.

    Returns:
        One `Evidence` for each region and probe that could be measured.
    """
    found = []
    for concept, where in concepts:
        pixels = int(np.count_nonzero(where))
        if pixels < LEAST_PIXELS:
            continue
        for probe in PROBES:
            value = gauge.change(probe, where)
            if not np.isnan(value):
                found.append(_judge(concept, probe, value, gauge.null(probe, pixels), settings))
    return found


def _judge(
    concept: int, probe: Probe, value: float, spread: float, settings: EvidenceSettings
) -> Evidence:
    effect = abs(value)
    least = float(getattr(settings, probe.kind.value))
    return Evidence(
        category_id=concept,
        kind=probe.kind,
        direction=probe.direction(value),
        effect=round(effect, DIGITS),
        unit=probe.unit,
        spread=round(spread, DIGITS),
        significant=effect >= least and effect >= settings.min_significance * spread,
    )
