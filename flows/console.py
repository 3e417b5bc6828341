"""What a person sees on the terminal: a progress bar and the table at the end."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from flows.preview import Preview
from flows.run import Summary


class ProgressBar:
    """A progress bar with one line for each stage; call it with `(stage, done, total)`."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description:<8}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> ProgressBar:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Moves a stage's line; a stage without work gets none."""
        if not total:
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._tasks[stage], completed=done, total=total)


def print_summary(dataset: str, summary: Summary, done: int) -> None:
    """Prints annotated frames by method and compression, and rejects by reason."""
    levels = sorted({level for _, level in summary.frames}, key=lambda level: (len(level), level))
    table = Table()
    table.add_column("method")
    for level in levels:
        table.add_column(level or "frames", justify="right")
    for method in sorted({method for method, _ in summary.frames}):
        table.add_row(method, *(str(summary.frames[method, level]) for level in levels))
    table.add_section()
    sums = [sum(n for (_, at), n in summary.frames.items() if at == level) for level in levels]
    table.add_row("all", *(str(number) for number in sums))
    console = Console()
    console.print(f"{dataset}: annotated frames", style="bold")
    console.print(table)
    methods = len({method for method, _ in summary.frames})
    source = (
        "" if summary.outdated else f", from {many(summary.pairs - summary.open_pairs, 'pair')}"
    )
    console.print(
        f"{many(summary.frames.total(), 'frame')} annotated over {many(methods, 'method')}"
        f"{source}; "
        f"{many(done, 'unit')} of work done now"
    )
    if summary.outdated:
        console.print(
            f"these are the shards of before, kept until all of their pairs are annotated again: "
            f"{many(summary.open_pairs, 'pair')} of the dataset not annotated yet"
        )
    elif summary.open_pairs:
        console.print(f"{many(summary.open_pairs, 'pair')} of the dataset not annotated yet")
    for reason, number in sorted(summary.rejects.items()):
        console.print(f"{number:>5} rejected: {reason}")
    for reason, number in sorted(summary.fallbacks.items()):
        console.print(f"{number:>5} explained by measurements instead: {reason}")


def print_profile(seconds: dict[str, float], frames: int) -> None:
    """Prints where the time went: seconds over all processes, and milliseconds a frame.

    Args:
        seconds: Own time of each step.
        frames: Frames that were worked on; without any, seconds are printed alone.
    """
    table = Table()
    for column in ("step", "seconds", "ms a frame", "share"):
        table.add_column(column, justify="left" if column == "step" else "right")
    every = sum(seconds.values())
    for step, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        a_frame = f"{1000 * spent / frames:.1f}" if frames else ""
        table.add_row(step, f"{spent:.2f}", a_frame, f"{100 * spent / every:.0f} %")
    console = Console()
    console.print(f"Time over all processes, {many(frames, 'frame')}", style="bold")
    console.print(table)


def print_preview(dataset: str, found: Preview) -> None:
    """Prints pairs by method, compression and split, what is left to do, and what cannot be."""
    splits = sorted({split for *_, split in found.pairs}, key=lambda split: (not split, split))
    table = Table()
    for heading in ("method", "compression"):
        table.add_column(heading)
    for split in splits:
        table.add_column(split or "no split", justify="right")
    for method, level in dict.fromkeys((method, level) for method, level, _ in found.pairs):
        counts = (str(found.pairs[method, level, split]) for split in splits)
        table.add_row(method, level or "-", *counts)
    console = Console(highlight=False)
    console.print(f"{dataset}: {many(found.pairs.total(), 'pair')}", style="bold")
    console.print(table)
    for line in found.lines():
        console.print(line, soft_wrap=True, markup=False)
    for reason, (number, detail) in found.rejects.items():
        console.print(
            f"{number:>5} rejected: {reason}, e.g. {detail}", soft_wrap=True, markup=False
        )


def print_costs(path: Path, budget: float | None) -> None:
    """Prints what all requests of a dataset cost so far."""
    if not path.is_file():
        return
    costs = pq.read_table(path, columns=["prompt_tokens", "completion_tokens", "cost"])
    tokens = sum(pc.sum(costs[name]).as_py() or 0 for name in costs.column_names[:2])
    spent = pc.sum(costs["cost"]).as_py() or 0.0
    of_budget = f" of {budget:g}" if budget else ""
    print(
        f"{many(costs.num_rows, 'request')} to the model over all runs, {tokens:,} tokens, "
        f"{spent:.4f}{of_budget} spent: {path}"
    )


def many(number: int, thing: str) -> str:
    """Gives a count in words: `1 frame`, `2 frames`."""
    return f"{number} {thing}" + ("" if number == 1 else "s")
