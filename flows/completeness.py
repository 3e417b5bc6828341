"""No frame is lost or doubled: what finished units hold is checked before it is published.

The measure stage notes how many frames it sampled of a pair: its unit owes a row or a reject for
each, and the unit explained from it one for each row. A unit that breaks its promise, or whose
bytes are not those that were committed, is forgotten, so that the same command makes it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from flows.run import PlannedPair, Run
from schemas.errors import OutputError
from schemas.records import AnnotatedFrame, Reject

MOST_TOLD = 3


@dataclass(frozen=True)
class Finished:
    """What the two units of a pair hold.

    Attributes:
        rows: The annotated frames.
        rejects: The others, in order of the stages.
        promised: Frames that were measured or rejected by the measure stage.
    """

    rows: list[AnnotatedFrame]
    rejects: list[Reject]
    promised: int


@dataclass
class Tally:
    """Counts what is published.

    Attributes:
        promised: Frames and unplanned pairs that must be a row or a reject.
        seen: Ids of the rows and rejects.
        rejects: The rejects so far.
        frames: Rows by (method, compression).
        fallbacks: Rows of another explainer than the wanted one, by reason.
    """

    rejects: list[Reject]
    promised: int
    seen: set[str] = field(default_factory=set)
    frames: Counter[tuple[str, str]] = field(default_factory=Counter)
    fallbacks: Counter[str] = field(default_factory=Counter)

    def add(self, found: Finished) -> None:
        """Counts a pair.

        Raises:
            OutputError: Two rows or rejects have one id.
        """
        self.promised += found.promised
        self.rejects += found.rejects
        for name in [*(row.id for row in found.rows), *(one.id for one in found.rejects)]:
            if name in self.seen:
                raise OutputError(f"two frames have the id {name}: nothing was published")
            self.seen.add(name)
        for row in found.rows:
            self.frames[row.method, row.compression] += 1
            if row.fallback_reason:
                self.fallbacks[row.fallback_reason.split(":")[0]] += 1

    def check(self) -> None:
        """Checks that each promised frame is a row or a reject.

        Raises:
            OutputError: There are more or fewer.
        """
        there = self.frames.total() + len(self.rejects)
        if there != self.promised:
            raise OutputError(f"{there} rows and rejects for {self.promised} promised frames")


def finished(run: Run, pair: PlannedPair) -> Finished:
    """Reads the units of an annotated pair and checks them.

    Raises:
        OutputError: They hold too little, too much or damaged bytes; they are forgotten then.
    """
    try:
        return _checked(run, pair)
    except OutputError as error:
        run.explained.forget(pair.explain_unit)
        run.measured.forget(pair.measure_unit)
        raise OutputError(
            f"the stored results of {pair.key} are damaged ({error}); they were put aside and "
            "nothing was published: the same command makes them again"
        ) from error


def _checked(run: Run, pair: PlannedPair) -> Finished:
    for store, unit in ((run.measured, pair.measure_unit), (run.explained, pair.explain_unit)):
        if not store.is_intact(unit):
            raise OutputError(f"unit {unit} was changed on disk")
    measured = run.measured.ids(pair.measure_unit)
    unmeasured = run.measured.rejects([pair.measure_unit])
    rows = run.explained.rows([pair.explain_unit])
    unexplained = run.explained.rejects([pair.explain_unit])
    promised = [*measured, *(one.id for one in unmeasured)]
    explained = [*(row.id for row in rows), *(one.id for one in unexplained)]
    if not promised:
        raise OutputError("neither a row nor a reject was measured")
    frames = len(measured) + sum(one.frame_index is not None for one in unmeasured)
    state = run.measured.state(pair.measure_unit)
    if state and state.sampled not in (None, frames):
        raise OutputError(f"{frames} rows and rejects of {state.sampled} frames that were sampled")
    check_same(promised, promised)
    check_same(measured, explained)
    return Finished(rows, [*unmeasured, *unexplained], len(promised))


def check_same(promised: Sequence[str], kept: Sequence[str]) -> None:
    """Checks that each promised id was kept exactly once, and no other.

    Raises:
        OutputError: The message names a few of the ids that are lost, doubled or strange.
    """
    lost = sorted(set(promised) - set(kept))
    strange = sorted(set(kept) - set(promised))
    doubled = sorted({one for one in kept if kept.count(one) > 1})
    found = (("lost", lost), ("doubled", doubled), ("not asked for", strange))
    told = [f"{len(ids)} {what}: {', '.join(ids[:MOST_TOLD])}" for what, ids in found if ids]
    if told:
        raise OutputError("; ".join(told))
