"""What a recipe said of each frame, and the figures that it sums up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from annotators.publish import Said
from benchmarks.figures import PRECISION, RECALL, UNKNOWN, by_compression
from benchmarks.intervals import ratio
from benchmarks.scores import FrameScore
from qa.sums import template
from schemas.records import Claim

BY_LEVEL = {"claim_precision": PRECISION, "claim_recall": RECALL, "claims_unknown": UNKNOWN}


@dataclass
class RecipeScore(FrameScore):
    """What a recipe said of one frame, judged.

    Attributes:
        rows: 1 where the frame has a row, so that something could be said.
        fell_back: 1 where nothing of what was said could be published.
        made: Statements made, published or not.
        fates: What became of those that are not published.
        requests: Answered requests.
        tokens: Prompt and answer tokens of them, where the server counted them.
        sentences: The published ones.
    """

    rows: int = 0
    fell_back: int = 0
    made: int = 0
    fates: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    tokens: tuple[int, int] = (0, 0)
    sentences: tuple[str, ...] = ()

    def enter(self, own: Sequence[Claim], said: Said) -> None:
        """Enters what became of the recipe's statements.

        Args:
            own: Its own published claims.
            said: All that is known of what was said.
        """
        self.rows = 1
        self.fell_back = int(said.fallback_reason is not None)
        self.made = len(own) + len(said.dropped)
        self.fates = Counter(one.fate for one in said.dropped)
        self.sentences = tuple(one.sentence for one in own)

    def pay(self, counted: Iterable[tuple[int, int] | None]) -> None:
        """Enters requests, each with its prompt and answer tokens."""
        every = [each or (0, 0) for each in counted]
        self.requests = len(every)
        self.tokens = (sum(each[0] for each in every), sum(each[1] for each in every))


Part = Callable[[RecipeScore], float]
SHARES: dict[str, tuple[Part, Part]] = {
    "claims_per_frame": (lambda s: len(s.sentences), lambda s: s.rows),
    "refuted": (lambda s: s.fates["contradicted"], lambda s: s.made),
    "untestable": (lambda s: s.fates["untestable"], lambda s: s.made),
    "refused": (lambda s: s.fates["refused"], lambda s: s.made),
    "fallback": (lambda s: s.fell_back, lambda s: s.rows),
    "requests_per_frame": (lambda s: s.requests, lambda s: s.rows),
    "prompt_tokens_per_frame": (lambda s: s.tokens[0], lambda s: s.rows),
    "answer_tokens_per_frame": (lambda s: s.tokens[1], lambda s: s.rows),
}


WIDTH = 14
HEADS = {
    "claims": "claims_per_frame", "refuted": "refuted", "untestable": "untestable",
    "refused": "refused", "fallback": "fallback", "requests": "requests_per_frame",
    "tokens in": "prompt_tokens_per_frame", "tokens out": "answer_tokens_per_frame",
    "sentences": "sentences", "templates": "distinct_templates",
}  # fmt: skip
"""Heads of the printed columns; claims, requests and tokens are of a frame."""


def tally(scores: Sequence[RecipeScore]) -> dict[str, Any]:
    """Sums the scores of one recipe up.

    Returns:
        By compression level: precision and recall of the published claims, share of those that the
        truth does not decide. Over all: the `SHARES`, of statements or by frame with a row, and
        counts of `sentences` and of `distinct_templates` among them (as `qa.text` counts them).
    """
    levels = by_compression(scores)
    found: dict[str, Any] = {
        name: {level: ratio(each, parts) for level, each in levels.items()}
        for name, parts in BY_LEVEL.items()
    }
    for name, (above, below) in SHARES.items():
        found[name] = ratio(scores, _parts(above, below))
    said = [sentence for score in scores for sentence in score.sentences]
    return found | {
        "sentences": len(said),
        "distinct_templates": len({template(sentence) for sentence in said}),
    }


def _parts(above: Part, below: Part) -> Callable[[Any], tuple[float, float]]:
    return lambda score: (above(score), below(score))


def lines(recipes: dict[str, Any]) -> list[str]:
    """Prints the figures of all recipes, a recipe a line, values without intervals."""
    levels = list(next(iter(recipes.values()))["claim_precision"])
    by_level = (("precision", "claim_precision"), ("recall", "claim_recall"))
    columns: dict[str, tuple[str, ...]] = {
        f"{head} {c}": (name, c) for head, name in by_level for c in levels
    }
    columns |= {head: (name,) for head, name in HEADS.items()}
    told = [f"{'recipe':<12}" + "".join(f"{head:>{WIDTH}}" for head in columns)]
    for recipe, found in recipes.items():
        cells = (_cell(found, path) for path in columns.values())
        told.append(f"{recipe:<12}" + "".join(f"{cell:>{WIDTH}}" for cell in cells))
    return told


def _cell(found: Any, path: Iterable[str]) -> str:
    for key in path:
        found = found[key]
    if isinstance(found, int):
        return str(found)
    if not found:
        return "-"
    value = found["value"]
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"
