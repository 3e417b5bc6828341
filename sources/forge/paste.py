"""Identity mixtures: single parts of the donor's face, pasted over the target's."""

from __future__ import annotations

from functools import partial

import numpy as np

from sources.forge.face import Frame, Points, blend, faded_in, feathered, grown
from sources.forge.operation import Operation, touched
from sources.forge.still import Still
from sources.forge.swap import as_target, bent, network_look
from sources.forge.zones import Zone, zone_of


def paste(
    frame: Frame, points: Points, donor: Still, strength: float, *, names: tuple[str, ...]
) -> Frame:
    """Replaces concepts by the donor's.

    Args:
        frame: The real frame.
        points: Its landmarks.
        donor: The other person.
        strength: Opacity of the donor's pixels.
        names: FICT concepts, each pasted on its own.
    """
    for name in names:
        zone = zone_of(frame, points, (name,), 0.25)
        frame = zone.box.put(frame, _pasted(zone, donor, strength))
    return frame


def _pasted(zone: Zone, donor: Still, strength: float) -> Frame:
    rounded = feathered(grown(zone.mask, 0.06 * zone.unit), 0.02 * zone.unit)
    hull = (rounded > 0.5).astype(np.float32)
    drawn = network_look(bent(donor, zone.points, zone.part.shape), zone.unit)
    face = as_target(zone.part, drawn, hull, 0.6 * zone.unit, "gradient", True)
    weight = faded_in(hull, 0.08 * zone.unit) * np.float32(strength)
    return blend(zone.part, face, weight)


def _of(name: str, *concepts: str) -> Operation:
    return Operation(name, "identity swap", partial(paste, names=concepts), touched(*concepts))


PASTES = (
    _of("paste_nose", "nose"),
    _of("paste_mouth", "mouth"),
    _of("paste_eyes", "right eye", "left eye"),
)
