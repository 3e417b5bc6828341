"""The type of an operation: a way to forge a frame, how far, and what is then true."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from fict.tree import load_tree
from schemas.records import EvidenceKind
from sources.forge.face import Frame, Points
from sources.forge.still import Still

Forgery = Literal["identity swap", "expression reenactment", "attribute edit"]

Edit = Callable[[Frame, Points, Still, float], Frame]
"""Gives the fake frame, from the real one, its landmarks, the donor and a strength."""

Fits = Callable[[Points, Frame], bool]
"""Says whether a face shows what an operation works on."""

Aim = tuple[str, EvidenceKind | None, str]
"""A FICT concept, what was changed of it, and how; None where no one direction is always true."""


def always(_points: Points, _frame: Frame) -> bool:
    """Fits every face."""
    return True


@dataclass(frozen=True)
class Operation:
    """One way to forge a frame.

    Attributes:
        name: Key in `sources.forge.operations.OPERATIONS`.
        forgery: Class of the forgery.
        edit: Takes the real frame, its landmarks, the donor and a strength above 0, up to 1: 0.25
            is barely visible, 0.5 slight, 0.75 clear, 1 gross. Area and mean difference do not
            shrink with the strength, and pixels elsewhere keep their exact values.
        aims: What it changes, true at every strength.
        fits: Says whether the operation can be seen on a face.
    """

    name: str
    forgery: Forgery
    edit: Edit
    aims: tuple[Aim, ...]
    fits: Fits = always

    @property
    def concepts(self) -> tuple[str, ...]:
        """Gives the concepts that it changes, each once."""
        return tuple(dict.fromkeys(concept for concept, _, _ in self.aims))

    @property
    def leaves(self) -> frozenset[int]:
        """Gives the ids of the atomic concepts that it changes."""
        return leaves_of(self.concepts)

    @property
    def covers_face(self) -> bool:
        """Says whether it changes so much of the face that nothing else can be told apart."""
        return len(self.leaves) > 30


@functools.cache
def leaves_of(names: tuple[str, ...]) -> frozenset[int]:
    """Gives the ids of the atomic concepts of some concepts."""
    tree = load_tree()
    nodes = [
        node
        for name in names
        for node in (tree.by_name[name], *tree.descendants_of(tree.by_name[name]))
    ]
    return frozenset(node.id for node in nodes if tree.is_atomic(node))


def each(names: Iterable[str], *changes: tuple[EvidenceKind | None, str]) -> tuple[Aim, ...]:
    """Gives the aims of changes that all named concepts share."""
    return tuple((name, kind, how) for name in names for kind, how in changes)


def touched(*names: str) -> tuple[Aim, ...]:
    """Gives the aims of concepts that change in no one direction."""
    return each(names, (None, ""))
