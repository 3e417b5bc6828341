"""`facext plan`: what a run would do, how long it would take, what it would fill. Before it does.

Hours and bytes come from the units of this dataset that are finished. Where there is none the time
is that of `docs/speed.md` (300 frames of 640 x 480 pixels, of which four are annotated and three
looked at for each), the size that of the toy dataset; large videos take several times as long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from annotators.pipeline import CONTROL
from flows import stages
from flows.explain import is_annotated
from flows.run import PlannedPair, Progress, Run, unseen
from flows.runners import cluster_address
from flows.units import Effort
from sources.masks import trouble_with_mask

DEFAULT_SECONDS = 0.17
"""Seconds of one process for a frame to measure, where no unit is finished; see the module."""
EVIDENCE_SECONDS = 0.006
"""Seconds for a frame to be explained from its measurements and written, of the toy dataset."""
DEFAULT_BYTES = 360_000
"""Bytes of a frame to annotate: its unit of both stages and its row of a shard."""
COPIES = 2.7
"""Times that what the measure stage stores of a frame is on disk in the end, as of the toy data."""

MOST_MASKS = 1000
"""Masks that are looked at, evenly spaced: one with its fake takes a hundredth of a second."""


@dataclass(frozen=True)
class Preview:
    """What is to be done for a dataset.

    Attributes:
        pairs: Pairs by (method, compression, split).
        masks: Of these, those that have a mask of the dataset's own, by method.
        unmasked: Methods of which the dataset has no masks.
        odd_masks: What is wrong with the dataset's own masks, in words.
        rejects: Rejects of the plan by reason, each with its first detail.
        measured: Pairs that are measured.
        explained: Pairs that are annotated.
        frames: Frames still to measure.
        seconds_per_frame: Of one process.
        bytes_per_frame: On disk, all stages.
        known: True where both come from this dataset's finished units.
        processes: Worker processes of a run on this machine.
        cluster: Runner and address of the cluster that measures instead; empty: this machine does.
        explaining: What there is to explain, and how long that takes.
    """

    pairs: Counter[tuple[str, str, str]]
    masks: Counter[str]
    unmasked: tuple[str, ...]
    odd_masks: tuple[str, ...]
    rejects: dict[str, tuple[int, str]]
    measured: int
    explained: int
    frames: int
    seconds_per_frame: float
    bytes_per_frame: float
    known: bool
    processes: int
    cluster: str
    explaining: tuple[str, ...]

    @property
    def hours(self) -> float:
        """Gives the time that measuring takes, with all processes at work."""
        return self.frames * self.seconds_per_frame / self.processes / 3600

    def lines(self) -> list[str]:
        """Words what there is to do, below the table of pairs."""
        all_pairs = self.pairs.total()
        source = "as finished units took" if self.known else "assumed; no unit is finished yet"
        where = f" of one machine; the cluster of {self.cluster} is not counted"
        return [
            f"measure  {self.measured:,} units done, {all_pairs - self.measured:,} open",
            f"explain  {self.explained:,} units done, {all_pairs - self.explained:,} open",
            f"about {_time(self.hours)} to measure {self.frames:,} frames in {self.processes} "
            f"processes{where if self.cluster else ''} "
            f"({self.seconds_per_frame:.2f} s a frame, {source})",
            *self.explaining,
            f"about {_size(self.frames * self.bytes_per_frame)} on disk "
            f"({self.bytes_per_frame / 1000:.0f} kB a frame)",
            *self._mask_lines(),
        ]

    def _mask_lines(self) -> list[str]:
        told = [f"{method} {number:,}" for method, number in sorted(self.masks.items())]
        lines = [f"with the dataset's own mask: {', '.join(told)}"] if told else []
        if self.unmasked:
            lines.append(f"the dataset has no masks of {', '.join(self.unmasked)}")
        return [*lines, *(f"warning: {one}" for one in self.odd_masks)]


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
    explained = sum(is_annotated(run, pair) for pair in pairs)
    known = effort.frames > 0 and effort.seconds > 0
    return Preview(
        pairs=Counter((pair.method, pair.compression, pair.split) for pair in pairs),
        masks=Counter(pair.method for pair in pairs if pair.mask_path),
        unmasked=run.manifest.dataset(run.name).unmasked,
        odd_masks=_odd_masks(run, pairs),
        rejects=_counted((one.reason, one.detail) for one in plan.rejects),
        measured=measured,
        explained=explained,
        frames=(len(pairs) - measured) * _frames_of_a_pair(run),
        seconds_per_frame=effort.seconds / effort.frames if known else DEFAULT_SECONDS,
        bytes_per_frame=COPIES * effort.stored / effort.frames if known else DEFAULT_BYTES,
        known=known,
        processes=run.processes,
        cluster=_cluster(run),
        explaining=_explaining(run, pairs, (len(pairs) - explained) * _frames_of_a_pair(run)),
    )


def _cluster(run: Run) -> str:
    runner = run.manifest.run.runner
    address = cluster_address(run, runner)
    return f"{runner} at {address}" if address else ""


def _explaining(run: Run, plan: Sequence[PlannedPair], frames: int) -> tuple[str, ...]:
    """Words how long explaining takes after measuring, in one process of this machine."""
    if not frames:
        return ()
    if run.manifest.explain.explainer != "mllm":
        hours = frames * EVIDENCE_SECONDS / 3600
        return (f"about {_time(hours)} to explain {frames:,} frames from their measurements",)
    from flows.estimate import estimate  # openai takes a second to import

    asked = estimate(run, plan)
    if asked.hours is None:
        took = "how long they take the server is known once it answered some"
    else:
        took = f"{asked.latency:.1f} s each as earlier ones, {asked.at_once} at once"
    about = "" if asked.hours is None else f"about {_time(asked.hours)} for "
    return (
        f"{about}{asked.requests:,} requests to explain {frames:,} frames ({took}); "
        f"facext annotate {run.name} --dry-run tells what they cost",
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


def _odd_masks(run: Run, plan: Sequence[PlannedPair]) -> tuple[str, ...]:
    """Words which of the dataset's own masks are missing or cannot be their fake's."""
    dataset = run.manifest.dataset(run.name)
    root = dataset.folder(run.name)
    without = [
        pair.key
        for pair in plan
        if dataset.mask and not pair.mask_path and pair.method not in dataset.unmasked
        if dataset.methods[pair.method] != CONTROL
    ]
    told = [f"{len(without):,} pairs have no mask, e.g. {without[0]}"] if without else []
    masked = [pair for pair in plan if pair.mask_path]
    some = masked[:: -(-len(masked) // MOST_MASKS) or 1]
    found = (trouble_with_mask(root / one.mask_path, root / one.fake_path) for one in some)
    for wrong, (number, example) in _counted(one for one in found if one).items():
        told.append(f"{number:,} of {len(some):,} masks {wrong}, e.g. {example}")
    return tuple(told)


def _counted(found: Iterable[tuple[str, str]]) -> dict[str, tuple[int, str]]:
    """Counts what was found by its kind; gives the first detail of each."""
    counts, first = Counter[str](), dict[str, str]()
    for kind, detail in found:
        counts[kind] += 1
        first.setdefault(kind, detail)
    return {str(kind): (number, first[kind]) for kind, number in sorted(counts.items())}


def _time(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"


def _size(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
