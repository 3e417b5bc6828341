"""The claim check: does the measurement support what a sentence says of a region?

    supported     measured in that direction, beyond chance and beyond the least noticeable change
    contradicted  measured the other way, or measured well enough to know that nothing is there
    untestable    not measured there, or too noisy to tell

Source: ours; answers "how were fewer hallucinations measured" (reviews of the paper).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from annotators.evidence import Probe, probe_of
from annotators.explain import Statement
from schemas.manifest import EvidenceSettings
from schemas.records import Claim, Evidence, Verdict


def verify(
    statements: Iterable[Statement], evidence: Sequence[Evidence], settings: EvidenceSettings
) -> list[Claim]:
    """Checks every statement against the measurements of its region.

    Returns:
        One claim for each statement, with verdict and the measurement behind it.
    """
    return [_check(statement, evidence, settings) for statement in statements]


def _check(statement: Statement, evidence: Sequence[Evidence], settings: EvidenceSettings) -> Claim:
    verdict, reason = _verdict(statement, evidence, settings)
    return Claim(
        category_id=statement.category_id,
        kind=statement.kind,
        direction=statement.direction,
        sentence=statement.sentence,
        verdict=verdict,
        reason=reason,
    )


def _verdict(
    statement: Statement, evidence: Sequence[Evidence], settings: EvidenceSettings
) -> tuple[Verdict, str]:
    try:
        probe = probe_of(statement.kind, statement.direction)
    except KeyError:
        return "untestable", f"no measurement of {statement.kind} is called {statement.direction}"
    measured = _find(evidence, statement.category_id, probe)
    if measured is None:
        return "untestable", f"{statement.kind} could not be measured there"
    found = (
        f"measured {measured.direction} by {measured.effect:.2f} {measured.unit}, "
        f"chance gives {measured.spread:.2f}"
    )
    if measured.significant:
        return ("supported" if measured.direction == statement.direction else "contradicted"), found
    least = float(getattr(settings, measured.kind.value))
    claimed = measured.effect if measured.direction == statement.direction else -measured.effect
    if claimed + settings.min_significance * measured.spread < least:
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
