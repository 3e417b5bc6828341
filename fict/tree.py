"""FICT, the Facial Image Concept Tree: 112 atomic concepts that partition a crop, and parents.

Source: arXiv 2510.20531 names a tree of 112 atomic concepts; the list in `fict.yaml` is ours.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

TREE_FILE = Path(__file__).with_name("fict.yaml")
ATOMIC = 112
"""Atomic concepts have the ids 1..ATOMIC, parents the ids above."""
ROOT = "image"
GROUP4 = {"mouth": "mouth", "nose": "nose", "eyes": "eyes", "eyebrows": "eyes", "face": "face"}
"""The four groups of FFTG (mouth, nose, eyes with brows and lids, rest of the face), by node."""

Side = Literal["left", "right", "middle", "none"]
Level = Literal["atomic", "parent", "group4"]
Group4 = Literal["mouth", "nose", "eyes", "face"]
EyePart = Literal["sclera", "iris", "pupil"]
MouthPart = Literal["upper_teeth", "lower_teeth", "tongue", "cavity"]


class TreeError(ValueError):
    """`fict.yaml` breaks a rule; the message names the record and the rule."""


class UnknownConceptError(KeyError):
    """No concept has this name or id; the message names the nearest name."""

    def __str__(self) -> str:
        return str(self.args[0])


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Loop(_Record):
    """A polygon on the canonical face mesh, through these vertices (0..467)."""

    loop: tuple[int, ...] = Field(min_length=3)


class Inside(_Record):
    """A part of an opening of the mesh: its rim, and for iris and pupil the five iris landmarks."""

    inside: tuple[int, ...] = Field(min_length=3)
    part: EyePart | MouthPart
    points: tuple[int, ...] = ()


class Parsing(_Record):
    """Pixels of one class of a face-parsing backend, and the geometric rule that picks the part."""

    parsing: str
    part: str


class Concept(_Record):
    """One node of the tree; the fields are described at the top of `fict.yaml`."""

    id: int = Field(ge=1, le=255)
    name: str = Field(pattern=r"^[a-z][a-z' -]*[a-z]$")
    parent: str
    side: Side
    definition: str = Field(pattern=r"^[A-Z].*\.$")
    where: Loop | Inside | Parsing | None = None


class Tree:
    """The tree with its look-ups. Build it with `load_tree`.

    Args:
        concepts: every node.
        version: what `fict.yaml` calls itself.
        digest: sha256 of the file, hexadecimal.

    Raises:
        TreeError: the concepts break a rule of the tree.
    """

    def __init__(self, concepts: tuple[Concept, ...], version: str, digest: str) -> None:
        self.concepts = tuple(sorted(concepts, key=lambda concept: concept.id))
        self.digest = digest
        self.version = f"{version}+{digest[:12]}"
        """Semantic version and the start of the file's sha256: `1.0.0+0123456789ab`."""
        self.atomic = tuple(c for c in self.concepts if c.id <= ATOMIC)
        self.by_id: Mapping[int, Concept] = _Index({c.id: c for c in self.concepts})
        self.by_name: Mapping[str, Concept] = _Index({c.name: c for c in self.concepts})
        _validate(self.concepts)
        self._children: dict[str, tuple[Concept, ...]] = {
            c.name: tuple(d for d in self.concepts if d.parent == c.name) for c in self.concepts
        }
        self.root = self.by_name[ROOT]
        self.mirror = self._mirror()
        self._members = self._membership()

    def parent_of(self, concept: Concept) -> Concept | None:
        """The node that contains this one; None for the root."""
        return self.by_name[concept.parent] if concept.parent else None

    def children_of(self, concept: Concept) -> tuple[Concept, ...]:
        """The nodes directly below, by id; empty for an atomic concept."""
        return self._children[concept.name]

    def ancestors_of(self, concept: Concept) -> tuple[Concept, ...]:
        """The nodes above, the parent first, the root last."""
        above = self.parent_of(concept)
        return () if above is None else (above, *self.ancestors_of(above))

    def descendants_of(self, concept: Concept) -> tuple[Concept, ...]:
        """All nodes below, each before its own children."""
        below: list[Concept] = []
        for child in self.children_of(concept):
            below += [child, *self.descendants_of(child)]
        return tuple(below)

    def related(self, one: int, other: int) -> bool:
        """Whether a node is another one, above it, or below it, by their ids."""
        first, second = self.by_id[one], self.by_id[other]
        return first in (second, *self.ancestors_of(second)) or second in self.ancestors_of(first)

    def is_atomic(self, concept: Concept) -> bool:
        """Whether no node is below this one."""
        return concept.id <= ATOMIC

    def group4(self, concept: Concept) -> Group4 | None:
        """Which of FFTG's four groups holds this node; None outside the face and for the root."""
        for node in (concept, *self.ancestors_of(concept)):
            if node.name in GROUP4:
                group: Group4 = GROUP4[node.name]  # type: ignore[assignment]
                return group
        return None

    def lookup_table(self, level: Level) -> NDArray[np.uint8]:
        """(256,) uint8 from a label map's ids to coarser nodes: `table[labels]`.

        Args:
            level: `atomic` keeps every node; `parent` lifts each atomic concept to its parent and
                keeps coarser nodes; `group4` gives the nodes mouth, nose, eyes and face, and 0
                elsewhere.

        Ids that no concept has become 0.
        """
        table = np.zeros(256, np.uint8)
        for concept in self.concepts:
            table[concept.id] = self._at(concept, level)
        return table

    def _at(self, concept: Concept, level: Level) -> int:
        if level == "atomic":
            return concept.id
        if level == "parent":
            return self.by_name[concept.parent].id if self.is_atomic(concept) else concept.id
        if level == "group4":
            group = self.group4(concept)
            return self.by_name[group].id if group else 0
        raise ValueError(f"level is atomic, parent or group4, not {level!r}")

    def counts(self, labels: NDArray[np.uint8]) -> NDArray[np.int64]:
        """(256,) int64 pixels of each node with everything below it, of an array of any shape.

        A pixel that carries a coarse id counts for that node and those above.
        """
        return np.bincount(labels.ravel(), minlength=256) @ self._members

    def pixels(self, labels: NDArray[np.uint8], node: int) -> NDArray[np.bool_]:
        """Which pixels of a label map are of a node or of anything below it, by its id."""
        below = (each.id for each in self.descendants_of(self.by_id[node]))
        return np.asarray(np.isin(labels, [node, *below]))

    def _membership(self) -> NDArray[np.int64]:
        table = np.zeros((256, 256), np.int64)
        for concept in self.concepts:
            for node in (concept, *self.ancestors_of(concept)):
                table[concept.id, node.id] = 1
        return table

    def _mirror(self) -> NDArray[np.uint8]:
        """(256,) uint8 from each node to its twin on the other side, or to itself."""
        table = np.arange(256, dtype=np.uint8)
        for concept in self.concepts:
            table[concept.id] = self.by_name[_twin_name(concept)].id
        return table


class _Index(dict):  # type: ignore[type-arg]
    """A dict whose KeyError tells the nearest name."""

    def __missing__(self, key: object) -> Concept:
        near = difflib.get_close_matches(str(key), [str(k) for k in self], n=1, cutoff=0.0)
        kind = "id" if isinstance(key, int) else "name"
        hint = f"; the nearest is {near[0]!r}" if near and kind == "name" else ""
        raise UnknownConceptError(f"no FICT concept has the {kind} {key!r}{hint}")


def _twin_name(concept: Concept) -> str:
    swap = {"left": "right", "right": "left"}
    if concept.side not in swap:
        return concept.name
    words = [swap.get(word, word) for word in concept.name.split(" ")]
    return " ".join(words)


def _validate(concepts: tuple[Concept, ...]) -> None:
    ids = [c.id for c in concepts]
    names = {c.name: c for c in concepts}
    if ids != list(range(1, len(ids) + 1)):
        raise TreeError(f"ids are not 1..{len(ids)} once each: {ids}")
    if len(names) != len(concepts):
        raise TreeError("two concepts have the same name")
    for concept in concepts:
        _validate_one(concept, names)
    for concept in concepts:
        _validate_line(concept, names)


def _validate_one(concept: Concept, names: Mapping[str, Concept]) -> None:
    who = f"concept {concept.id} ({concept.name})"
    is_root = concept.name == ROOT
    if is_root != (concept.parent == ""):
        raise TreeError(f"{who}: only {ROOT!r} has no parent")
    if not is_root and concept.parent not in names:
        raise TreeError(f"{who}: its parent {concept.parent!r} does not exist")
    if not is_root and names[concept.parent].id <= ATOMIC:
        raise TreeError(f"{who}: its parent {concept.parent!r} is atomic")
    if (concept.where is None) != (concept.id > ATOMIC):
        raise TreeError(f"{who}: atomic concepts, and no others, have a `where`")
    has_children = any(c.parent == concept.name for c in names.values())
    if has_children != (concept.id > ATOMIC):
        raise TreeError(f"{who}: parents (id above {ATOMIC}), and no others, have children")
    if _twin_name(concept) not in names:
        raise TreeError(f"{who}: its twin {_twin_name(concept)!r} does not exist")


def _validate_line(concept: Concept, names: Mapping[str, Concept]) -> None:
    seen = [concept.name]
    while parent := names[seen[-1]].parent:
        if parent in seen:
            raise TreeError(
                f"concept {concept.id} ({concept.name}): its ancestors form a circle: "
                + " -> ".join([*seen, parent])
            )
        seen.append(parent)


def read_tree(path: Path) -> Tree:
    """The tree in one file.

    Raises:
        TreeError: the file breaks a rule.
    """
    raw = path.read_bytes()
    data = yaml.safe_load(raw)
    try:
        concepts = tuple(Concept.model_validate(record) for record in data["concepts"])
    except ValidationError as error:
        raise TreeError(f"{path.name}: {error}") from error
    return Tree(concepts, str(data["version"]), hashlib.sha256(raw).hexdigest())


@functools.cache
def load_tree() -> Tree:
    """The tree of this version, read once."""
    return read_tree(TREE_FILE)
