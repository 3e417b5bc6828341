"""What the measure stage should reach, and how the figures are printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Found = dict[str, Any]
WIDTH = 52
QUIET = 0.5
"""Load of a machine that does nothing else."""


@dataclass(frozen=True)
class Goal:
    """A goal of one figure.

    Attributes:
        name: What is measured; braces stand for how many it was measured on.
        bound: The goal.
        form: How both are printed.
        at_most: The figure should be below the bound, not above.
    """

    name: str
    bound: float
    form: str = ".2f"
    at_most: bool = True

    @property
    def told(self) -> str:
        """The bound in print."""
        return f"{'<=' if self.at_most else '>='} {self.bound:{self.form}}"

    def is_met(self, found: Found) -> bool:
        """Tells whether a run reaches it."""
        value = found[next(key for key, goal in GOALS.items() if goal is self)]
        return bool(value <= self.bound if self.at_most else value >= self.bound)


GOALS = {
    "floor_ratio": Goal("measure stage over decoding and face finding, time", 1.5),
    "speedup_straightforward": Goal("straightforward script over measure stage, time", 10, ".1f",
                                    at_most=False),
    "scaling_2": Goal("two processes over one, frames a second", 1.8, at_most=False),
    "memory_ratio": Goal("peak memory, {most:,} frames over {fewest:,}", 1.2),
    "resume_seconds": Goal("rerun of {units:,} finished pairs, seconds", 5, ".1f"),
    "prefect_overhead": Goal("what Prefect adds to {prefect_units:,} pairs", 0.02, ".2%"),
}  # fmt: skip
"""By the figure's key, in the order of the table."""
LEAST = {"memory_ratio": ("most", 10_000), "resume_seconds": ("units", 5_000)}
"""How much such a goal is about; on less it is neither met nor missed."""


def rows(found: Found) -> list[tuple[str, str, str, str]]:
    """Gives figure, goal, what was found, and whether that is enough."""
    verdicts = {True: "met", False: "not met"}
    weighed = [int(frames) for frames in found["memory"]["peak_mb"]]
    counts = {
        "most": weighed[-1], "fewest": weighed[0], "units": found["resume"]["units"],
        "prefect_units": found["prefect"]["units"],
    }  # fmt: skip
    return [
        (
            goal.name.format(**counts),
            goal.told,
            f"{found[key]:{goal.form}}",
            "too few to tell" if counts[least[0]] < least[1] else verdicts[goal.is_met(found)],
        )
        for key, goal in GOALS.items()
        for least in [LEAST.get(key, ("units", 0))]
    ]


def limits(found: Found) -> list[str]:
    """Tells what to think of the figures: how near missed goals can be come to at all."""
    sampled, scaling, told = found["sampled"], found["scaling"], []
    if found["load_before"] > QUIET:
        told.append(
            f"The machine was not quiet: its load was {found['load_before']:.1f} before the run. "
            "Times are longer than they need be, and ratios of whole runs are not to be relied on."
        )
    ms = sampled["ms_per_frame"]
    most = ms["straightforward"] / ms["floor"]
    if not GOALS["speedup_straightforward"].is_met(found) and most < 10:
        told.append(
            f"A stage that took no time beyond decoding and face finding would be {most:.1f} times "
            "as fast as the straightforward script, which has to decode the same frames."
        )
    if not GOALS["scaling_2"].is_met(found) and scaling["scaling_of_machine"] < 1.8:
        told.append(
            "Two single processes at once, which share nothing but the machine, reach "
            f"{scaling['scaling_of_machine']:.2f} times the frames of one."
        )
    return told


def lines(found: Found) -> list[str]:
    """Gives the table of goals, then what stands behind it."""
    table = [
        f"{name:<{WIDTH}}{value:>9}{goal:>10}  {'' if verdict == 'met' else verdict}".rstrip()
        for name, goal, value, verdict in rows(found)
    ]
    return [*table, "", *limits(found), *(f"{name:<10}{told}" for name, told in details(found)), "",
            f"{found['seconds']:.0f} s on {found['cores']} cores"]  # fmt: skip


def details(found: Found) -> list[tuple[str, str]]:
    """Gives what stands behind the figures, by part."""
    scaling, shards = found["scaling"], found["shards"]
    rate = scaling["frames_per_second"]
    return [
        ("sampled", _contest(found["sampled"])),
        ("dense", _contest(found["dense"])),
        ("steps", _steps(found["sampled"])),
        ("scaling", f"{rate['1']:.2f} frames/s with one process, {rate['2']:.2f} with two, "
                    f"{scaling['frames']} frames; two stages at once that share nothing: "
                    f"{scaling['scaling_of_machine']:.2f} times one"),
        ("memory", _memory(found["memory"])),
        ("resume", f"{found['resume']['units']:,} pairs; "
                   f"{found['resume']['with_start_seconds']:.1f} s with the start of Python"),
        ("prefect", _prefect(found["prefect"])),
        ("shards", f"{shards['rows']:,} rows, {shards['megabytes']:.0f} MB: "
                   f"{shards['write_rows_per_second']:.0f} rows/s "
                   f"({shards['write_mb_per_second']:.0f} MB/s) written, "
                   f"{shards['read_rows_per_second']:.0f} ({shards['read_mb_per_second']:.0f}) "
                   "read"),
    ]  # fmt: skip


def _contest(part: Found) -> str:
    ms = part["ms_per_frame"]
    return (
        f"{part['frames']} frames of {part['pairs']} pairs, ms each: floor {ms['floor']:.0f}, "
        f"stage {ms['stage']:.0f} (x {part['floor_ratio']:.2f}), straightforward "
        f"{ms['straightforward']:.0f} (x {part['speedup_straightforward']:.1f}; "
        f"x {part['speedup_beyond_floor']:.1f} without the floor)"
    )


def _steps(part: Found) -> str:
    return ", ".join(f"{name} {share:.0%}" for name, share in part["stage_steps"].items())


def _memory(part: Found) -> str:
    peaks = (
        f"{peak['all']:.0f} at {int(n):,} frames (parent {peak['parent']:.0f}, "
        f"worker {peak['worker']:.0f})"
        for n, peak in part["peak_mb"].items()
    )
    return f"MiB of all {1 + part['processes']} processes: {'; '.join(peaks)}"


def _prefect(part: Found) -> str:
    return (
        f"{part['seconds_added']:.2f} s over {part['units']} pairs, {part['ms_per_unit']:.1f} ms a "
        f"pair that takes {1000 * part['seconds_per_unit']:.0f} ms with two processes"
    )
