"""`facext plan`: what a run would do, how long it would take, what it would fill. Before it does.

Hours and bytes come from the units of this dataset that are finished. Where there is none they are
those of the toy dataset (`python -m benchmarks.stages`: 640 x 480 pixels, 50 frames, three frames
looked at for each annotated one); long and large videos take several times as long to decode.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from flows import stages
from flows.explain import is_annotated
from flows.run import PlannedPair, Progress, Run, unseen
from flows.units import Effort
from schemas.records import Reject

DEFAULT_SECONDS = 0.45
"""Seconds of one process for a frame to annotate, where no unit is finished; see the module."""
DEFAULT_BYTES = 360_000
"""Bytes of a frame to annotate: its unit of both stages and its row of a shard."""
COPIES = 2.7
"""Times that what the measure stage stores of a frame is on disk in the end, as of the toy data."""


@dataclass(frozen=True)
class Preview:
    """What is to be done for a dataset.

    Attributes:
        pairs: Pairs by (method, compression, split).
        masks: Of these, those that have a mask of the dataset's own, by method.
        unmasked: Methods of which the dataset has no masks.
        rejects: Rejects of the plan by reason, each with its first detail.
        measured: Pairs that are measured.
        explained: Pairs that are annotated.
        frames: Frames still to measure.
        seconds_per_frame: Of one process.
        bytes_per_frame: On disk, all stages.
        known: True where both come from this dataset's finished units.
        processes: Worker processes of a run.
    """

    pairs: Counter[tuple[str, str, str]]
    masks: Counter[str]
    unmasked: tuple[str, ...]
    rejects: dict[str, tuple[int, str]]
    measured: int
    explained: int
    frames: int
    seconds_per_frame: float
    bytes_per_frame: float
    known: bool
    processes: int

    @property
    def hours(self) -> float:
        """Gives the time that is left, with all processes at work."""
        return self.frames * self.seconds_per_frame / self.processes / 3600

    def lines(self) -> list[str]:
        """Words what there is to do, below the table of pairs."""
        all_pairs = self.pairs.total()
        source = (
            "as finished units took"
            if self.known
            else "assumed, as of short clips; no unit is finished yet"
        )
        return [
            f"measure  {self.measured:,} units done, {all_pairs - self.measured:,} open",
            f"explain  {self.explained:,} units done, {all_pairs - self.explained:,} open",
            f"about {_time(self.hours)} for {self.frames:,} frames in {self.processes} processes "
            f"({self.seconds_per_frame:.2f} s a frame, {source})",
            f"about {_size(self.frames * self.bytes_per_frame)} on disk "
            f"({self.bytes_per_frame / 1000:.0f} kB a frame)",
            *self._mask_lines(),
        ]

    def _mask_lines(self) -> list[str]:
        told = [f"{method} {number:,}" for method, number in sorted(self.masks.items())]
        lines = [f"with the dataset's own mask: {', '.join(told)}"] if told else []
        if self.unmasked:
            lines.append(f"the dataset has no masks of {', '.join(self.unmasked)}")
        return lines


def preview(run: Run, progress: Progress = unseen) -> Preview:
    """Makes the plan of a dataset and tells what it holds; nothing is started.

    Args:
        run: The dataset.
        progress: Called after each file that was read.

    Raises:
        FacextError: As of `flows.stages.plan`.
    """
    plan = stages.plan(run, progress)
    pairs = plan.pairs
    effort = _effort(run, pairs)
    measured = sum(run.measured.is_done(pair.measure_unit) for pair in pairs)
    known = effort.frames > 0 and effort.seconds > 0
    return Preview(
        pairs=Counter((pair.method, pair.compression, pair.split) for pair in pairs),
        masks=Counter(pair.method for pair in pairs if pair.mask_path),
        unmasked=run.manifest.dataset(run.name).unmasked,
        rejects=_by_reason(plan.rejects),
        measured=measured,
        explained=sum(is_annotated(run, pair) for pair in pairs),
        frames=(len(pairs) - measured) * _frames_of_a_pair(run),
        seconds_per_frame=effort.seconds / effort.frames if known else DEFAULT_SECONDS,
        bytes_per_frame=COPIES * effort.stored / effort.frames if known else DEFAULT_BYTES,
        known=known,
        processes=run.processes,
    )


def _frames_of_a_pair(run: Run) -> int:
    """Gives the most frames that a pair is annotated at; a picture has one."""
    still = run.manifest.dataset(run.name).frames == "picture"
    return 1 if still else run.manifest.measure.frames


def _effort(run: Run, plan: Sequence[PlannedPair]) -> Effort:
    """Adds up what the finished units of a plan took."""
    done = [run.measured.effort(pair.measure_unit) for pair in plan]
    timed = [one for one in done if one.seconds and one.frames]
    return Effort(
        sum(one.frames for one in timed),
        sum(one.seconds for one in timed),
        sum(one.stored for one in timed),
    )


def _by_reason(rejects: Sequence[Reject]) -> dict[str, tuple[int, str]]:
    counts = Counter(one.reason for one in rejects)
    first = {one.reason: one.detail for one in reversed(rejects)}
    return {reason: (number, first[reason]) for reason, number in sorted(counts.items())}


def _time(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"


def _size(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
