"""The concept tree as the shards' metadata tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Concepts:
    """Names and parents of FICT nodes.

    Args:
        categories: `fict.categories` of a shard's metadata.
    """

    def __init__(self, categories: Sequence[Mapping[str, Any]]) -> None:
        self._ids = {str(each["name"]): int(each["id"]) for each in categories}
        self._parents = {str(each["name"]): str(each["supercategory"]) for each in categories}

    @property
    def names(self) -> list[str]:
        """Gives the names of all nodes."""
        return list(self._ids)

    def name_of(self, concept: int) -> str:
        """Gives the name of a node; empty for an unknown one."""
        return next((name for name, id_ in self._ids.items() if id_ == concept), "")

    def knows(self, name: str) -> bool:
        """Tells whether a name is a node's."""
        return name in self._ids

    def related(self, one: str, other: str) -> bool:
        """Tells whether two names are one node's, or one node holds the other."""
        return one == other or one in self._above(other) or other in self._above(one)

    def pixels(self, labels: NDArray[np.uint8], name: str) -> NDArray[np.bool_]:
        """Gives the pixels of a node, and of all below it, in a label map; none for a stranger."""
        ids = [id_ for each, id_ in self._ids.items() if each == name or name in self._above(each)]
        return np.isin(labels, ids)

    def _above(self, name: str) -> list[str]:
        line = []
        while name := self._parents.get(name, ""):
            line.append(name)
        return line
