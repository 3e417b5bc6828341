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

from annotators.motion import Motion
from annotators.noise import Map, gradient, length, median, to_lab
from schemas.calibration import Null
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
UNDOING = 0.2
"""Share of the difference that undoing a movement leaves which may be its own mistake."""
SMOOTH = 1.0
"""L* per pixel: below this gradient the real face has no edge of its own."""
BAND = (2.0, 6.0)
"""Distances from the border, in pixels, between which the sides of a seam are compared."""
GRAIN = 0.02
"""Squared L* that is added to local contrast, so that flat skin gives no wild ratios."""


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

    @property
    def name(self) -> str:
        """Gives the probe's key in the calibration."""
        return f"{self.kind} {self.positive}"

    def direction(self, value: float) -> str:
        """Gives the word for the sign of a change."""
        return self.positive if value >= 0 else self.negative


CHANGE = Probe(EvidenceKind.CHANGE, "altered", "altered", "CIELAB", 0.15)
LIGHTNESS = Probe(EvidenceKind.LIGHTNESS, "lighter", "darker", "L*", 0.15)
RED_GREEN = Probe(EvidenceKind.COLOUR, "redder", "greener", "a*", 0.15)
YELLOW_BLUE = Probe(EvidenceKind.COLOUR, "yellower", "bluer", "b*", 0.15)
SHARPNESS = Probe(EvidenceKind.SHARPNESS, "sharper", "smoother", "ln ratio", 0.03)
TEXTURE = Probe(EvidenceKind.TEXTURE, "more textured", "less textured", "ln ratio", 0.03)
SEAM = Probe(EvidenceKind.SEAM, "blending edge", "blending edge", "L*", 0.1)
VERTICAL = Probe(EvidenceKind.POSITION, "moved down", "moved up", "eye distances", 0.002)
HORIZONTAL = Probe(EvidenceKind.POSITION, "moved left", "moved right", "eye distances", 0.002)
SIZE = Probe(EvidenceKind.SIZE, "larger", "smaller", "relative", 0.006)

COLOUR_CHANNEL = {LIGHTNESS: 0, RED_GREEN: 1, YELLOW_BLUE: 2}
"""CIELAB channel of the probes that can follow a movement."""
MOVEMENTS = (HORIZONTAL, VERTICAL, SIZE)
"""Probes of movement, in the order of `annotators.motion.Drift`."""
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
        changed: `(S, S) bool`, the artifact mask; the rest of the face is the pair's own null.
        null: What chance does at this level of compression; None: only the pair itself tells.
    """

    def __init__(self, crop: CropPair, changed: Mask, null: Null | None = None) -> None:
        self.crop = crop
        self.chance = null
        self.changed = changed
        self.real, self.fake = to_lab(crop.real), to_lab(crop.fake)
        self.signed = self.fake - self.real
        self._spreads: dict[tuple[Probe, int], float] = {}
        self._warps: dict[int, bool] = {}
        self._wholes: dict[int, Mask] = {}
        side = max(3, round(0.03 * crop.real.shape[0]) | 1)
        self.unchanged = crop.valid & ~np.asarray(
            cv2.dilate(changed.astype(np.uint8), np.ones((side, side), np.uint8)), dtype=np.bool_
        )
        still = np.abs(self.signed.reshape(-1, 3).take(np.flatnonzero(self.unchanged), axis=0))
        noise = float(still.sum(dtype=np.float64) / max(len(still), 1))
        self.motion = Motion(self.real, self.fake, noise)

    def change(self, probe: Probe, where: Mask, moved: bool) -> float:
        """Gives the signed change of a region, in the probe's unit.

        Where pixels were moved, colours are compared with where they came from, and what cannot
        be compared so is not measured.

        Args:
            probe: What to measure.
            where: `(S, S) bool`, the region's changed pixels.
            moved: Whether a movement explains their change (`Motion.explains`).

        Returns:
            The change; NaN where it cannot be measured.
        """
        if probe in MOVEMENTS:
            return self._movement(probe, where) if moved else float("nan")
        if probe is CHANGE:
            return _mean(self._maps[CHANGE], where)
        if moved and probe in COLOUR_CHANNEL:
            return _mean(self.motion.undone[..., COLOUR_CHANNEL[probe]], where)
        if moved or (self._in_warp(where) and not self.motion.is_still(where)):
            return float("nan")
        if probe is SEAM:
            return self._seam(where)
        if probe in (SHARPNESS, TEXTURE):
            return float(median(self._maps[probe][where]))
        return _mean(self._maps[probe], where)

    def _in_warp(self, where: Mask) -> bool:
        """Tells whether a region lies in an area that moved; what moved covers and uncovers."""
        inside = np.bincount(self._areas[where], minlength=2)
        inside[0] = 0
        area = int(inside.argmax())
        if area not in self._warps:
            self._warps[area] = self.motion.explains(self._areas == area)
        return self._warps[area]

    @functools.cached_property
    def _areas(self) -> NDArray[np.int32]:
        """`(S, S)` number of the connected area of the change that a pixel lies in, from 1."""
        return np.asarray(cv2.connectedComponents(self.changed.astype(np.uint8))[1])

    def _movement(self, probe: Probe, where: Mask) -> float:
        return self.motion.growth(where) if probe is SIZE else _mean(self._maps[probe], where)

    def drift(self, where: Mask) -> dict[Probe, tuple[float, float]]:
        """Gives how far a region that is no movement can have moved and grown, and the errors.

        Returns:
            Change and spread in the probe's unit; empty where the sides' structure differs.
        """
        found = self.motion.drift(where)
        if found is None:
            return {}
        values = (*found.shift, found.growth)
        units = (self.crop.eye_distance, self.crop.eye_distance, 1.0)
        return {
            probe: (value / unit, max(probe.floor, error / unit))
            for probe, value, unit, error in zip(
                MOVEMENTS, values, units, found.errors, strict=True
            )
        }

    def null(self, probe: Probe, pixels: int) -> float:
        """Gives the spread of the change over unchanged windows of about `pixels` pixels.

        It is the larger of the pair's own and of what real-vs-real pairs of the level show: where
        an encoder codes unchanged blocks alike, the pair's own says too little of changed ones.
        """
        place = max([k for k, side in enumerate(WINDOWS) if side * side <= pixels], default=0)
        known = self.chance.spread[probe.name][place] if self.chance else 0.0
        own = self.spread(probe, WINDOWS[place])
        return max(probe.floor, known, 0.0 if np.isinf(own) and known else own)

    def spread(self, probe: Probe, side: int) -> float:
        """Gives the spread over this pair's unchanged windows; infinite with too few of them."""
        if (probe, side) not in self._spreads:
            self._spreads[probe, side] = self._spread(probe, side)
        return self._spreads[probe, side]

    def error(self, probe: Probe, where: Mask, moved: bool) -> float:
        """Gives what undoing a movement may add to a colour by mistake; 0 where nothing moved."""
        if not moved or probe not in COLOUR_CHANNEL:
            return 0.0
        left = self.motion.undone[..., COLOUR_CHANNEL[probe]][where]
        return UNDOING * float(np.abs(left).mean(dtype=np.float64))

    def _spread(self, probe: Probe, side: int) -> float:
        if probe is SEAM:  # a difference of two means over bands of some 40 pixels
            return self.spread(LIGHTNESS, 5)
        values = self.windows(probe, side)
        if values.size < LEAST_WINDOWS:
            return float("inf")
        return float(1.4826 * median(np.abs(values)))

    def windows(self, probe: Probe, side: int) -> Map:
        """Gives `(N,)` the changes of all square windows of a side that are wholly unchanged."""
        whole = self._whole(side)
        if probe is SIZE:
            return np.asarray(self.motion.growth_of_windows(side)[whole])
        return np.asarray(cv2.blur(self._maps[probe], (side, side))[whole])

    def _whole(self, side: int) -> Mask:
        """`(S, S)` middles of the windows of a side that are wholly unchanged."""
        if side not in self._wholes:
            window = np.ones((side, side), np.uint8)
            self._wholes[side] = cv2.erode(self.unchanged.view(np.uint8), window).view(np.bool_)
        return self._wholes[side]

    @functools.cached_property
    def _maps(self) -> dict[Probe, Map]:
        distance = self.crop.eye_distance
        size = length(self.signed)
        return {
            CHANGE: size - (median(size[self.unchanged]) if self.unchanged.any() else 0),
            LIGHTNESS: self.signed[..., 0].copy(),
            RED_GREEN: self.signed[..., 1].copy(),
            YELLOW_BLUE: self.signed[..., 2].copy(),
            SHARPNESS: self._contrast(1.5, 4.0),
            TEXTURE: self._contrast(0.0, 1.5),
            VERTICAL: self.motion.flow[..., 1] / distance,
            # the subject's left is on the picture's right
            HORIZONTAL: self.motion.flow[..., 0] / distance,
        }

    def _contrast(self, fine: float, coarse: float) -> Map:
        """Gives the logarithm of fake over real local contrast, in a band of scales."""
        before, after = (
            cv2.blur(_band(side[..., 0], fine, coarse), (9, 9)) for side in (self.real, self.fake)
        )
        return np.asarray(0.5 * np.log((after + GRAIN) / (before + GRAIN)))

    def _seam(self, where: Mask) -> float:
        """Gives the step of lightness that the fake has along the change's border, L*.

        Only where the real face is smooth: along a lip's own edge a darker lip makes no seam.
        """
        near = cv2.dilate(where.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        rim = self._border & near & self.crop.valid
        flat = rim & self._smooth
        pixels = np.count_nonzero(flat)
        if pixels < LEAST_PIXELS or 2 * pixels < np.count_nonzero(rim):
            return float("nan")
        return _mean(self._jump, flat)

    @functools.cached_property
    def _depth(self) -> tuple[Map, Map]:
        """Distance of each pixel to the border of the change, from inside and from outside."""
        inside = self.changed.astype(np.uint8)
        return tuple(cv2.distanceTransform(each, cv2.DIST_L2, 5) for each in (inside, 1 - inside))

    @functools.cached_property
    def _smooth(self) -> Mask:
        return np.asarray(gradient(self.real[..., 0]) < SMOOTH)

    @functools.cached_property
    def _border(self) -> Mask:
        inside, outside = self._depth
        return np.asarray(np.maximum(inside, outside) <= 1.5)

    @functools.cached_property
    def _jump(self) -> Map:
        """`(S, S)` how much more the lightness changed just inside the border than outside."""
        lightness = self.signed[..., 0]
        means = []
        for distance in self._depth:
            band = ((distance > BAND[0]) & (distance <= BAND[1])).astype(np.float32)
            weight = cv2.blur(band, (15, 15))
            means.append(cv2.blur(lightness * band, (15, 15)) / np.maximum(weight, 1e-3))
        return np.asarray(np.abs(means[0] - means[1]))


def _sum(values: Map, where: Mask) -> float:
    """Sums in double precision: in single, the last digits depend on where the array lies."""
    return float(values[where].sum(dtype=np.float64))


def _mean(values: Map, where: Mask) -> float:
    return _sum(values, where) / max(int(np.count_nonzero(where)), 1)


def _band(lightness: Map, fine: float, coarse: float) -> Map:
    upper = cv2.GaussianBlur(lightness, (0, 0), fine) if fine else lightness
    band = upper - cv2.GaussianBlur(lightness, (0, 0), coarse)
    return np.asarray(band * band)


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
        moved = gauge.motion.explains(where)
        drift = {} if moved else gauge.drift(where)
        for probe in PROBES:
            if probe in MOVEMENTS and not moved:
                found += _unmoved(concept, probe, drift.get(probe), settings)
                continue
            value = gauge.change(probe, where, moved)
            if not np.isnan(value):
                spread = max(gauge.null(probe, pixels), gauge.error(probe, where, moved))
                found.append(_judge(concept, probe, value, spread, settings))
    return found


def _unmoved(
    concept: int, probe: Probe, drift: tuple[float, float] | None, settings: EvidenceSettings
) -> list[Evidence]:
    """Gives the evidence that a region stayed in place; none where it cannot be told."""
    one = _judge(concept, probe, *drift, settings) if drift else None
    return [one] if one and not one.significant else []


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
