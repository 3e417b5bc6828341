"""`fifa`: both crops, outlined regions, measured evidence; one question.

Source: the paper's description of its annotation (a captioning model is shown the pair and the
located concepts); measured evidence, closed vocabulary and the claim check are ours.
"""

from __future__ import annotations

from annotators.explain import template
from annotators.mllm.answer import Answered
from annotators.mllm.recipes.recipe import (
    Recipe,
    Scene,
    evidence_of,
    form_of,
    regions_of,
    told,
    vocabulary,
)
from annotators.mllm.talk import Talk


async def ask(scene: Scene, talk: Talk) -> Answered:
    """Asks once."""
    frame, pictures = scene.frame, scene.pictures()[0]
    text = template("fifa.txt").format(
        method=told(scene.method),
        regions=regions_of(frame),
        evidence=evidence_of(frame),
        vocabulary=vocabulary(),
    )
    return await talk.ask(
        "ask", text, form_of(scene.frames), (pictures.real, pictures.fake, pictures.outlined)
    )


FIFA = Recipe("fifa", ("fifa.txt",), ask)
