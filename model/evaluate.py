"""Scores models on the eleven tasks, in the manner of FiFa-Bench, with baselines beside them.

Every system answers the same questions about the same images in the same run. Rows are streamed; of
masks only run lengths and counts are kept.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch

from model.answer import Answer, Answers
from model.baselines import Blank, Constant
from model.metrics.case import Case, Figures, Metric
from model.metrics.grounding import Grounding
from model.metrics.labels import Classes, Detection, Sight
from model.metrics.overlap import Overlap
from model.metrics.rows import EvaluationSet, Shown
from model.metrics.statements import Change, Statements
from model.metrics.words import Words
from schemas.records import SEG

Progress = Callable[[str, int, int], None]

MODEL, CONSTANT, BLANK = "model", "constant", "blank"
SEES = "Sight"
"""Stands beside the tasks for what the vision side says without being asked."""


@dataclass(frozen=True)
class Report:
    """What an evaluation found.

    Attributes:
        figures: Task to figure to system to value; None where it could not be measured.
        answers: System to counts: `answers`, `truncated` (the length limit cut them) and
            `malformed` (not one mask for each `[SEG]`: scored without any mask).
        images: Images that were asked about.
        questions: Task to number of questions.
        truth: What statements about whole images were held against: `forge` or `row`.
        rows: How many rows these are of.
        chosen: Which rows, in words.
        learnt: How many of the rows the model was trained on.
    """

    figures: dict[str, dict[str, dict[str, float | None]]]
    answers: dict[str, dict[str, int]]
    images: int
    questions: dict[str, int]
    truth: str
    rows: int
    chosen: str
    learnt: int


def metrics_of(task: str, data: EvaluationSet) -> list[Metric]:
    """Gives the metrics of a task; the one place that says which."""
    statements = Statements(data.concepts, data.book)
    change = Change(data.book)
    overlap, grounding = Overlap(data.concepts.related), Grounding(data.concepts)
    by_kind: dict[str, list[Metric]] = {
        "Det": [Detection()],
        "Cls": [Classes()],
        "TOE": [change, statements, Words()],
        "Loc": [change, overlap],
        "AGE": [change, statements, overlap, grounding, Words()],
    }
    return by_kind[task.rpartition("-")[2]]


@dataclass
class Scores:
    """The answers of one system.

    Args:
        data: What is evaluated.
    """

    data: EvaluationSet
    tasks: dict[str, list[Metric]] = field(default_factory=dict)
    sight: Sight = field(default_factory=Sight)
    counts: Counter[str] = field(default_factory=Counter)

    def ask(self, system: Answers, shown: Shown) -> None:
        """Asks a system about one image and scores what it says."""
        answers = system.answer(shown.image, [case.prompt for case in shown.cases])
        for case, answer in zip(shown.cases, answers, strict=True):
            self.add(case, answer)
        self.sight.add(shown.side, shown.artifact, shown.labels, system.see(shown.image))

    def add(self, case: Case, answer: Answer) -> None:
        """Scores one answer."""
        self.counts.update(answers=1, truncated=int(answer.truncated))
        usable = checked(answer, case.labels.shape)
        self.counts["malformed"] += usable is not answer
        if case.task not in self.tasks:
            self.tasks[case.task] = metrics_of(case.task, self.data)
        for metric in self.tasks[case.task]:
            metric.add(case, usable)

    def figures(self) -> dict[str, Figures]:
        """Gives the figures of each task."""
        found: dict[str, Figures] = {SEES: self.sight.figures()}
        for task, metrics in self.tasks.items():
            found[task] = {name: v for each in metrics for name, v in each.figures().items()}
        return found


def checked(answer: Answer, shape: tuple[int, ...]) -> Answer:
    """Gives an answer whose masks can be scored.

    Where there is not one mask for each `[SEG]`, which mask is of which is not known: the answer
    keeps its words and loses `[SEG]` and masks. It is never cut to the shorter of the two.

    Raises:
        TypeError: Masks are not bool.
        ValueError: Masks have another size than the image.
    """
    if answer.masks.dtype != torch.bool:
        raise TypeError(f"masks must be bool, not {answer.masks.dtype}")
    if answer.text.count(SEG) != len(answer.masks):
        bare = answer.text.replace(SEG, "")
        return Answer(bare, torch.zeros(0, *shape, dtype=torch.bool), answer.truncated)
    if tuple(answer.masks.shape[1:]) != tuple(shape):
        raise ValueError(f"masks of {tuple(answer.masks.shape[1:])} for an image of {shape}")
    return answer


def evaluate(
    data: EvaluationSet, systems: Mapping[str, Answers], progress: Progress | None = None
) -> Report:
    """Scores systems on a set.

    Args:
        data: What is asked.
        systems: What is scored, by name.
        progress: Called as `(stage, done, total)` after each image.

    Raises:
        SourceMissing: A row holds no pixels.
    """
    scores = {name: Scores(data) for name in systems}
    questions: Counter[str] = Counter()
    images, total = 0, 2 * len(data)
    for shown in data.shown():
        for name, system in systems.items():
            scores[name].ask(system, shown)
        questions.update(case.task for case in shown.cases)
        images += 1
        if progress:
            progress("evaluate", images, total)
    return Report(
        figures=_beside({name: each.figures() for name, each in scores.items()}),
        answers={name: dict(each.counts) for name, each in scores.items()},
        images=images,
        questions=dict(questions),
        truth="forge" if data.knows_truth else "row",
        rows=len(data),
        chosen=data.chosen,
        learnt=data.learnt,
    )


def with_baselines(
    model: Answers, data: EvaluationSet, progress: Progress | None = None
) -> dict[str, Answers]:
    """Gives a model and, beside it, the baselines of a set.

    Args:
        model: The model.
        data: The set; it is read once for the constant answers.
        progress: Called as `(stage, done, total)` after each image.
    """
    return {
        MODEL: model,
        CONSTANT: Constant(_cases(data, progress)),
        BLANK: Blank(model),
    }


def _cases(data: EvaluationSet, progress: Progress | None) -> Iterator[Case]:
    for number, shown in enumerate(data.shown(), 1):
        yield from shown.cases
        if progress:
            progress("constant", number, 2 * len(data))


def _beside(
    by_system: Mapping[str, Mapping[str, Figures]],
) -> dict[str, dict[str, dict[str, float | None]]]:
    """Turns system, task, figure into task, figure, system."""
    turned: dict[str, dict[str, dict[str, float | None]]] = defaultdict(lambda: defaultdict(dict))
    for system, tasks in by_system.items():
        for task, figures in tasks.items():
            for name, value in figures.items():
                turned[task][name][system] = value
    return {task: dict(figures) for task, figures in turned.items()}
