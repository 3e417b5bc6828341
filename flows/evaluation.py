"""An evaluation as a person reads it: what the forge knows, tables, page, JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from rich.console import Console
from rich.table import Table

from flows.console import ProgressBar
from model.answer import Answers
from model.ddvqa import evaluate_ddvqa, load
from model.evaluate import SEES, Report, evaluate, with_baselines
from model.fifa import FifaMLLM
from model.metrics.case import Figures, Truth
from model.metrics.rows import EvaluationSet, Known, unknown
from schemas.atomic import write_text
from schemas.phrasebook import Stated
from schemas.records import Task
from sources.forge.truth import TRUTH_FILE, read_truth

TITLES = {SEES: "seen, not asked"}
NOTES = """\
Every figure is 0..1 but `cider` (0..10). `constant`: one fixed answer a task, chosen with the
right answers; `blank`: the model before a grey image. A figure says something only above both.
What each is, and cannot tell: docs/evaluation.md."""


def forge_knows(folder: Path) -> Known:
    """Gives what a forged dataset's `truth.parquet` knows of its rows.

    Args:
        folder: Folder of the forged videos.

    Raises:
        OutputError: There is no such file, or it cannot be read.
    """
    truths = {(one.method, one.pair, one.frame_index): one for one in read_truth(folder)}

    def known(facts: Mapping[str, Any]) -> Truth | None:
        found = truths.get((facts["method"], facts["pair"], facts["frame_index"]))
        if found is None:
            return None
        aims = zip(found.concepts, found.kinds, found.directions, strict=False)
        claims = frozenset(Stated(*aim) for aim in aims) if found.kinds else None
        return Truth(frozenset(found.concepts), claims, is_exact=False)

    return known


def of_shards(model: FifaMLLM, data: Path, split: str, limit: int, truth: Path | None) -> Report:
    """Scores a model and the baselines on shards, with a progress bar.

    Args:
        model: The model.
        data: A dataset's output folder, or a folder of shards.
        split: Only rows of this split, or `all`; empty takes what the model was not trained on.
        limit: At most so many rows; 0 takes all.
        truth: Folder with the forge's truth; None takes `data/source`, where there is one.
    """
    inside = data / "source"
    folder = truth or (inside if (inside / TRUTH_FILE).is_file() else None)
    known = forge_knows(folder) if folder else unknown
    rows = EvaluationSet(data, split, limit, known, model.config, model.learnt)
    with ProgressBar() as progress:
        return evaluate(rows, with_baselines(model, rows, progress), progress)


def of_ddvqa(model: Answers, folder: Path, pictures: Path) -> dict[str, Figures]:
    """Scores a model and the baselines on DD-VQA, with a progress bar."""
    entries = load(folder, pictures)
    with ProgressBar() as progress:
        return evaluate_ddvqa(model, entries, progress)


def print_report(report: Report) -> None:
    """Prints the figures, systems side by side, and how many answers could not be used."""
    systems = list(report.answers)
    table = Table()
    for column in ("task", "figure", *systems):
        table.add_column(column, justify="left" if column in ("task", "figure") else "right")
    for task, rows in _rows(report).items():
        table.add_section()
        for number, (name, values) in enumerate(rows.items()):
            title = TITLES.get(task, task) if not number else ""
            table.add_row(title, name, *(_written(values.get(each)) for each in systems))
    console = Console(highlight=False)
    console.print(table)
    for line in (*_counts(report), *NOTES.splitlines()):
        console.print(line, soft_wrap=True, markup=False)


def write_page(report: Report, path: Path, title: str) -> None:
    """Writes the page of an evaluation, whole or not at all."""
    write_text(path, markdown(report, title))


def markdown(report: Report, title: str) -> str:
    """Writes the page of an evaluation."""
    systems = list(report.answers)
    lines = [f"# {title}", "", *_counts(report), "", *NOTES.splitlines(), ""]
    for task, rows in _rows(report).items():
        lines += [f"## {TITLES.get(task, task)}", ""]
        lines += [f"| figure | {' | '.join(systems)} |", f"|---|{'---:|' * len(systems)}"]
        for name, values in rows.items():
            lines.append(f"| `{name}` | {' | '.join(_written(values.get(s)) for s in systems)} |")
        lines.append("")
    return "\n".join(lines)


def write_json(content: object, path: Path) -> None:
    """Writes figures as JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def as_json(report: Report) -> dict[str, Any]:
    """Gives a report as JSON can hold it."""
    return asdict(report)


def print_ddvqa(figures: Mapping[str, Mapping[str, float | None]]) -> None:
    """Prints the figures on DD-VQA, systems side by side."""
    table = Table("DD-VQA", *figures)
    for name in next(iter(figures.values())):
        table.add_row(name, *(_written(each[name]) for each in figures.values()))
    Console(highlight=False).print(table)


def _rows(report: Report) -> dict[str, dict[str, dict[str, float | None]]]:
    """Leaves figures out that no system has, such as a swap test of single masks."""
    tasks = (SEES, *get_args(Task))
    order = [task for task in tasks if task in report.figures]
    return {
        task: {
            name: values
            for name, values in report.figures[task].items()
            if any(value is not None for value in values.values())
        }
        for task in order
    }


def _counts(report: Report) -> list[str]:
    told = {
        "forge": "what the forge did; those of region and box questions, the rows' own claims",
        "row": "the rows' own claims",
    }
    lines = [
        f"{report.images} images, {sum(report.questions.values())} questions. "
        f"Regions and claims are held against {told[report.truth]}.",
        f"Rows: {report.chosen}. {report.learnt} of {report.rows} rows were trained on"
        + (": these figures tell what was learnt by heart, too." if report.learnt else "."),
    ]
    for system, counts in report.answers.items():
        lost = [f"{counts[name]} {name}" for name in ("truncated", "malformed") if counts[name]]
        if lost:
            lines.append(f"{system}: {', '.join(lost)} of {counts['answers']} answers")
    return lines


def _written(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
