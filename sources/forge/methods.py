"""The forgery methods: what each does, and what is thereby known to be true of its fakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from schemas.records import EvidenceKind as Kind
from sources.forge.face import Frame, Points
from sources.forge.mouth import open_mouth, smile
from sources.forge.reshape import enlarge_eyes, resize_nose
from sources.forge.retouch import recolour_lips, smooth_skin
from sources.forge.still import Still
from sources.forge.swap import swap_face

Edit = Callable[[Frame, Points, Still], Frame]
"""Gives the fake frame, from the real one, its landmarks and the source person's picture."""


Aim = tuple[str, Kind | None, str]
"""A FICT concept, what was changed of it, and how; None where no one direction is always true."""


@dataclass(frozen=True)
class Variant:
    """One way to apply a method.

    Attributes:
        edit: The operation; None leaves the frames as they are.
        aims: What it changes.
    """

    edit: Edit | None
    aims: tuple[Aim, ...]


def _skin(area: str) -> Variant:
    aims = ((area, Kind.TEXTURE, "less textured"), (area, Kind.SHARPNESS, "smoother"))
    return Variant(partial(smooth_skin, area=area), aims)


def _lips(lab: tuple[float, float, float], *changes: tuple[Kind, str]) -> Variant:
    aims = tuple((lip, *change) for lip in ("upper lip", "lower lip") for change in changes)
    return Variant(partial(recolour_lips, lab=lab), aims)


def _nose(grow: float, direction: str) -> Variant:
    return Variant(partial(resize_nose, grow=grow), (("nose", Kind.SIZE, direction),))


def _eyes(which: str, *names: str) -> Variant:
    aims = tuple((name, Kind.SIZE, "larger") for name in names)
    return Variant(partial(enlarge_eyes, which=which), aims)


METHODS: dict[str, tuple[Variant, ...]] = {
    "IdentitySwap": (
        Variant(swap_face, (("face", None, ""),)),  # how it changes depends on the two people
    ),
    "MouthWarp": (
        Variant(open_mouth, (("lower lip", Kind.POSITION, "moved down"),)),
        Variant(
            smile,
            (
                ("right mouth corner", Kind.POSITION, "moved up"),
                ("left mouth corner", Kind.POSITION, "moved up"),
            ),
        ),
    ),
    "SkinSmoothing": (_skin("right cheek"), _skin("forehead"), _skin("left cheek")),
    "LipRecolour": (
        _lips((-6, 14, 2), (Kind.COLOUR, "redder"), (Kind.LIGHTNESS, "darker")),
        _lips((-8, 4, -14), (Kind.COLOUR, "bluer"), (Kind.LIGHTNESS, "darker")),
    ),
    "NoseReshape": (_nose(-0.34, "smaller"), _nose(0.22, "larger")),
    "EyeReshape": (_eyes("both", "right eye", "left eye"), _eyes("left", "left eye")),
    "Unforged": (Variant(None, ()),),
}
"""Each method's variants; the k-th target gets variant k, from the first again after the last."""


def variant_of(method: str, target: int) -> Variant:
    """Gives the variant that a method applies to the target of a number."""
    variants = METHODS[method]
    return variants[target % len(variants)]
