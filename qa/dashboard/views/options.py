"""What a filter can be set to."""

from __future__ import annotations

from fict.tree import load_tree
from qa.dashboard.opened import Opened
from qa.index import NONE, VERDICTS, Filter

Options = dict[str, list[tuple[str | int, str]]]


def options(opened: Opened) -> Options:
    """Gives the values of each filter that the dataset has, with their names."""
    tree, index, every = load_tree(), opened.index, Filter()
    found: Options = {
        name: [(value or NONE, value or NONE) for value in sorted(index.by(name, every))]
        for name in ("method", "compression", "split", "writer", "evidence")
    }
    named = {
        node.id: node.name
        for key in index.by("regions", every)
        for node in (tree.by_id[key], *tree.ancestors_of(tree.by_id[key]))
    }
    found["region"] = sorted(named.items(), key=lambda one: one[1])
    found["verdict"] = [(verdict, verdict) for verdict in VERDICTS]
    return found
