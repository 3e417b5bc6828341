"""Occluders: what hides part of the face on both sides alike, drawn after forging."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sources.forge.face import LEFT_EYE, RIGHT_EYE, Frame, Points, Weight, axes_of, blend


@dataclass(frozen=True, eq=False)
class Cover:
    """Something in front of the face.

    Attributes:
        weight: `(H, W) float32` opacity.
        paint: `(H, W, 3) float32` colours.
    """

    weight: Weight
    paint: NDArray[np.float32]

    def over(self, frame: Frame) -> Frame:
        """Draws it over a frame."""
        return blend(frame, self.paint, self.weight)


def fingers(frame: Frame, points: Points, seed: int) -> Cover:
    """Gives three fingers of a hand before a cheek and a part of the mouth."""
    rng = np.random.default_rng([seed, 3])
    axes, side = axes_of(points), -1 if rng.random() < 0.5 else 1
    start = points[152] + side * 0.55 * axes.unit * axes.across + 0.5 * axes.unit * axes.down
    aim = points[50 if side < 0 else 280] + rng.uniform(-0.12, 0.12, 2) * axes.unit
    depth = np.zeros(frame.shape[:2], np.float32)
    for spread, length in ((-0.24, 0.85), (0.0, 1.0), (0.24, 0.88)):
        foot = start + spread * axes.unit * axes.across
        tip = foot + length * (aim + spread * axes.unit * axes.across - foot)
        depth = np.maximum(depth, _tube(frame.shape, foot, tip, 0.1 * axes.unit))
    wrist = start + 1.5 * axes.unit * axes.down
    palm = _tube(frame.shape, start + 0.25 * axes.unit * axes.down, wrist, 0.36 * axes.unit)
    depth = np.maximum(depth, palm)
    skin = np.median(frame[_around(points[4], 12)].reshape(-1, 3), axis=0)
    shade = 0.45 + 0.55 * np.sqrt(np.clip(depth, 0, 1))
    return _cover((depth > 0).astype(np.float32), shade[..., None] * skin, rng)


def strands(frame: Frame, points: Points, seed: int) -> Cover:
    """Gives strands of hair that hang from the forehead over one eye and cheek."""
    rng = np.random.default_rng([seed, 4])
    axes, side = axes_of(points), -1 if rng.random() < 0.5 else 1
    weight = np.zeros(frame.shape[:2], np.float32)
    for _strand in range(26):
        top = (
            points[10] + (side * rng.uniform(0.1, 0.5) * axes.across - 0.15 * axes.down) * axes.unit
        )
        bend = side * rng.uniform(0.05, 0.35)
        fall = np.linspace(0, rng.uniform(0.7, 1.25), 30)[:, None]
        line = top + axes.unit * (fall * axes.down + bend * fall**2 * axes.across)
        corners = np.rint(line * 16).astype(np.int32)
        thin = int(rng.integers(1, max(2, round(0.03 * axes.unit)) + 1))
        cv2.polylines(weight, [corners], False, 1.0, thin, cv2.LINE_8, 4)
    colour = np.array([58, 42, 30]) * rng.uniform(0.6, 1.6)
    return _cover(weight, np.broadcast_to(colour, frame.shape), rng)


def glasses(frame: Frame, points: Points, seed: int) -> Cover:
    """Gives the frame of a pair of glasses, its lenses clear."""
    rng = np.random.default_rng([seed, 5])
    axes = axes_of(points)
    weight = np.zeros(frame.shape[:2], np.float32)
    thick = max(2, round(rng.uniform(0.03, 0.055) * axes.unit))
    turn = float(np.rad2deg(np.arctan2(axes.across[1], axes.across[0])))
    size = (round(0.26 * axes.unit), round(rng.uniform(0.17, 0.24) * axes.unit))
    rims = [points[ring].mean(0) + 0.04 * axes.unit * axes.down for ring in (RIGHT_EYE, LEFT_EYE)]
    for rim, side, ear in ((rims[0], -1, 127), (rims[1], 1, 356)):
        cv2.ellipse(weight, _pixel(rim), size, turn, 0, 360, 1.0, thick)
        hinge = rim + side * size[0] * axes.across - 0.05 * axes.unit * axes.down
        cv2.line(weight, _pixel(hinge), _pixel(points[ear]), 1.0, thick)
    inner = [rim + side * size[0] * axes.across for rim, side in zip(rims, (1, -1), strict=True)]
    cv2.line(weight, _pixel(inner[0]), _pixel(inner[1]), 1.0, thick)
    colour = np.array([[24, 22, 26], [96, 58, 28], [70, 72, 78]])[rng.integers(3)]
    return _cover(weight, np.broadcast_to(colour, frame.shape), rng)


def _tube(
    shape: tuple[int, ...], foot: NDArray[np.floating], tip: NDArray[np.floating], radius: float
) -> Weight:
    """Gives a finger: 1 along its middle, 0 at its edge and beyond."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    along = tip - foot
    share = np.clip(
        ((x - foot[0]) * along[0] + (y - foot[1]) * along[1]) / float(along @ along), 0, 1
    )
    away = np.hypot(x - foot[0] - share * along[0], y - foot[1] - share * along[1])
    depth = np.clip(1 - (away / (radius * (1 - 0.2 * share))) ** 2, 0, 1)
    return np.asarray(depth, np.float32)


def _cover(mask: Weight, paint: NDArray[np.floating], rng: np.random.Generator) -> Cover:
    """Gives a mask a soft edge and its paint some grain."""
    weight = np.minimum(cv2.GaussianBlur(mask, (0, 0), 0.8), 1)
    grain = rng.standard_normal((*mask.shape, 1), np.float32) * 2.5
    return Cover(weight.astype(np.float32), (paint + grain).astype(np.float32))


def _around(middle: NDArray[np.floating], reach: int) -> tuple[slice, slice]:
    x, y = _pixel(middle)
    return slice(max(y - reach, 0), y + reach), slice(max(x - reach, 0), x + reach)


def _pixel(point: NDArray[np.floating]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


OCCLUDERS: dict[str, Callable[[Frame, Points, int], Cover]] = {
    "fingers": fingers,
    "strands": strands,
    "glasses": glasses,
}
"""What may hide a part of the face: takes the real frame, its landmarks and a seed."""
