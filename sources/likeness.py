"""How alike two pictures of one scene are, told from small grey copies of them.

Everything works on local contrast: each pixel less the mean around it, over the spread around it.
Light, colour grades and slow shading drop out of it. A similarity lays one picture on the other,
and what stays different is told by the pixels that agree best, so that a forged face does not
count. Source: ours; the fit is Lucas and Kanade's with weights that outliers lose.

Arrays are `(frames, h, w) float32`; shifts are pixels of the small pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pixels = NDArray[np.bool_]

FINE_PX = 1.6
"""Finer detail is blurred away: it is noise of the codec, and suffers when a picture is moved."""
AROUND = (15, 15)
"""A pixel's surroundings: wide enough for the shift between sides, narrower than their light."""
FAINT = 4.0
"""A spread of so many levels of 255 halves the contrast: flat areas show noise alone."""
COARSE = 4
"""Coarse copies are so many times smaller: there the sides may lie a twentieth apart."""
STEPS = (10, 6)
"""Most steps of the fit, coarse and fine."""
TEXTURED = 0.15
"""Mean squared contrast of a place that shows something."""
LEAST_TEXTURE = 0.05
"""With less than this share of textured pixels two pictures cannot be told apart."""


@dataclass(frozen=True)
class Contrast:
    """The local contrast of a clip.

    Attributes:
        fine: `(frames, h, w) float32`, about -3 to 3.
        coarse: The same of the clip made `COARSE` times smaller.
    """

    fine: Floats
    coarse: Floats

    def mirrored(self) -> Contrast:
        """Gives the contrast of the clip flipped left to right."""
        return Contrast(self.fine[:, :, ::-1].copy(), self.coarse[:, :, ::-1].copy())


def contrast_of(clip: NDArray[np.uint8]) -> Contrast:
    """Gives the local contrast of a clip of grey pictures, `(frames, h, w) uint8`."""
    height, width = (max(1, side // COARSE) for side in clip.shape[1:])
    small = [cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA) for one in clip]
    return Contrast(_local(list(clip)), _local(small))


def _local(pictures: list[NDArray[np.uint8]]) -> Floats:
    found = []
    for picture in pictures:
        light = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), FINE_PX)
        light -= cv2.blur(light, AROUND)
        spread = cv2.blur(light * light, AROUND)
        found.append(light / np.sqrt(spread + FAINT**2))
    return np.stack(found)


def lay(
    real: Contrast, fake: Contrast, frames: NDArray[np.int64], offset: int
) -> NDArray[np.float64]:
    """Fits the one similarity that lays some frames of the real side on those of the fake side.

    Args:
        real: Contrast of the real side.
        fake: Contrast of the fake side.
        frames: Indices of the fake side's frames.
        offset: Real less fake index.

    Returns:
        `(4,) float64`: shift right, shift down, growth, turn in radians; of the point of the real
        side that a point of the fake side shows, about the middle of the picture.
    """
    motion = np.zeros(4)
    for name, grown, steps in (("coarse", COARSE, STEPS[0]), ("fine", 1, STEPS[1])):
        pictures = getattr(real, name)[frames + offset], getattr(fake, name)[frames]
        motion[:2] /= grown
        motion = _fitted(*pictures, motion, steps)
        motion[:2] *= grown
    return motion


def _fitted(
    real: Floats, fake: Floats, motion: NDArray[np.float64], steps: int
) -> NDArray[np.float64]:
    height, width = real.shape[1:]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x - (width - 1) / 2, y - (height - 1) / 2
    for _ in range(steps):
        moved, seen = move(real, motion)
        right, down = (_slope(moved, axis) for axis in (1, 0))
        slopes = np.stack([right, down, right * x + down * y, down * x - right * y])
        error = (fake - moved)[:, seen].ravel()
        slopes = slopes[:, :, seen].reshape(4, -1)
        usual = 1.5 * np.median(np.abs(error)) + 1e-3
        weighted = slopes / (1 + (error / usual) ** 2) ** 2
        step = np.linalg.lstsq(weighted @ slopes.T, weighted @ error, rcond=1e-6)[0]
        motion = motion + step
        if np.abs(step * (1, 1, width / 2, width / 2)).max() < 0.002:
            break
    return motion


def _slope(pictures: Floats, axis: int) -> Floats:
    return np.stack([cv2.Sobel(one, cv2.CV_32F, axis, 1 - axis, scale=1 / 8) for one in pictures])


def move(pictures: Floats, motion: NDArray[np.float64]) -> tuple[Floats, Pixels]:
    """Moves pictures by a motion of `lay`.

    Returns:
        The moved pictures, and `(h, w) bool`: pixels that were within the picture before.
    """
    height, width = pictures.shape[1:]
    if not motion.any():
        return pictures, np.ones((height, width), np.bool_)
    grown, turn = 1 + motion[2], motion[3]
    linear = np.array([[grown, -turn], [turn, grown]])
    middle = np.array([width - 1, height - 1]) / 2
    affine = np.column_stack([linear, middle - linear @ middle + motion[:2]])
    back = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    size = (width, height)
    moved = [
        cv2.warpAffine(one, affine, size, flags=back, borderMode=cv2.BORDER_REPLICATE)
        for one in pictures
    ]
    whole = np.ones((height, width), np.float32)
    seen = cv2.warpAffine(whole, affine, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.stack(moved), seen > 0.99


def agreement(real: Floats, fake: Floats, seen: Pixels) -> float:
    """Gives how well two clips agree, -1 to 1: the median of their local correlation.

    Only places that show something on either side count.

    Args:
        real: Fine contrast of the real side, laid on the fake side.
        fake: Fine contrast of the fake side.
        seen: `(h, w) bool`, pixels that both sides have.

    Returns:
        The agreement; 1 where there is too little to see.
    """
    product, ours, theirs = (
        sum(cv2.blur(a * b, AROUND) for a, b in zip(one, other, strict=True)) / len(real)
        for one, other in ((real, fake), (real, real), (fake, fake))
    )
    textured = seen & (np.maximum(ours, theirs) > TEXTURED)
    if textured.mean() < LEAST_TEXTURE:
        return 1.0
    return float(np.median((product / np.sqrt(ours * theirs + 1e-6))[textured]))
