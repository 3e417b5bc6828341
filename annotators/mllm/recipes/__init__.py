"""How a frame is put to a captioning model: ours, and our readings of the neighbours'.

A recipe is one file and one line here. What each does and where it comes from: docs/recipes.md.
"""

from __future__ import annotations

from annotators.mllm.recipes.fifa import FIFA
from annotators.mllm.recipes.recipe import Recipe

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (FIFA,)}
"""By the name in the manifest."""
