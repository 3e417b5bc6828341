"""Mixtures: several operations on distinct regions of one face."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.errors import UsageError, nearest
from sources.forge.face import Frame, Points
from sources.forge.operation import Aim, Operation
from sources.forge.operations import OPERATIONS
from sources.forge.still import Still

MOST = 4
"""Operations in one mixture."""


@dataclass(frozen=True)
class Mixture:
    """One to four operations on regions that share no atomic concept.

    Attributes:
        parts: The operations, each with its strength.

    Raises:
        UsageError: Two operations change the same atomic concept, there is no operation, or there
            are too many.
    """

    parts: tuple[tuple[Operation, float], ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.parts) <= MOST:
            raise UsageError(f"a mixture has 1 to {MOST} operations, got {len(self.parts)}")
        if not distinct(operation for operation, _ in self.parts):
            names = ", ".join(operation.name for operation, _ in self.parts)
            raise UsageError(f"operations of a mixture must not share a region: {names}")
        for operation, strength in self.parts:
            if not 0 < strength <= 1:
                raise UsageError(f"strength of {operation.name} must be in (0, 1]: {strength}")

    @property
    def aims(self) -> tuple[Aim, ...]:
        """Gives what all operations change."""
        return tuple(aim for operation, _ in self.parts for aim in operation.aims)

    def fits(self, points: Points, frame: Frame) -> bool:
        """Says whether each operation can be seen on a face."""
        return all(operation.fits(points, frame) for operation, _ in self.parts)

    def edit(self, frame: Frame, points: Points, donor: Still, share: float = 1) -> Frame:
        """Forges a frame.

        Args:
            frame: The real frame.
            points: Its landmarks.
            donor: The other person.
            share: Share of every strength, above 0, up to 1.
        """
        for operation, strength in self.parts:
            frame = operation.edit(frame, points, donor, share * strength)
        return frame


def distinct(operations: Iterable[Operation]) -> bool:
    """Says whether no two operations change the same atomic concept."""
    seen: set[int] = set()
    for operation in operations:
        if seen & operation.leaves:
            return False
        seen |= operation.leaves
    return True


def mixture_of(parts: Iterable[tuple[str, float]]) -> Mixture:
    """Gives the mixture of some operations by name.

    Raises:
        UsageError: There is no such operation, or they do not go together.
    """
    chosen = list(parts)
    for name, _ in chosen:
        if name not in OPERATIONS:
            raise UsageError(f"no operation '{name}'{nearest(name, OPERATIONS)}")
    return Mixture(tuple((OPERATIONS[name], strength) for name, strength in chosen))
