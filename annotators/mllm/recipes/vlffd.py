"""`vlffd`: sentences from region and class of forgery, filled in without asking a model.

Source: VLLFFD's PFIG, which makes sentence prompts from forged regions and forgery types while it
mixes the images. Here region and class are those of the row; the sentences are ours.
"""

from __future__ import annotations

import functools
import hashlib

import yaml

from annotators.explain import Statement, template, verbs
from annotators.mllm.answer import Answered
from annotators.mllm.recipes.levels import parts
from annotators.mllm.recipes.recipe import Recipe, Scene
from annotators.mllm.talk import Talk
from schemas.records import EvidenceKind

OTHER = "other"


async def ask(scene: Scene, talk: Talk) -> Answered:
    """Says of each changed region that it was altered; `talk` stays silent."""
    frame = scene.frame
    forgery = scene.method.forgery if scene.method else OTHER
    return Answered(
        tuple(
            Statement(
                region.category_id,
                EvidenceKind.CHANGE,
                "altered",
                sentence(region.name, forgery, frame.id),
            )
            for region in frame.regions
        )
    )


def sentence(region: str, forgery: str, frame: str) -> str:
    """Words that a region was altered; the same frame and region are always worded alike."""
    wordings = _wording().get(forgery) or _wording()[OTHER]
    digest = hashlib.sha256(f"{frame}|{region}".encode()).digest()
    chosen = wordings[int.from_bytes(digest[:4], "big") % len(wordings)]
    return chosen.format(region=region, **verbs(region))


@functools.cache
def _wording() -> dict[str, list[str]]:
    wording: dict[str, list[str]] = yaml.safe_load(template("vlffd.yaml"))
    return wording


VLFFD = Recipe("vlffd", ("vlffd.yaml",), ask, level=parts, is_told=True, asks_model=False)
