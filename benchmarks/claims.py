"""Are the claims true, and does the claim check tell true from false?

Published claims, the forge's aims, and planted statements of one frame are judged by its `Facts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from annotators.evidence import CHANGE, PROBES, Probe
from annotators.explain import Statement
from annotators.verify import verify
from benchmarks.facts import FALSE_SHARE, Facts
from benchmarks.scores import FALSE, Judged, Sort
from benchmarks.stated import Stated
from fict.tree import Tree
from schemas.records import Claim, MeasuredFrame

PLANTED = 12
"""Planted false statements of one frame, at most; a third of each sort."""
SEEN_PX = 200
"""A concept with fewer crop pixels is not planted on: it can hardly be seen."""


def judge_frame(
    facts: Facts,
    row: MeasuredFrame,
    claims: Sequence[Claim],
    rng: np.random.Generator,
) -> list[Judged]:
    """Judges everything that is said, or could be said, of a measured frame.

    Args:
        facts: The truth.
        row: The measured frame.
        claims: Its published claims; none where it was rejected for lack of evidence.
        rng: Draws the planted statements.
    """
    true = true_statements(facts, row)
    judged = published(facts, row, claims)
    judged += aims_told(facts.aims, claims, facts.tree, facts)
    judged += tested("true", [(said, note) for said, note in true.items()], facts, row)
    for sort, drawn in planted(facts, row, list(true), rng).items():
        judged += tested(sort, drawn, facts, row)
    return judged


def published(facts: Facts, row: MeasuredFrame, claims: Iterable[Claim]) -> list[Judged]:
    """Judges the published claims."""
    every = (Stated(claim.category_id, claim.kind, claim.direction) for claim in claims)
    return [published_one(facts, row, said) for said in every]


def published_one(facts: Facts, row: MeasuredFrame, said: Stated) -> Judged:
    """Judges what a published claim says."""
    outcome, why = facts.outcome(said)
    return _judged("published", said, outcome, facts, row, why)


def aims_told(
    aims: Iterable[Stated], claims: Sequence[Claim], tree: Tree, facts: Facts | None = None
) -> list[Judged]:
    """Judges which of the forge's aims some claim states; `rejected` where there are no facts."""
    judged = []
    for aim in aims:
        stated = any(
            (claim.kind, claim.direction) == (aim.kind, aim.direction)
            and tree.related(claim.category_id, aim.concept)
            for claim in claims
        )
        outcome = "rejected" if facts is None else "stated" if stated else "missed"
        value = facts.towards(aim) if facts else float("nan")
        name = tree.by_id[aim.concept].name
        judged.append(Judged("aim", name, aim.kind.value, aim.direction, outcome, value))
    return judged


def true_statements(facts: Facts, row: MeasuredFrame) -> dict[Stated, str]:
    """Gives what is true of the located regions, and why: `aim`, `value`, or `faint aim`.

    An aim is faint where the true change is known to be less than the least reported one. What was
    aimed at a part is told of the whole only where it is not surely false there: of two eyebrows,
    one sharpened, both may have become softer.
    """
    true: dict[Stated, str] = {}
    for region in row.regions:
        for aim in facts.aims_of(region.category_id):
            value = facts.towards(aim)
            if value < FALSE_SHARE * facts.least(aim) and not facts.is_own(aim):
                continue
            faint = value < facts.least(aim)
            true[aim] = "faint aim" if faint else "aim"
        for probe in PROBES:
            value = facts.value(region.category_id, probe)
            if not np.isnan(value):
                said = Stated(region.category_id, probe.kind, probe.direction(value))
                if facts.towards(said) >= facts.least(said):
                    true.setdefault(said, "value")
    return true


def planted(
    facts: Facts, row: MeasuredFrame, true: Sequence[Stated], rng: np.random.Generator
) -> dict[Sort, list[tuple[Stated, str]]]:
    """Draws statements that are surely false, a few of each sort, each with a note."""
    located = [region.category_id for region in row.regions]
    every: dict[Sort, list[tuple[Stated, str]]] = {
        "direction": _wrong_direction(facts, true),
        "kind": _wrong_kind(facts, located),
        "region": _wrong_region(facts, located, true, rng),
    }
    most = PLANTED // len(FALSE)
    return {sort: _drawn(every[sort], most, rng) for sort in FALSE}


def _wrong_direction(facts: Facts, true: Iterable[Stated]) -> list[tuple[Stated, str]]:
    turned = [said.opposite for said in true if said.opposite != said]
    return [(said, "") for said in turned if facts.is_false(said)]


def _wrong_kind(facts: Facts, located: Iterable[int]) -> list[tuple[Stated, str]]:
    """Gives what did not change of regions that did."""
    found = []
    for concept in located:
        aimed = {aim.kind for aim in facts.aims_of(concept)}
        for probe in PROBES:
            if probe is CHANGE or probe.kind in aimed or not facts.touched[concept]:
                continue
            both = [Stated(concept, probe.kind, way) for way in _ways(probe)]
            if all(facts.is_false(said) for said in both):
                found += [(said, "") for said in both]
    return found


def _wrong_region(
    facts: Facts, located: Sequence[int], true: Sequence[Stated], rng: np.random.Generator
) -> list[tuple[Stated, str]]:
    """Moves true statements to other located regions, and to regions that nothing touched."""
    moved = []
    for said in true:
        for places, note in ((located, "located"), (_untouched(facts, located), "elsewhere")):
            others = [Stated(place, said.kind, said.direction) for place in places]
            false = [other for other in others if facts.is_false(other)]
            if false:
                moved.append((false[int(rng.integers(len(false)))], note))
    return list(dict.fromkeys(moved))


def _untouched(facts: Facts, located: Sequence[int]) -> list[int]:
    """Gives concepts of the face that can be seen, were not located, and hold no true pixel."""
    area = facts.tree.counts(facts.labels)
    face = facts.tree.descendants_of(facts.tree.by_name["face"])
    free = [node.id for node in face if area[node.id] >= SEEN_PX and not facts.touched[node.id]]
    return [node for node in free if node not in located]


def _ways(probe: Probe) -> tuple[str, ...]:
    return tuple(dict.fromkeys((probe.positive, probe.negative)))


def _drawn(
    found: list[tuple[Stated, str]], most: int, rng: np.random.Generator
) -> list[tuple[Stated, str]]:
    """Draws some of them, as evenly over the notes and kinds as they allow."""
    order = [found[int(k)] for k in rng.permutation(len(found))]
    chosen: list[tuple[Stated, str]] = []
    while order and len(chosen) < most:
        used = [(note, said.kind) for said, note in chosen]
        notes = [note for note, _ in used]
        best = min(order, key=lambda one: (notes.count(one[1]), used.count((one[1], one[0].kind))))
        order.remove(best)
        chosen.append(best)
    return chosen


def tested(
    sort: Sort, said: Iterable[tuple[Stated, str]], facts: Facts, row: MeasuredFrame
) -> list[Judged]:
    """Lets the claim check judge statements by the row's stored evidence."""
    pairs = list(said)
    statements = [Statement(one.concept, one.kind, one.direction, "") for one, _ in pairs]
    verdicts = verify(statements, row, facts.settings)
    return [
        _judged(sort, one, claim.verdict, facts, row, f"{note}; {claim.reason}")
        for (one, note), claim in zip(pairs, verdicts, strict=True)
    ]


def _judged(
    sort: Sort, said: Stated, outcome: str, facts: Facts, row: MeasuredFrame, note: str
) -> Judged:
    return Judged(
        sort,
        facts.tree.by_id[said.concept].name,
        said.kind.value,
        said.direction,
        outcome,
        facts.towards(said),
        _claimed(said, row),
        note,
    )


def _claimed(said: Stated, row: MeasuredFrame) -> float:
    """Gives the measured change in the direction of a statement."""
    probe = said.probe
    for one in row.evidence:
        if (one.category_id, one.kind) == (said.concept, said.kind) and one.direction in _ways(
            probe
        ):
            return one.effect if one.direction == said.direction else -one.effect
    return float("nan")
