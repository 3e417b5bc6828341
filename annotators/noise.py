"""What two sides of a pair differ by where nothing was forged: the pair's own noise floor.

Codec noise grows with the local activity of the picture, so the floor is a function of activity,
fitted on the pixels around the face, which no face forgery touches. Source: ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sources.crop import CropPair

Map = NDArray[np.float32]

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
EXACT_PX = 0.05
"""A smaller shift is none."""
BINS = 8
LEAST_REFERENCE = 500
"""Fewer reference pixels than this cannot carry a noise floor."""
SIGMAS = {0.9: 2.50, 0.99: 3.37}
"""Quantiles at which the noise is read off, and how many sigmas a difference of three independent
normal channels has there; the larger result counts, so that heavy tails raise the floor."""


@dataclass(frozen=True)
class Difference:
    """The difference of one crop pair.

    Attributes:
        signed: `(S, S, 3) float32`, fake minus real in CIELAB, blurred.
        size: `(S, S) float32`, its length: a perceptual difference (CIE76).
        activity: `(S, S) float32`, local contrast of the real side, CIELAB units.
        reference: `(S, S) bool`, pixels around the face, inside the frame.
        slack: `(S, S) float32`, what the sides' last misregistration makes of the picture's edges.
    """

    signed: Map
    size: Map
    activity: Map
    reference: NDArray[np.bool_]
    slack: Map


def to_lab(image: NDArray[np.uint8]) -> Map:
    """Converts `(S, S, 3) uint8` RGB to `float32` CIELAB (L* 0..100)."""
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB))


def difference(crop: CropPair) -> Difference:
    """Takes the perceptual difference of a crop pair."""
    real, fake = to_lab(crop.real), to_lab(crop.fake)
    sigma = BLUR_SIGMA * crop.real.shape[0] / 512
    signed = cv2.GaussianBlur(fake - real, (0, 0), sigma)
    mean = cv2.blur(real, (9, 9))
    contrast = (cv2.blur(real * real, (9, 9)) - mean * mean).sum(axis=2)
    return Difference(
        signed=signed,
        size=length(signed),
        activity=np.sqrt(np.maximum(contrast, 0)),
        reference=crop.valid & ~crop.face_mask(grow=KEEP_OFF),
        slack=slack(crop, real[..., 0]),
    )


def slack(crop: CropPair, lightness: Map) -> Map:
    """Gives the difference that sides make which are not exactly registered: shift x gradient."""
    shift = crop.registration_px + (REPAIRED_PX if crop.repairs else 0.0)
    if shift < EXACT_PX:
        return np.zeros_like(lightness)
    return np.asarray(shift * cv2.dilate(gradient(lightness), np.ones((3, 3), np.uint8)))


def gradient(lightness: Map) -> Map:
    """Gives the steepness of a picture, L* per pixel."""
    across = cv2.Sobel(lightness, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    along = cv2.Sobel(lightness, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    return np.asarray(cv2.magnitude(across, along))


def average(clip: Sequence[Difference]) -> Map:
    """Averages signed differences over the frames in face coordinates and takes the length.

    Codec noise changes its sign from frame to frame and averages out; a forgery that stays put on
    the face does not.
    """
    return length(np.mean([frame.signed for frame in clip], axis=0, dtype=np.float32))


def length(signed: Map) -> Map:
    """Gives the length of each pixel's difference, `(S, S, 3)` to `(S, S)`."""
    return np.asarray(np.sqrt(np.einsum("ijk,ijk->ij", signed, signed)))


@dataclass(frozen=True)
class NoiseFloor:
    """The expected difference of unchanged pixels as a function of local activity.

    Attributes:
        activity: Bin centres, ascending.
        sigma: Noise at each centre, CIELAB units, never falling.
    """

    activity: NDArray[np.float64]
    sigma: NDArray[np.float64]

    def units(self, size: Map, activity: Map, slack: Map) -> Map:
        """Gives a difference in units of the noise and the slack expected at each pixel."""
        steps = np.linspace(0, self.activity[-1], 256)
        table = np.interp(steps, self.activity, self.sigma).astype(np.float32)
        index = np.minimum(activity * (255 / max(steps[-1], 1e-6)), 255).astype(np.uint8)
        return np.asarray(size / np.hypot(table[index], slack))


def noise_level(frame: Difference) -> float:
    """Gives the median difference of the reference pixels that differ at all, CIELAB units."""
    noisy = frame.size[frame.reference & (frame.size > CODED_ALIKE)]
    return float(np.median(noisy)) if noisy.size else 0.0


def fit_noise(size: Map, activity: Map, reference: NDArray[np.bool_]) -> NoiseFloor:
    """Fits the noise floor on the reference pixels.

    Where both sides come from one encoder and differ little, it codes most blocks alike; those say
    nothing of what it does to a block near a change, so only pixels that differ at all count.

    Args:
        size: `(S, S)` length of the difference.
        activity: `(S, S)` local contrast.
        reference: `(S, S) bool`; with too few pixels the least noise is assumed.
    """
    noisy = reference & (size > CODED_ALIKE)
    values, contrast = size[noisy], activity[noisy]
    if values.size < LEAST_REFERENCE:
        return NoiseFloor(np.array([0.0, 1.0]), np.full(2, LEAST_NOISE))
    edges = np.quantile(contrast, np.linspace(0, 1, BINS + 1))
    which = np.clip(np.searchsorted(edges, contrast, side="right") - 1, 0, BINS - 1)
    centres, sigmas = [], []
    for number in range(BINS):
        inside = values[which == number]
        if inside.size:
            centres.append((edges[number] + edges[number + 1]) / 2)
            read = (np.quantile(inside, at) / is_ for at, is_ in SIGMAS.items())
            sigmas.append(max(LEAST_NOISE, *map(float, read)))
    rising = np.maximum.accumulate(sigmas)
    return NoiseFloor(np.array(centres), rising)
