"""The forgery methods of the toy dataset: operations at one strength each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sources.forge.face import Frame, Points
from sources.forge.operation import Aim
from sources.forge.operations import OPERATIONS
from sources.forge.still import Still


@dataclass(frozen=True)
class Variant:
    """One way to apply a method.

    Attributes:
        operation: Key of `OPERATIONS`; empty leaves the frames as they are.
        strength: How far it goes.
    """

    operation: str = ""
    strength: float = 1.0

    @property
    def edit(self) -> Callable[[Frame, Points, Still], Frame] | None:
        """Gives the fake frame from the real one, its landmarks and the source person's picture."""
        if not self.operation:
            return None
        edit = OPERATIONS[self.operation].edit
        return lambda frame, points, donor: edit(frame, points, donor, self.strength)

    @property
    def aims(self) -> tuple[Aim, ...]:
        """Gives what is changed in a known direction; where nothing is, what is changed at all."""
        aims = OPERATIONS[self.operation].aims if self.operation else ()
        return tuple(aim for aim in aims if aim[1]) or aims


METHODS: dict[str, tuple[Variant, ...]] = {
    "IdentitySwap": (Variant("swap_gradient_matched"),),
    "MouthWarp": (Variant("open_mouth", 0.75), Variant("smile", 0.75)),
    "SkinSmoothing": (
        Variant("smooth_right_cheek"),
        Variant("smooth_forehead"),
        Variant("smooth_left_cheek"),
    ),
    "LipRecolour": (Variant("paint_lips_red", 0.5), Variant("paint_lips_blue", 0.5)),
    "NoseReshape": (Variant("narrow_nose", 0.75), Variant("enlarge_nose", 0.75)),
    "EyeReshape": (Variant("enlarge_eyes", 0.75), Variant("enlarge_left_eye", 0.75)),
    "Unforged": (Variant(),),
}
"""Each method's variants; the k-th target gets variant k, from the first again after the last."""


def variant_of(method: str, target: int) -> Variant:
    """Gives the variant that a method applies to the target of a number."""
    variants = METHODS[method]
    return variants[target % len(variants)]
