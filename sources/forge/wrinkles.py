"""Wrinkles: drawn as furrows with a lit fold below, or wiped away."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from schemas.records import EvidenceKind as Kind
from sources.forge.face import Frame, Points, Weight, axes_of, blend
from sources.forge.operation import Operation, each, touched
from sources.forge.still import Still
from sources.forge.trial import more_detail
from sources.forge.zones import soft, zone_of

Line = NDArray[np.float64]
"""`(N, 2)` points of a stroke, in pixels."""

_CORNERS = {"right": (33, 1.0), "left": (263, -1.0)}
"""Landmark of each eye's outer corner, and 1 where outwards is the picture's left."""


def add_wrinkles(
    frame: Frame, points: Points, _: Still, strength: float, *, where: str, levels: float = 90
) -> Frame:
    """Draws furrows: dark lines with a lighter fold below each.

    Args:
        frame: The real frame.
        points: Its landmarks.
        strength: Share of the depth.
        where: `forehead`, `right` or `left` (crow's feet).
        levels: Depth in levels of 255.
    """
    names = ("forehead",) if where == "forehead" else (f"{where} eye", f"{where} cheekbone")
    zone = zone_of(frame, points, names)
    lines = _furrows(zone.points) if where == "forehead" else _crows_feet(zone.points, where)
    width = 0.009 * zone.unit
    down = axes_of(points).down * 2.2 * width
    dark = _strokes(zone.part.shape, lines, width)
    light = _strokes(zone.part.shape, [line + down for line in lines], width)
    change = np.float32(strength * levels) * (0.45 * light - dark)
    edited = zone.part + change[..., None] * np.array([0.85, 1, 1], np.float32)
    return zone.box.put(frame, np.clip(np.rint(edited), 0, 255).astype(np.uint8))


def _furrows(points: Points) -> list[Line]:
    """Gives three bowed lines across the forehead, between brows and hair."""
    low, high = (
        points[[104, 69, 108, 151, 337, 299, 333]],
        points[[103, 67, 109, 10, 338, 297, 332]],
    )
    rows = [low + share * (high - low) for share in (-0.6, -0.3, 0.0)]
    return [_curve(row[k : 7 - k]) for k, row in zip((0, 1, 1), rows, strict=True)]


def _crows_feet(points: Points, side: str) -> list[Line]:
    """Gives four lines that fan out from the outer corner of an eye."""
    corner, sense = _CORNERS[side]
    axes = axes_of(points)
    turn = np.deg2rad(np.array([-38.0, -16.0, 8.0, 30.0]))
    lines = []
    for angle, length in zip(turn, (0.12, 0.16, 0.16, 0.12), strict=True):
        along = np.linspace(0.07, 0.07 + length, 8)[:, None] * axes.unit
        bow = 0.25 * np.sign(angle) * (along - along[0]) ** 2 / (length * axes.unit)
        heading = -sense * np.cos(angle) * axes.across + np.sin(angle) * axes.down
        lines.append(points[corner] + along * heading + bow * axes.down)
    return lines


def _curve(points: NDArray[np.floating]) -> Line:
    """Gives a smooth line along a few points."""
    at, fine = np.arange(len(points)), np.linspace(0, len(points) - 1, 40)
    degree = min(4, len(points) - 1)
    return np.stack([np.polyval(np.polyfit(at, axis, degree), fine) for axis in points.T], 1)


def _strokes(shape: tuple[int, ...], lines: list[Line], width: float) -> Weight:
    """Draws tapering lines, 1 at their middle, soft to both sides."""
    drawn = np.zeros(shape[:2], np.float32)
    for line in lines:
        taper = np.sin(np.linspace(0.15, np.pi - 0.15, len(line) - 1)).clip(0.2)
        for k, level in enumerate(taper):
            ends = np.rint(line[k : k + 2] * 16).astype(np.int32)
            thin = max(1, round(1.6 * width))
            cv2.line(drawn, ends[0], ends[1], float(level), thin, cv2.LINE_8, 4)
    soft_lines = cv2.GaussianBlur(drawn, (0, 0), max(0.7, 0.7 * width))
    return np.where(soft_lines > 0.01, soft_lines, 0).astype(np.float32)


def wipe_wrinkles(
    frame: Frame, points: Points, _: Still, strength: float, *, names: tuple[str, ...]
) -> Frame:
    """Smooths concepts so strongly that folds vanish, not only texture.

    Args:
        frame: The real frame.
        points: Its landmarks.
        strength: Share of the folds that goes.
        names: FICT concepts.
    """
    for name in names:
        zone = zone_of(frame, points, (name,), 0.1)
        weight = soft(zone, 0.05)
        inside = (zone.mask > 0.5).astype(np.float32)
        spread = 0.07 * zone.unit
        total = cv2.GaussianBlur(inside, (0, 0), spread) + 1e-3
        wiped = cv2.GaussianBlur(zone.part * inside[..., None], (0, 0), spread) / total[..., None]
        frame = zone.box.put(frame, blend(zone.part, wiped, weight * np.float32(strength)))
    return frame


_ROUGH = (Kind.TEXTURE, "more textured")
_DARK = (Kind.LIGHTNESS, "darker")
_CALM = ((Kind.TEXTURE, "less textured"), (Kind.SHARPNESS, "smoother"))


def _drawn(name: str, where: str, concept: str, *near: str) -> Operation:
    edit = partial(add_wrinkles, where=where)
    aims = (*each((concept,), _ROUGH, _DARK), *touched(*near))
    return Operation(name, "attribute edit", edit, aims, more_detail(edit, concept))


WRINKLES = (
    _drawn("wrinkle_forehead", "forehead", "forehead"),
    *(
        _drawn(
            f"crows_feet_{side}",
            side,
            f"{side} crow's-foot area",
            *(f"{side} {part}" for part in ("outer canthus", "cheekbone", "temple")),
        )
        for side in ("right", "left")
    ),
    Operation(
        "wipe_under_eyes",
        "attribute edit",
        partial(wipe_wrinkles, names=("right under-eye", "left under-eye")),
        each(("right under-eye", "left under-eye"), *_CALM),
    ),
    Operation(
        "wipe_left_fold",
        "attribute edit",
        partial(wipe_wrinkles, names=("left nasolabial fold",)),
        each(("left nasolabial fold",), *_CALM),
    ),
    Operation(
        "wipe_right_fold",
        "attribute edit",
        partial(wipe_wrinkles, names=("right nasolabial fold",)),
        each(("right nasolabial fold",), *_CALM),
    ),
)
