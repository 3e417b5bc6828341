"""Every operation of the forge, by name."""

from __future__ import annotations

from sources.forge.brows import BROWS
from sources.forge.expression import EXPRESSIONS
from sources.forge.light import LIGHTS
from sources.forge.marks import MARKS
from sources.forge.mouth import MOUTHS
from sources.forge.operation import Operation
from sources.forge.paste import PASTES
from sources.forge.recolour import RECOLOURS
from sources.forge.reshape import RESHAPES
from sources.forge.retouch import RETOUCHES
from sources.forge.swap import SWAPS
from sources.forge.wrinkles import WRINKLES

OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for family in (
        SWAPS,
        PASTES,
        MOUTHS,
        EXPRESSIONS,
        RESHAPES,
        BROWS,
        RECOLOURS,
        LIGHTS,
        RETOUCHES,
        MARKS,
        WRINKLES,
    )
    for operation in family
}
"""A new operation is one entry of its family's tuple; a new family is one line here."""
