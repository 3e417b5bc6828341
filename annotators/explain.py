"""Explainers: from a measured frame to claims about its regions, never free text alone.

An explainer may only speak of the regions it is given. `evidence` writes its sentences from the
measurements and needs no network; it is the default and the baseline. `mllm` asks a captioning
model (`annotators.mllm`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from schemas.manifest import EvidenceSettings
from schemas.records import SEG, Claim, Evidence, EvidenceKind, MeasuredFrame, Segmentation

PROMPTS = Path(__file__).parent / "prompts"
PER_REGION = 3
"""At most so many statements about one region: the most significant ones."""
SINGULAR_IN_S = ("iris", "canthus")


@dataclass(frozen=True)
class Statement:
    """What an explainer says of one region, before it is checked."""

    category_id: int
    kind: EvidenceKind
    direction: str
    sentence: str


class NoAnswer(Exception):
    """An explainer gave no usable answer; the message is the fallback reason."""


@functools.cache
def template(name: str) -> str:
    """Reads a prompt template of `annotators/prompts`."""
    return (PROMPTS / name).read_text(encoding="utf-8")


@functools.cache
def wordings() -> dict[str, dict[str, str]]:
    """Gives the sentence templates by kind and direction, from `prompts/sentences.yaml`."""
    sentences: dict[str, dict[str, str]] = yaml.safe_load(template("sentences.yaml"))
    return sentences


def explain_by_evidence(frame: MeasuredFrame, settings: EvidenceSettings) -> list[Statement]:
    """Says what was measured: the strongest significant changes of each region."""
    return [
        Statement(one.category_id, one.kind, one.direction, sentence(region.name, one, settings))
        for region in frame.regions
        for one in strongest(frame.evidence, region.category_id)
    ]


def strongest(evidence: Iterable[Evidence], concept: int) -> list[Evidence]:
    """Gives a region's most significant changes.

    That it was altered at all is said only where nothing more precise can be.
    """
    found = [one for one in evidence if one.category_id == concept and one.significant]
    precise = [one for one in found if one.kind is not EvidenceKind.CHANGE]
    ranked = sorted(precise or found, key=lambda one: -one.effect / one.spread)
    return ranked[:PER_REGION]


def sentence(region: str, evidence: Evidence, settings: EvidenceSettings) -> str:
    """Writes one measurement as a sentence, the region's name inside `<p>` tags."""
    least = float(getattr(settings, evidence.kind.value))
    ratio = evidence.effect / least if least else float("inf")
    degree = "slightly" if ratio < 4 else "clearly" if ratio < 10 else "much"
    return wordings()[evidence.kind.value][evidence.direction].format(
        region=region,
        degree=degree,
        effect=f"{evidence.effect:.0f}" if evidence.effect >= 2 else f"{evidence.effect:.1f}",
        percent=f"{evidence.effect:.0%}",
        times=f"{math.exp(evidence.effect):.1f}",
        left=f"{math.exp(-evidence.effect):.0%}",
        **verbs(region),
    )


def verbs(region: str) -> dict[str, str]:
    """Gives the verbs of the sentences as they agree with a FICT name."""
    if is_plural(region):
        return {"be": "are", "have": "have", "sit": "sit", "show": "show"}
    return {"be": "is", "have": "has", "sit": "sits", "show": "shows"}


def is_plural(region: str) -> bool:
    """Tells whether a FICT name takes a plural verb."""
    last = region.split(" ")[-1]
    return (
        " and " in region or last == "teeth" or (last.endswith("s") and last not in SINGULAR_IN_S)
    )


def compose(
    claims: Sequence[Claim], masks: dict[int, Segmentation]
) -> tuple[str, tuple[Segmentation, ...]]:
    """Joins claims to an Artifact-Grounding Explanation.

    Args:
        claims: Claims in the order to tell; each sentence holds its region's phrase in `<p>` tags.
        masks: Mask of each region by FICT node id.

    Returns:
        The text, in which each region's first phrase is followed by `[SEG]`, and one mask for each
        `[SEG]`, in order. Later phrases of the same region lose their tags.
    """
    told: list[int] = []
    sentences = []
    for claim in sorted(claims, key=lambda one: _order(claims, one.category_id)):
        if claim.category_id in told:
            sentences.append(plain(claim.sentence))
        else:
            told.append(claim.category_id)
            sentences.append(claim.sentence.replace("</p>", f"</p> {SEG}", 1))
    return " ".join(sentences), tuple(masks[concept] for concept in told)


def _order(claims: Sequence[Claim], concept: int) -> int:
    """Keeps the claims of one region together, regions in order of first mention."""
    return next(number for number, one in enumerate(claims) if one.category_id == concept)


def plain(text: str) -> str:
    """Takes the grounding marks out of a sentence, for text-only answers."""
    return text.replace(f" {SEG}", "").replace("<p>", "").replace("</p>", "")
