"""The FICT label map of a crop: one node id per pixel, drawn from the face landmarks.

Source: the label map of arXiv 2510.20531 (Figure "FICT"); drawing regions as triangle sets of the
face mesh is ours.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

from fict.facexlib_parsing import NETWORKS, class_map, load_network
from fict.mesh import Mesh, inside, load_mesh, unfold
from fict.openings import paint_eye, paint_mouth
from fict.parsing_parts import with_parts
from fict.tree import Inside, Loop, Tree, TreeError, load_tree

SUBPIXEL_BITS = 4
Parser = Callable[[NDArray[np.uint8], NDArray[np.float32], Tree], NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class Region:
    """One thing to paint: a concept's triangles, or an opening (an eye or the mouth) with its rim.

    Attributes:
        id: node id; for an opening that of the nearest ancestor of its parts.
        vertices: (K,) int32 vertices whose mean depth orders the painting.
        triangles: indices into the mesh's triangles; empty for an opening.
        parts: for an opening, part name to node id.
    """

    id: int
    vertices: NDArray[np.int32]
    triangles: NDArray[np.int32]
    parts: dict[str, int]


@functools.cache
def regions_of(tree: Tree) -> tuple[Region, ...]:
    """What the mesh can resolve of a tree, in record order.

    Raises:
        TreeError: a loop does not follow the mesh's edges, two loops overlap, or a part of the
            face lies in no loop.
    """
    mesh = load_mesh()
    flat = unfold(mesh.vertices)
    middles = flat[mesh.triangles].mean(axis=1)
    owner = np.zeros(len(middles), int)
    regions: list[Region] = []
    for concept in tree.atomic:
        if isinstance(concept.where, Loop):
            _check_edges(concept.name, concept.where.loop, mesh)
            mine = inside(flat[list(concept.where.loop)], middles)
            if owner[mine].any():
                other = tree.by_id[int(owner[mine].max())].name
                raise TreeError(f"the loops of {concept.name!r} and {other!r} overlap")
            owner[mine] = concept.id
            rim = np.array(concept.where.loop, np.int32)
            regions.append(Region(concept.id, rim, np.flatnonzero(mine).astype(np.int32), {}))
    if not owner.all():
        lost = mesh.triangles[owner == 0][0].tolist()
        raise TreeError(f"the triangle {lost} of the face lies in no loop")
    return (*regions, *_openings(tree))


def _check_edges(name: str, loop: tuple[int, ...], mesh: Mesh) -> None:
    known = {frozenset(side) for trio in mesh.triangles.tolist() for side in combinations(trio, 2)}
    for edge in zip(loop, loop[1:] + loop[:1], strict=True):
        if frozenset(edge) not in known:
            raise TreeError(
                f"the loop of {name!r} has the edge {edge}, which the mesh lacks; "
                "run `python -m fict.derive_mesh`"
            )


def _openings(tree: Tree) -> list[Region]:
    """The eyes and the mouth: concepts that share a rim, with the nearest node above them all."""
    rims: dict[tuple[int, ...], dict[str, int]] = {}
    for concept in tree.atomic:
        if isinstance(concept.where, Inside):
            rims.setdefault(concept.where.inside, {})[concept.where.part] = concept.id
    found = []
    for rim, parts in rims.items():
        lines = [tree.ancestors_of(tree.by_id[i]) for i in parts.values()]
        nearest = next(node for node in lines[0] if all(node in line for line in lines))
        none = np.zeros(0, np.int32)
        found.append(Region(nearest.id, np.array(rim, np.int32), none, parts))
    return found


def label_map(
    landmarks: NDArray[np.float32],
    size: int,
    tree: Tree,
    crop: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Node ids of a crop; every pixel has exactly one.

    Inside the outline of the face the id is an atomic concept's. Where the landmarks cannot tell,
    it is the nearest ancestor's: `surroundings` outside the face, `inner mouth` where no teeth are
    seen.

    Args:
        landmarks: (478, 3) float, in pixels of the crop (x right, y down; the middle of the top
            left pixel is 0, 0), z in the same unit, smaller is nearer.
        size: side of the crop, S.
        tree: the tree.
        crop: (S, S, 3) uint8 RGB; without it teeth are not told apart.

    Returns:
        (S, S) uint8.
    """
    mesh, regions = load_mesh(), regions_of(tree)
    points = np.rint(landmarks[:, :2] * (1 << SUBPIXEL_BITS)).astype(np.int32)
    front = _signed_area(landmarks, mesh) > 0
    labels = np.full((size, size), tree.by_name["surroundings"].id, np.uint8)
    depths = [float(landmarks[region.vertices, 2].mean()) for region in regions]
    for index in sorted(range(len(regions)), key=lambda i: (-depths[i], i)):
        region = regions[index]
        if region.parts:
            paint = paint_mouth if "cavity" in region.parts else paint_eye
            paint(labels, landmarks, region.id, region.vertices, region.parts, tree, crop)
            continue
        seen = front[region.triangles]
        if seen.all():
            cv2.fillPoly(labels, [points[region.vertices]], region.id, shift=SUBPIXEL_BITS)
            continue
        for triangle in points[mesh.triangles[region.triangles[seen]]]:
            cv2.fillConvexPoly(labels, triangle, region.id, shift=SUBPIXEL_BITS)
    return labels


def _signed_area(landmarks: NDArray[np.float32], mesh: Mesh) -> NDArray[np.float32]:
    a, b, c = landmarks[mesh.triangles, :2].transpose(1, 2, 0)
    area = (b - a)[0] * (c - a)[1] - (b - a)[1] * (c - a)[0]
    return np.asarray(area, dtype=np.float32)


def parse_by_mesh(
    crop: NDArray[np.uint8], landmarks: NDArray[np.float32], tree: Tree | None = None
) -> NDArray[np.uint8]:
    """(S, S) uint8 label map of a (S, S, 3) crop from its landmarks alone; see `label_map`."""
    return label_map(landmarks, crop.shape[0], tree or load_tree(), crop)


def parse_by_network(
    crop: NDArray[np.uint8], landmarks: NDArray[np.float32], tree: Tree, name: str
) -> NDArray[np.uint8]:
    """(S, S) uint8 label map of a (S, S, 3) crop from its landmarks and a face-parsing network.

    Raises:
        BackendUnavailable: the network or its weights are not here.
    """
    labels = label_map(landmarks, crop.shape[0], tree, crop)
    return with_parts(labels, class_map(crop, name), landmarks, tree)


PARSERS: dict[str, Parser] = {
    "mesh": parse_by_mesh,
    **{name: functools.partial(parse_by_network, name=name) for name in NETWORKS},
}
"""Parsing backends by name, (crop, landmarks, tree) to labels; a new one is one line here."""


def check_parser(name: str) -> None:
    """Loads what a parsing backend needs.

    Raises:
        BackendUnavailable: something is missing; the message says what, and where to get it.
    """
    if name in NETWORKS:
        load_network(name)
