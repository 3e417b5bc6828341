"""How a frame is put to a captioning model: ours, and our readings of the neighbours'.

A recipe is one file and one line here. What each does and where it comes from: docs/recipes.md.
"""

from __future__ import annotations

from annotators.mllm.recipes.edvd import EDVD
from annotators.mllm.recipes.effpp import EFFPP
from annotators.mllm.recipes.fftg import FFTG
from annotators.mllm.recipes.fifa import FIFA
from annotators.mllm.recipes.fifa_mllm import FIFA_MLLM
from annotators.mllm.recipes.forgerygpt import FORGERYGPT
from annotators.mllm.recipes.recipe import Recipe
from annotators.mllm.recipes.vlffd import VLFFD

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for recipe in (FIFA, FFTG, VLFFD, EFFPP, EDVD, FORGERYGPT, FIFA_MLLM)
}
"""By the name in the manifest."""
