"""The claim check: does the measurement support what a sentence says of a region?

    supported     measured in that direction, beyond chance and beyond the least noticeable change
    contradicted  measured the other way, or measured well enough to know that nothing is there,
                  or about a region where no change was found
    untestable    not measured there, or too noisy to tell

Source: ours; answers "how were fewer hallucinations measured" (reviews of the paper).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.evidence import LEAST_PIXELS, Probe, probe_of
from annotators.explain import Statement
from fict.tree import load_tree
from schemas import rle
from schemas.manifest import EvidenceSettings
from schemas.records import Claim, Evidence, MeasuredFrame, Verdict

SHORT = 0.45
"""A change that falls short by this share of the least reported one is not there, however many
spreads that are, as long as one spread is below the least."""
UNTOUCHED = 0.05
"""A region of which less than this share changed did not change: a mask's edge reaches into it."""


def verify(
    statements: Iterable[Statement], frame: MeasuredFrame, settings: EvidenceSettings
) -> list[Claim]:
    """Checks every statement against the measurements of its region.

    Args:
        statements: What an explainer says.
        frame: The measured frame.
        settings: Thresholds of the evidence.

    Returns:
        One claim for each statement, with verdict and the measurement behind it.
    """
    check = _Check(frame, settings)
    return [check.claim(statement) for statement in statements]


def read_labels(frame: MeasuredFrame) -> NDArray[np.uint8]:
    """Decodes a row's FICT label map to `(S, S) uint8`."""
    encoded = np.frombuffer(frame.label_map.bytes or b"", np.uint8)
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)


class _Check:
    """The claim check of one frame."""

    def __init__(self, frame: MeasuredFrame, settings: EvidenceSettings) -> None:
        self.frame, self.settings = frame, settings

    def claim(self, statement: Statement) -> Claim:
        verdict, reason = self._verdict(statement)
        return Claim(
            category_id=statement.category_id,
            kind=statement.kind,
            direction=statement.direction,
            sentence=statement.sentence,
            verdict=verdict,
            reason=reason,
        )

    def _verdict(self, statement: Statement) -> tuple[Verdict, str]:
        try:
            probe = probe_of(statement.kind, statement.direction)
        except KeyError:
            told = f"no measurement of {statement.kind} is called {statement.direction}"
            return "untestable", told
        measured = _find(self.frame.evidence, statement.category_id, probe)
        if measured is None:
            return self._unmeasured(statement)
        return self._weighed(statement, measured)

    def _unmeasured(self, statement: Statement) -> tuple[Verdict, str]:
        """Judges a statement without a measurement by whether its region changed at all."""
        if all(one.category_id != statement.category_id for one in self.frame.regions):
            hit, area = (int(each[statement.category_id]) for each in self._counts)
            if hit < max(LEAST_PIXELS, UNTOUCHED * area):
                return "contradicted", f"{hit} of its {area} pixels changed: nothing changed there"
        return "untestable", f"{statement.kind} could not be measured there"

    @functools.cached_property
    def _counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """`(256,)` changed pixels, and all pixels, of each concept."""
        labels, tree = read_labels(self.frame), load_tree()
        mask = rle.decode(self.frame.artifact.segmentation)
        return tree.counts(labels[mask]), tree.counts(labels)

    def _weighed(self, statement: Statement, measured: Evidence) -> tuple[Verdict, str]:
        found = (
            f"measured {measured.direction} by {measured.effect:.2f} {measured.unit}, "
            f"chance gives {measured.spread:.2f}"
        )
        agrees = measured.direction == statement.direction
        if measured.significant:
            return ("supported" if agrees else "contradicted"), found
        least = float(getattr(self.settings, measured.kind.value))
        claimed = measured.effect if agrees else -measured.effect
        margin = self.settings.refuting * measured.spread
        if measured.spread < least:
            margin = min(margin, SHORT * least)
        if claimed + margin < least:
            return "contradicted", f"{found}; a change of {least:g} would have been seen"
        return "untestable", f"{found}; too close to chance"


def _find(evidence: Sequence[Evidence], concept: int, probe: Probe) -> Evidence | None:
    for one in evidence:
        if (
            one.category_id == concept
            and one.kind == probe.kind
            and one.direction in (probe.positive, probe.negative)
        ):
            return one
    return None
