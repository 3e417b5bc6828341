"""Statements about regions, as the bench of claims handles them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from annotators.evidence import Probe, probe_of
from fict.tree import Tree
from schemas.records import EvidenceKind
from sources.forge.truth import FrameTruth


@dataclass(frozen=True)
class Stated:
    """A statement about a region, without a sentence.

    Attributes:
        concept: FICT node id.
        kind: Evidence kind.
        direction: How the region is said to have changed.
    """

    concept: int
    kind: EvidenceKind
    direction: str

    @property
    def probe(self) -> Probe:
        """Gives the probe that tests it."""
        return probe_of(self.kind, self.direction)

    @property
    def sign(self) -> int:
        """Gives 1 where the probe's positive changes are meant, else -1."""
        return 1 if self.direction == self.probe.positive else -1

    @property
    def opposite(self) -> Stated:
        """Gives the statement of the other direction; itself where there is none."""
        probe = self.probe
        other = probe.negative if self.sign > 0 else probe.positive
        return replace(self, direction=other)


def aims_in(truth: FrameTruth, tree: Tree) -> list[Stated]:
    """Gives what was aimed at in a frame with a known direction, each once."""
    return list(
        dict.fromkeys(
            Stated(tree.by_name[name].id, kind, direction)
            for name, kind, direction in zip(
                truth.concepts, truth.kinds, truth.directions, strict=True
            )
            if kind is not None
        )
    )
