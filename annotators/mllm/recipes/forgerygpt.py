"""`forgerygpt`: a dialogue of three turns about the forged frame and its mask.

Source: ForgeryGPT (arXiv 2410.10238), which explains forgeries in a dialogue over mask-aware
features. Our reading: the mask is shown as a picture; the model first says what lies in it, then
what is wrong there, and only then writes claims. What it says in the first two turns is not
published.
"""

from __future__ import annotations

from annotators.explain import template
from annotators.mllm.answer import Answered, FreeText
from annotators.mllm.recipes.recipe import (
    CLAIMS,
    Recipe,
    Scene,
    claims_wanted,
    form_of,
    regions_of,
    told,
)
from annotators.mllm.talk import Talk

TURNS = ("forgerygpt_1.txt", "forgerygpt_2.txt", "forgerygpt_3.txt")


async def ask(scene: Scene, talk: Talk) -> Answered:
    """Asks three times."""
    place, artifacts, claims = map(template, TURNS)
    pictures = scene.pictures()[0]
    first = place.format(method=told(scene.method))
    await talk.ask("place", first, FreeText(), (pictures.fake, pictures.mask))
    await talk.ask("artifacts", artifacts, FreeText())
    last = claims.format(regions=regions_of(scene.frame), claims=claims_wanted())
    return await talk.ask("claims", last, form_of(scene.frames))


FORGERYGPT = Recipe("forgerygpt", (*TURNS, CLAIMS), ask)
