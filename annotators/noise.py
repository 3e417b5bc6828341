"""What two sides of a pair differ by where nothing was forged: the pair's own noise floor.

Codec noise grows with the local activity of the picture, so the floor is a function of activity,
fitted on the pixels around the face, which no face forgery touches. Source: ours.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sources.crop import CropPair

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]

BLUR_SIGMA = 0.8
"""Blur of the signed difference in pixels of a 512-pixel crop: averages codec noise out."""
LEAST_NOISE = 0.35
"""CIELAB units: below this, 8-bit rounding decides, not the codec."""
KEEP_OFF = 0.12
"""The reference starts this share of the eye distance outside the face."""
CODED_ALIKE = 0.05
"""CIELAB units: a pixel below this was coded the same on both sides and shows no noise."""
REPAIRED_PX = 0.15
"""Sides that had to be registered are taken to be this far apart still, in crop pixels."""
GRADE_LEFT = 0.5
"""CIELAB units: what is left of a grade that was taken back, in colours rare around the face."""
EXACT_PX = 0.05
"""A smaller shift is none."""
CODED_PX = 17
"""An edge spreads its noise over about the block that is coded with it, in crop pixels."""
CALM_PX, CALM_SIGMA, CALM_UNITS = 11, 3.0, 3.0
"""Window and width of the calming average in pixels of a 512-pixel crop, and how many units of
noise apart neighbours may be to be averaged."""
BINS = 8
LEAST_REFERENCE = 500
"""Fewer reference pixels than this cannot carry a noise floor."""
UNIT = np.arange(256, dtype=np.float32) / np.float32(255)
"""Levels as shares of the whole range."""
SIGMAS = {0.9: 2.50, 0.99: 3.37}
"""Quantiles at which the noise is read off, and how many sigmas a difference of three independent
normal channels has there; the larger result counts, so that heavy tails raise the floor."""


@dataclass(frozen=True)
class Difference:
    """The difference of one crop pair, or of a clip's average.

    Attributes:
        signed: `(S, S, 3) float32`, fake minus real in CIELAB, blurred.
        activity: `(S, S) float32`, highest local contrast that is coded with a pixel, CIELAB units.
        inner: `(S, S) bool`, the face.
        face: `(S, S) bool`, the face and what lies close to it.
        valid: `(S, S) bool`, pixels inside the frame.
        slack: `(S, S) float32`, what is left of a misregistration and of a grade, CIELAB units.
    """

    signed: Map
    activity: Map
    inner: Mask
    face: Mask
    valid: Mask
    slack: Map

    @functools.cached_property
    def size(self) -> Map:
        """`(S, S)` length of the difference: a perceptual difference (CIE76)."""
        return length(self.signed)

    @functools.cached_property
    def reference(self) -> Mask:
        """`(S, S)` pixels around the face, which no face forgery touches."""
        return self.valid & ~self.face


def to_lab(image: NDArray[np.uint8]) -> Map:
    """Converts `(S, S, 3) uint8` RGB to `float32` CIELAB (L* 0..100)."""
    return np.asarray(cv2.cvtColor(cv2.LUT(image, UNIT), cv2.COLOR_RGB2LAB))


def summed(map3: Map) -> Map:
    """Adds up the channels, `(S, S, 3)` to `(S, S)`; `sum(axis=2)` takes ten times as long."""
    return np.asarray(map3[..., 0] + map3[..., 1] + map3[..., 2])


def difference(crop: CropPair) -> Difference:
    """Takes the perceptual difference of a crop pair."""
    real, fake = to_lab(crop.real), to_lab(crop.fake)
    sigma = BLUR_SIGMA * crop.real.shape[0] / 512
    signed = cv2.GaussianBlur(fake - real, (0, 0), sigma)
    mean = cv2.blur(real, (9, 9))
    contrast = summed(cv2.blur(real * real, (9, 9)) - mean * mean)
    activity = np.sqrt(np.maximum(contrast, 0))
    block = max(3, round(CODED_PX * crop.real.shape[0] / 512) | 1)
    return Difference(
        signed=signed,
        activity=np.asarray(cv2.dilate(activity, np.ones((block, block), np.uint8))),
        inner=crop.face_mask(),
        face=crop.face_mask(grow=KEEP_OFF),
        valid=crop.valid,
        slack=slack(crop, real[..., 0]),
    )


def slack(crop: CropPair, lightness: Map) -> Map:
    """Gives the difference that repairs leave: shift x gradient, and a rest of a grade."""
    rest = GRADE_LEFT if "graded" in crop.repairs else 0.0
    shift = crop.registration_px + (REPAIRED_PX if "registered" in crop.repairs else 0.0)
    if shift < EXACT_PX:
        return np.full_like(lightness, rest)
    edges = shift * cv2.dilate(gradient(lightness), np.ones((3, 3), np.uint8))
    return np.asarray(np.hypot(edges, np.float32(rest)))


def median(values: Map) -> np.float32:
    """Gives the same as `np.median`, in a tenth of the time.

    NumPy finds one place of an order with vector code, but not the several that its median asks
    for at once.
    """
    half = values.size // 2
    parted = np.partition(values, half)
    if values.size % 2:
        return np.float32(parted[half])
    return np.float32(np.mean(np.array([parted[:half].max(), parted[half]])))


def gradient(lightness: Map) -> Map:
    """Gives the steepness of a picture, L* per pixel."""
    across = cv2.Sobel(lightness, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    along = cv2.Sobel(lightness, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    return np.asarray(cv2.magnitude(across, along))


def average(clip: Sequence[Difference]) -> Difference:
    """Averages signed differences over the frames in face coordinates.

    Codec noise changes its sign from frame to frame and averages out; a forgery that stays put on
    the face does not.
    """
    if len(clip) == 1:
        return clip[0]
    return Difference(
        signed=_mean([frame.signed for frame in clip]),
        activity=_mean([frame.activity for frame in clip]),
        inner=np.logical_or.reduce([frame.inner for frame in clip]),
        face=np.logical_or.reduce([frame.face for frame in clip]),
        valid=np.logical_and.reduce([frame.valid for frame in clip]),
        slack=_mean([frame.slack for frame in clip]),
    )


def _mean(maps: Sequence[Map]) -> Map:
    """Averages maps without a copy of them all."""
    total = maps[0].copy()
    for one in maps[1:]:
        total += one
    return np.asarray(total / np.float32(len(maps)))


def length(signed: Map) -> Map:
    """Gives the length of each pixel's difference, `(S, S, 3)` to `(S, S)`."""
    return np.asarray(np.sqrt(summed(signed * signed)))


@dataclass(frozen=True)
class NoiseFloor:
    """The expected difference of unchanged pixels as a function of local activity.

    Attributes:
        activity: Bin centres, ascending.
        sigma: Noise at each centre, CIELAB units, never falling.
    """

    activity: NDArray[np.float64]
    sigma: NDArray[np.float64]

    def at(self, activity: Map) -> Map:
        """Gives the noise expected at each pixel; beyond the last centre it grows in proportion."""
        most = max(float(activity.max()), 1e-6)
        steps = np.linspace(0, most, 256)
        beyond = np.maximum(steps / max(self.activity[-1], 1e-6), 1)
        excess = np.interp(steps, self.activity, self.sigma) - LEAST_NOISE
        table = LEAST_NOISE + beyond * excess
        index = np.minimum(activity * (255 / most), 255).astype(np.uint8)
        return np.asarray(table.astype(np.float32)[index])


def expected_noise(frame: Difference) -> Map:
    """Gives `(S, S)` the difference to expect of an unchanged pixel, CIELAB units."""
    floor = fit_noise(frame.size, frame.activity, frame.reference)
    return np.asarray(np.hypot(floor.at(frame.activity), frame.slack))


def calmed(frame: Difference, noise: Map) -> Map:
    """Gives the difference in units of the noise, averaged over neighbours that differ alike.

    Edges of a strong change stay where they are, and what is faint but wide stands out.

    Args:
        frame: The difference.
        noise: What `expected_noise` gives for it.
    """
    scale = frame.signed.shape[0] / 512
    reach = max(3, round(CALM_PX * scale) | 1)
    alike = cv2.bilateralFilter(
        frame.signed / noise[..., None], reach, CALM_UNITS, CALM_SIGMA * scale
    )
    units = length(alike)
    around = units[_noisy(frame.size, frame.reference)]
    if around.size < LEAST_REFERENCE:
        return units
    return np.asarray(units / max(LEAST_NOISE, _sigma(around)))


def noise_level(frame: Difference) -> float:
    """Gives the median difference of the reference pixels that differ at all, CIELAB units."""
    noisy = frame.size[_noisy(frame.size, frame.reference)]
    return float(median(noisy)) if noisy.size else 0.0


def fit_noise(size: Map, activity: Map, reference: Mask) -> NoiseFloor:
    """Fits the noise floor on the reference pixels.

    Where both sides come from one encoder and differ little, it codes most blocks alike; those say
    nothing of what it does to a block near a change, so only pixels that differ at all count.

    Args:
        size: `(S, S)` length of the difference.
        activity: `(S, S)` local contrast.
        reference: `(S, S) bool`; with too few pixels the least noise is assumed.
    """
    noisy = _noisy(size, reference)
    values, contrast = size[noisy], activity[noisy]
    if values.size < LEAST_REFERENCE:
        return NoiseFloor(np.array([0.0, 1.0]), np.full(2, LEAST_NOISE))
    edges = np.quantile(np.sort(contrast), np.linspace(0, 1, BINS + 1))
    which = np.zeros(contrast.shape, np.uint8)
    for edge in edges[1:-1]:
        which += contrast >= edge
    centres, sigmas = [], []
    for number in range(BINS):
        inside = values[which == number]
        if inside.size:
            centres.append((edges[number] + edges[number + 1]) / 2)
            sigmas.append(max(LEAST_NOISE, _sigma(inside)))
    rising = np.maximum.accumulate(sigmas)
    return NoiseFloor(np.array(centres), rising)


def _noisy(size: Map, reference: Mask) -> Mask:
    return np.asarray(reference & (size > CODED_ALIKE))


def _sigma(sizes: Map) -> float:
    """Reads the noise off the quantiles of differences, which are quicker found when sorted."""
    rising = np.sort(sizes)
    return max(float(np.quantile(rising, at) / is_) for at, is_ in SIGMAS.items())
