"""`fftg`: a measured note of regions and types, then a prompt in four parts with both pictures.

Source: FFTG (CVPR 2025, arXiv 2502.20698): forged regions and forgery types are read off the
difference of a pair and given to a captioning model with the paired images, a task and an output
format. Its four regions are kept; types come from our evidence, and the wording is ours.
"""

from __future__ import annotations

from annotators.explain import template, verbs
from annotators.mllm.answer import Answered
from annotators.mllm.recipes.levels import four
from annotators.mllm.recipes.recipe import (
    CLAIMS,
    Recipe,
    Scene,
    claims_wanted,
    evidence_of,
    form_of,
    lines,
    regions_of,
    told,
)
from annotators.mllm.talk import Talk
from schemas.records import Evidence, EvidenceKind, MeasuredFrame

TYPES = {
    EvidenceKind.COLOUR: "colour difference",
    EvidenceKind.LIGHTNESS: "colour difference",
    EvidenceKind.SHARPNESS: "blur",
    EvidenceKind.POSITION: "structure",
    EvidenceKind.SIZE: "structure",
    EvidenceKind.TEXTURE: "texture",
    EvidenceKind.SEAM: "blend boundary",
}
"""FFTG's types by what we measure; how each is measured is ours."""
NO_TYPE = "changed, of no type that was measured"


async def ask(scene: Scene, talk: Talk) -> Answered:
    """Asks once."""
    frame, pictures = scene.frame, scene.pictures()[0]
    text = template("fftg.txt").format(
        method=told(scene.method),
        note=note(frame),
        regions=regions_of(frame),
        evidence=evidence_of(frame),
        claims=claims_wanted(),
    )
    return await talk.ask("ask", text, form_of(scene.frames), (pictures.real, pictures.fake))


def note(frame: MeasuredFrame) -> str:
    """Writes the raw note: each forged region with the types of what is significant there."""
    written = []
    for region in frame.regions:
        of_region = [one for one in frame.evidence if one.category_id == region.category_id]
        types = dict.fromkeys(_type(one) for one in of_region if one.significant)
        listed = ", ".join(filter(None, types)) or NO_TYPE
        written.append(f"- {region.name} {verbs(region.name)['be']} forged: {listed}")
    return lines(written)


def _type(one: Evidence) -> str:
    """Gives the type of a measurement; empty for one that is of none, as becoming sharper."""
    return "" if one.direction == "sharper" else TYPES.get(one.kind, "")


FFTG = Recipe("fftg", ("fftg.txt", CLAIMS), ask, level=four)
