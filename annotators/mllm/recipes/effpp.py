"""`effpp`: the forged frame alone and the technique that made it; no pair, mask or measurement.

Source: VLF-FFD's EFF++, whose frames are described by a captioning model that is told the forgery
technique. That a fixed list of facial parts may be named, and that each statement is then tested
against the pair, is ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from annotators.explain import template
from annotators.mllm.answer import Answered, ClaimsForm
from annotators.mllm.recipes.levels import part_names, parts
from annotators.mllm.recipes.recipe import CLAIMS, Recipe, Scene, claims_wanted, numbered, told
from annotators.mllm.talk import Talk
from schemas.records import MeasuredFrame


async def ask(scene: Scene, talk: Talk) -> Answered:
    """Asks once."""
    text = template("effpp.txt").format(
        method=told(scene.method), regions=numbered(part_names()), claims=claims_wanted()
    )
    return await talk.ask("ask", text, any_part(scene.frames), (scene.pictures()[0].fake,))


def any_part(frames: Sequence[MeasuredFrame]) -> ClaimsForm:
    """Gives the form of an answer about any part, changed or not: nothing is given away."""
    return ClaimsForm(part_names())


EFFPP = Recipe("effpp", ("effpp.txt", CLAIMS), ask, level=parts, form=any_part, is_told=True)
