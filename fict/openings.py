"""What shows through the openings of the face mesh: eyeball parts, teeth, the inner mouth."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fict.mesh import load_mesh
from fict.tree import Inside, Tree

SUBPIXEL_BITS = 4
EYE_OPEN_MIN = 0.07
"""An eye is open when its opening's mean height over its width is above this."""
MOUTH_OPEN_MIN = 0.06
"""The mouth is open when its opening's mean height over its width is above this."""
PUPIL_SHARE = 0.4
"""Radius of the pupil over that of the iris; the true one changes with light."""
TOOTH_BRIGHT_MIN, TOOTH_SATURATION_MAX, TOOTH_REDNESS_MAX = 90, 0.45, 0.2
"""A tooth's pixel: its brightest channel (0..255) above the first, its HSV saturation and its
redness, 1 - green / red, below the others; gums and lips are redder."""
SEAM_BINS, SEAM_DEPTH = 12, 0.85
"""Steps of the lightness profile from lip to lip; a seam is darker than this share of both rows."""
TEETH_SHARE_MIN = 0.05
"""Fewer tooth-like pixels than this share of the opening are not teeth."""

# Inner lip line from the right to the left corner, above and below, point for point.
UPPER_LINE = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_LINE = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
LIP_PARTS = (("right", 0, 4), ("middle", 4, 6), ("left", 6, 10))


def paint_eye(
    labels: NDArray[np.uint8],
    landmarks: NDArray[np.float32],
    whole: int,
    rim: NDArray[np.int32],
    parts: dict[str, int],
    tree: Tree,
    crop: NDArray[np.uint8] | None,
) -> None:
    """Paints sclera, iris and pupil into `labels`; a closed eye becomes upper eyelid.

    An eye that is turned away is not painted.

    Args:
        labels: (S, S) uint8, changed in place.
        landmarks: (478, 3) in crop pixels.
        whole: id of the eyeball.
        rim: vertices of the opening.
        parts: ids of `sclera`, `iris` and `pupil`.
        tree: the tree.
        crop: not used; the mouth needs it.
    """
    outline = landmarks[rim, :2]
    side = tree.by_id[whole].side
    is_open = openness(landmarks, rim)
    if is_open < -EYE_OPEN_MIN:
        return
    if is_open < EYE_OPEN_MIN:
        _fill(labels, outline, tree.by_name[f"{side} upper eyelid"].id)
        return
    _fill(labels, outline, parts["sclera"])
    where = tree.by_id[parts["iris"]].where
    assert isinstance(where, Inside)  # noqa: S101 - the record that gave us this part
    points = where.points
    centre, ring = landmarks[points[0], :2], landmarks[list(points[1:]), :2]
    radius = float(np.linalg.norm(ring - centre, axis=1).mean())
    _disc(labels, centre, radius, parts["sclera"], parts["iris"])
    _disc(labels, centre, radius * PUPIL_SHARE, parts["iris"], parts["pupil"])


def openness(landmarks: NDArray[np.float32], rim: NDArray[np.int32]) -> float:
    """Mean height over width of the opening with this rim; negative when it is turned away."""
    seen = landmarks[rim, :2]
    width = float(np.linalg.norm(seen.max(0) - seen.min(0)))
    facing = np.sign(_area(load_mesh().vertices[rim, :2]))
    return float(facing) * _area(seen) / max(width, 1e-6) ** 2


def _area(outline: NDArray[np.float32]) -> float:
    x, y = outline.T
    return 0.5 * float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def paint_mouth(
    labels: NDArray[np.uint8],
    landmarks: NDArray[np.float32],
    whole: int,
    rim: NDArray[np.int32],
    parts: dict[str, int],
    tree: Tree,
    crop: NDArray[np.uint8] | None,
) -> None:
    """Paints the opening of the mouth, or extends closed lips up to the line where they meet.

    Args:
        labels: (S, S) uint8, changed in place.
        landmarks: (478, 3) in crop pixels.
        whole: id of the inner mouth, which everything but visible teeth gets.
        rim: vertices of the opening.
        parts: ids of `upper_teeth` and `lower_teeth`.
        tree: the tree.
        crop: (S, S, 3) uint8 RGB or None; without it no teeth are told apart.
    """
    upper, lower = landmarks[list(UPPER_LINE), :2], landmarks[list(LOWER_LINE), :2]
    meeting = (upper + lower) / 2
    is_open = openness(landmarks, rim)
    if is_open < -MOUTH_OPEN_MIN:
        return
    if is_open < MOUTH_OPEN_MIN:
        for side, start, end in LIP_PARTS:
            for lip, line in (("upper", upper), ("lower", lower)):
                here = slice(start, end + 1)
                outline = np.concatenate([line[here], meeting[here][::-1]])
                _fill(labels, outline, tree.by_name[f"{side} {lip} lip"].id)
        return
    _fill(labels, landmarks[rim, :2], whole)
    if crop is None:
        return
    (x0, y0), (x1, y1) = (
        np.clip(edge, 0, labels.shape[0]).astype(int)
        for edge in (landmarks[rim, :2].min(0) - 1, landmarks[rim, :2].max(0) + 2)
    )
    window, seen = labels[y0:y1, x0:x1], crop[y0:y1, x0:x1]
    opening = window == whole
    if not opening.any():
        return
    corner = np.array([x0, y0], np.float32)
    teeth = tooth_like(seen, opening)
    height = heights_between(upper - corner, lower - corner, opening)
    seam = seam_between_rows(seen, opening, teeth, height)
    window[opening] = np.where(
        teeth, np.where(height < seam, parts["upper_teeth"], parts["lower_teeth"]), whole
    )


def tooth_like(crop: NDArray[np.uint8], opening: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N,) bool: which of an opening's N pixels are bright and unsaturated; none when they are few.

    Args:
        crop: (H, W, 3) uint8 RGB.
        opening: (H, W) bool.
    """
    colours = crop[opening].astype(np.float32)
    brightest, darkest = colours.max(1, initial=0), colours.min(1, initial=255)
    saturation = (brightest - darkest) / np.maximum(brightest, 1)
    redness = 1 - colours[:, 1] / np.maximum(colours[:, 0], 1)
    found = (brightest > TOOTH_BRIGHT_MIN) & (saturation < TOOTH_SATURATION_MAX)
    found &= redness < TOOTH_REDNESS_MAX
    found = _without_specks(found, opening)
    return np.asarray(found & (found.mean() >= TEETH_SHARE_MIN if len(found) else False))


def _without_specks(found: NDArray[np.bool_], opening: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The same flags without single pixels, and with single gaps closed."""
    picture = np.zeros(opening.shape, np.uint8)
    picture[opening] = found
    return np.asarray(cv2.medianBlur(picture, 3)[opening] > 0)


def heights_between(
    upper: NDArray[np.float32], lower: NDArray[np.float32], opening: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """(N,) float32 where an opening's N pixels stand: 0 at the upper lip, 1 at the lower."""
    y, x = np.nonzero(opening)
    along = (upper[-1] - upper[0]) / max(float(np.linalg.norm(upper[-1] - upper[0])), 1e-6)
    turn = np.array([along, [-along[1], along[0]]])
    here = (np.stack([x, y], axis=1) - upper[0]) @ turn.T
    top, bottom = ((line - upper[0]) @ turn.T for line in (upper, lower))
    above, below = (
        np.interp(here[:, 0], line[order, 0], line[order, 1])
        for line in (top, bottom)
        for order in [np.argsort(line[:, 0])]
    )
    share = (here[:, 1] - above) / np.maximum(below - above, 1e-6)
    return np.asarray(np.clip(share, 0, 1), dtype=np.float32)


def seam_between_rows(
    crop: NDArray[np.uint8],
    opening: NDArray[np.bool_],
    teeth: NDArray[np.bool_],
    height: NDArray[np.float32],
) -> float:
    """The height (0..1) at which lower teeth begin.

    A dark line across the opening parts two rows. Without one there is a single row: the lower
    teeth where it hangs below the middle and leaves the upper lip free, else the upper.
    """
    if not teeth.any():
        return 1.0
    bins = np.minimum((height * SEAM_BINS).astype(int), SEAM_BINS - 1)
    light = crop[opening].mean(1)
    count = np.maximum(np.bincount(bins, minlength=SEAM_BINS), 1)
    profile = np.bincount(bins, light, minlength=SEAM_BINS) / count
    rows = np.bincount(bins, teeth, minlength=SEAM_BINS) / count
    for middle in np.argsort(profile):
        before, after = profile[:middle].max(initial=0), profile[middle + 1 :].max(initial=0)
        has_rows = rows[:middle].max(initial=0) > 0.3 and rows[middle + 1 :].max(initial=0) > 0.3
        if has_rows and profile[middle] < SEAM_DEPTH * min(before, after):
            return float((middle + 0.5) / SEAM_BINS)
    hangs_low = float(height[teeth].mean()) > 0.6 and rows[: SEAM_BINS // 4].max() < 0.1
    return 0.0 if hangs_low else 1.1


def _fill(labels: NDArray[np.uint8], outline: NDArray[np.float32], value: int) -> None:
    fixed = np.rint(outline * (1 << SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(labels, [fixed], value, shift=SUBPIXEL_BITS)


def _disc(
    labels: NDArray[np.uint8], centre: NDArray[np.float32], radius: float, over: int, value: int
) -> None:
    """Paints a disc, only over pixels that have the id `over`."""
    x0, y0 = (int(v) for v in np.maximum(np.floor(centre - radius), 0))
    x1, y1 = (int(v) for v in np.maximum(np.ceil(centre + radius) + 1, 0))
    window = labels[y0:y1, x0:x1]
    y, x = np.ogrid[y0 : y0 + window.shape[0], x0 : x0 + window.shape[1]]
    near = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= radius**2
    window[near & (window == over)] = value
