"""Trials: an operation whose aim depends on the face is tried on it before it is used."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np

from sources.forge.face import Frame, Points, Weight
from sources.forge.operation import Edit, Fits
from sources.forge.still import Still
from sources.forge.zones import zone_of

TRIED = (0.1, 1.0)
"""Strengths of a trial: the weakest in a flickering clip, and the strongest."""
CLEAR = {1: 0.04, -1: 0.02}
"""Least relative gain and loss of detail; a gain must also outdo the noise that a camera adds."""
FINE_PX = 2.0
"""Finer than this is detail."""


def more_detail(edit: Edit, name: str) -> Fits:
    """Gives the rule that an edit fits where it makes a concept more detailed."""
    return partial(_changes_detail, edit=edit, name=name, sign=1)


def less_detail(edit: Edit, name: str) -> Fits:
    """Gives the rule that an edit fits where it takes detail from a concept."""
    return partial(_changes_detail, edit=edit, name=name, sign=-1)


def _changes_detail(points: Points, frame: Frame, *, edit: Edit, name: str, sign: int) -> bool:
    face, zone = Still("", "", frame, points), zone_of(frame, points, (name,))
    before, inside = detail_of(zone.part), zone.mask > 0.5
    for strength in TRIED:
        fake = zone.box.cut(edit(frame, points, face, strength))
        where = inside & (fake != zone.part).any(axis=2)
        gain = sign * (detail_of(fake) - before)[where]
        if where.any() and gain.mean() < CLEAR[sign] * before[where].mean():
            return False
    return bool(where.any())


def detail_of(image: Frame) -> Weight:
    """Gives `(H, W)`: how far each pixel's light stands out of what is around it, in levels."""
    light = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(np.abs(light - cv2.GaussianBlur(light, (0, 0), FINE_PX)), np.float32)
