"""Writes `docs/fict.md`'s table from `fict.yaml`, and its pictures: `python -m fict.paint`."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fict.crop import upright_crop
from fict.derive_mesh import portraits
from fict.labelmap import label_map
from fict.landmarks import MeshLandmarks
from fict.paint import legend, paint
from fict.tree import Concept, Inside, Loop, Tree, load_tree

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "fict.md"
BEGIN, END = "<!-- begin: written by `python -m fict.paint` -->", "<!-- end -->"
JPEG_QUALITY = 88
MOUTH, RIGHT_EYE = (13, 14, 0, 17), (33, 133, 27, 65)


def write_handbook() -> None:
    """Writes both pictures, and the generated part of the page between its two marks."""
    tree = load_tree()
    backend = MeshLandmarks()
    faces = [(image, backend.detect(image)[0].landmarks) for image in portraits()]
    astronaut, points = faces[0]
    crop, moved = upright_crop(astronaut, points, 1100, 0.8)
    labels = label_map(moved, 1100, tree, crop)
    picture = paint(crop, labels, tree, opacity=0.35, numbers=True)
    ids = [int(i) for i in np.unique(labels) if tree.by_id[int(i)].name != "surroundings"]
    _save("fict_regions.jpg", np.concatenate([picture, legend(tree, ids, 1100)], axis=1))
    views = [
        _detail(tree, *face, share, around)
        for share, around in ((2.4, RIGHT_EYE), (1.7, MOUTH))
        for face in faces
    ]
    rows = [np.concatenate(views[i : i + 2], axis=1) for i in (0, 2)]
    _save("fict_detail.jpg", np.concatenate(rows))
    PAGE.write_text(with_generated(PAGE.read_text(), generated(tree)))


def generated(tree: Tree) -> str:
    """The generated part of the page: the tree, and the table of the atomic concepts."""
    lines = [f"Version of the tree: `{tree.version}`.", "", "```text"]
    lines += [*_branches(tree, tree.root, 0), "```", ""]
    lines += ["| id | concept | parent | side | definition | found by |"]
    lines += ["|---:|---|---|---|---|---|"]
    for c in tree.atomic:
        row = (str(c.id), c.name, c.parent, c.side, c.definition, found_by(c))
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def with_generated(page: str, text: str) -> str:
    """The page with the part between its two marks replaced.

    Raises:
        ValueError: the page lost its marks.
    """
    if BEGIN not in page or END not in page:
        raise ValueError(f"the page needs the marks {BEGIN!r} and {END!r}")
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    return re.sub(pattern, lambda _: f"{BEGIN}\n{text}\n{END}", page, flags=re.DOTALL)


def found_by(concept: Concept) -> str:
    """How an atomic concept is located, in a few words."""
    where = concept.where
    if isinstance(where, Loop):
        return "face mesh"
    if isinstance(where, Inside):
        return "opening of the face mesh"
    return "" if where is None else f"parsing: {where.parsing}, {where.part.replace('_', ' ')}"


def _branches(tree: Tree, concept: Concept, depth: int) -> list[str]:
    """The parents below a node, indented, each with its number of atomic concepts."""
    below = [c for c in tree.descendants_of(concept) if tree.is_atomic(c)]
    lines = [f"{'  ' * depth}{concept.id} {concept.name} ({len(below)})"]
    for child in tree.children_of(concept):
        if not tree.is_atomic(child):
            lines += _branches(tree, child, depth + 1)
    return lines


def _detail(
    tree: Tree,
    image: NDArray[np.uint8],
    points: NDArray[np.float32],
    share: float,
    around: tuple[int, ...],
) -> NDArray[np.uint8]:
    crop, moved = upright_crop(image, points, 600, share, around)
    return paint(crop, label_map(moved, 600, tree, crop), tree, opacity=0.3, numbers=True)


def _save(name: str, picture: NDArray[np.uint8]) -> None:
    path = DOCS / "img" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    print(f"wrote docs/img/{name}")
