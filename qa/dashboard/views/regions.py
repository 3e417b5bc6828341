"""The heat map: how often each region of the face was changed."""

from __future__ import annotations

from fict.tree import load_tree
from qa.dashboard.drawing import render
from qa.dashboard.face import shapes, touched
from qa.dashboard.opened import Opened
from qa.dashboard.pages import Visit, show
from qa.dashboard.views.options import options
from qa.index import Filter


async def show_regions(visit: Visit, given: dict[str, str]) -> None:
    """Shows the view."""
    await show(regions, visit.opened, Filter.of(given))


def regions(opened: Opened, chosen: Filter) -> str:
    """Gives the view's HTML."""
    tree = load_tree()
    counts = opened.index.by("regions", chosen)
    per_concept = touched(counts)
    on_face = {shape.id for shape in shapes()}
    around = [
        (concept.id, concept.name, per_concept[concept.id])
        for concept in tree.atomic
        if concept.id not in on_face and per_concept[concept.id]
    ]
    return render(
        "regions.html",
        options=options(opened),
        chosen=chosen,
        frames=opened.index.count(chosen),
        shapes=shapes(),
        touched=per_concept,
        largest=max((per_concept[key] for key in on_face), default=0),
        around=sorted(around, key=lambda one: -one[2]),
        named={tree.by_id[key].name: count for key, count in counts.items()},
    )
