"""From the classes of a face-parsing backend and the landmarks to FICT labels.

Inside the outline of the face the mesh's concepts stay where the backend sees the face. All else is
painted class by class; the rule that `fict.yaml` names picks the part (`fict.parsing_rules`). What
no rule picks keeps the nearest concept above. Sides are the subject's, and are told by the
landmarks alone.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.typing import NDArray

from fict.parsing_rules import RULES, Rule, whole
from fict.parsing_scene import Scene, part_of
from fict.tree import Parsing, Tree

FACE_CLASSES = {
    "skin": "face", "brow": "eyebrows", "eye": "eyes", "nose": "nose", "mouth": "inner mouth",
    "upper lip": "upper lip", "lower lip": "lower lip",
}  # fmt: skip
"""Classes of the face, and the FICT concept of their pixels where the mesh does not reach."""
CLASSES = (
    *FACE_CLASSES, "background", "right ear", "left ear", "hair", "hat", "glasses", "earring",
    "necklace", "neck", "cloth", "other",
)  # fmt: skip
"""What backends tell apart: of the face, then what `fict.yaml` names under `parsing`."""
BACKGROUND, CLOTH, OTHER = (CLASSES.index(name) for name in ("background", "cloth", "other"))
RIGHT_EAR, LEFT_EAR = CLASSES.index("right ear"), CLASSES.index("left ear")
Ids = NDArray[np.uint8]


def with_parts(mesh_labels: Ids, classes: Ids, landmarks: NDArray[np.float32], tree: Tree) -> Ids:
    """Gives the label map of a crop that a backend has parsed.

    Args:
        mesh_labels: (S, S) uint8 node ids as `fict.labelmap.label_map` draws them.
        classes: (S, S) uint8 indices of `CLASSES`; `right ear` and `left ear` both mean an ear.
        landmarks: (478, 3) float32 in pixels of the crop.
        tree: The tree.

    Returns:
        (S, S) uint8 node ids, one for each pixel.
    """
    scene = Scene(mesh_labels, classes < len(FACE_CLASSES), landmarks, tree)
    found = _sorted_out(classes, scene)
    labels = np.asarray(cv2.LUT(found, _undivided(tree)), np.uint8)
    np.copyto(labels, mesh_labels, where=scene.inside & scene.is_face)
    for number, rules in _divided(tree):
        part = part_of(scene, CLASSES[number], found == number)
        if part is not None:
            for concept, rule in rules:
                np.copyto(labels[part.window], concept, where=rule(part))
    return labels


def _sorted_out(classes: Ids, scene: Scene) -> Ids:
    """Tells the ears apart, and calls what covers the face `other`.

    The backends have no class for a hand or a thing before the face: it comes as background or
    cloth.
    """
    found = classes.copy()
    ears = (classes == RIGHT_EAR) | (classes == LEFT_EAR)
    np.copyto(found, RIGHT_EAR, where=ears & scene.on_the_right)
    np.copyto(found, LEFT_EAR, where=ears & ~scene.on_the_right)
    behind = (classes == BACKGROUND) | (classes == CLOTH)
    np.copyto(found, OTHER, where=behind & scene.reached_by(behind))
    return found


@functools.cache
def _rules(tree: Tree) -> dict[str, list[tuple[np.uint8, Rule]]]:
    """Gives the id and the rule of each part of each class that `fict.yaml` names."""
    found: dict[str, list[tuple[np.uint8, Rule]]] = {}
    for concept in tree.atomic:
        if isinstance(where := concept.where, Parsing):
            part = np.uint8(concept.id), RULES[where.part]
            found.setdefault(where.parsing, []).append(part)
    return found


@functools.cache
def _undivided(tree: Tree) -> Ids:
    """(256,) uint8 from a class to the nearest concept that holds all of it.

    A class with parts gets the parent of the first: hair is `hair`, not yet `facial hair`.
    """
    table = np.zeros(256, np.uint8)
    for name, concept in FACE_CLASSES.items():
        table[CLASSES.index(name)] = tree.by_name[concept].id
    for name, rules in _rules(tree).items():
        first, rule = rules[0]
        above = tree.by_name[tree.by_id[int(first)].parent].id
        table[CLASSES.index(name)] = first if rule is whole else above
    return table


@functools.cache
def _divided(tree: Tree) -> list[tuple[int, list[tuple[np.uint8, Rule]]]]:
    """Gives the classes that have parts: number, and the id and the rule of each part."""
    return [
        (CLASSES.index(name), rules)
        for name, rules in _rules(tree).items()
        if all(rule is not whole for _, rule in rules)
    ]
