"""Derives `mesh_data.json`: `python -m fict.derive_mesh`.

Two public-domain portraits and their mirror images give the vertices and the mirror table; the
loops of `fict.yaml` give the borders that no triangle may cross. The right half is triangulated,
the left is its mirror image, the openings of the eyes and the mouth stay open.
"""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import linear_sum_assignment
from skimage.data import astronaut

from fict.landmarks import MeshLandmarks
from fict.mesh import MESH_FILE, VERTICES, inside, unfold
from fict.tree import Loop, load_tree

Points = NDArray[np.float64]
RIGHT_OUTER_CORNER, LEFT_OUTER_CORNER, BETWEEN_EYES = 33, 263, 168


def portraits() -> list[NDArray[np.uint8]]:
    """The two portraits, (H, W, 3) uint8 RGB."""
    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    with Image.open(hopper) as picture:
        return [astronaut(), np.asarray(picture.convert("RGB"))]


def measured_twice() -> list[tuple[Points, Points]]:
    """Per portrait the (468, 3) vertices found in it, and in its mirror image, mirrored back."""
    backend, pairs = MeshLandmarks(), []
    for image in portraits():
        flipped = np.ascontiguousarray(image[:, ::-1])
        there, back = (
            backend.detect(view)[0].landmarks[:VERTICES].astype(np.float64)
            for view in (image, flipped)
        )
        back[:, 0] = image.shape[1] - 1 - back[:, 0]
        pairs.append((there, back))
    return pairs


def mirror_table(pairs: list[tuple[Points, Points]]) -> NDArray[np.int32]:
    """(468,) each vertex's twin: where the mirrored picture's vertex falls on the original's."""
    cost = np.zeros((VERTICES, VERTICES))
    for there, back in pairs:
        cost += np.linalg.norm(there[:, None] - back[None], axis=2) / np.ptp(there[:, 0])
    twin: NDArray[np.int32] = linear_sum_assignment(cost + cost.T)[1].astype(np.int32)
    if not np.array_equal(twin[twin], np.arange(VERTICES)):
        raise RuntimeError("the mirror table is no involution; the portraits were not read well")
    return twin


def upright(points: Points) -> Points:
    """The face turned level, origin between the eyes, one unit between their outer corners."""
    across = points[LEFT_OUTER_CORNER, :2] - points[RIGHT_OUTER_CORNER, :2]
    unit = np.hypot(*across)
    cos, sin = across / unit
    moved = points - points[BETWEEN_EYES]
    moved[:, :2] = moved[:, :2] @ np.array([[cos, -sin], [sin, cos]])
    return np.asarray(moved / unit)


def symmetric_mean(pairs: list[tuple[Points, Points]], twin: NDArray[np.int32]) -> Points:
    """(468, 3) the mean of all measured faces and their mirror images, exactly symmetric."""
    faces = [upright(face) for there, back in pairs for face in (there, back[twin])]
    mean = np.mean(faces, axis=0)
    return np.asarray((mean + mean[twin] * [-1, 1, 1]) / 2).round(4)


def right_half(loop: list[int], vertices: Points, middle: NDArray[np.int32]) -> list[int]:
    """The part of a loop on the subject's right, closed along the vertices of the middle line."""
    half = [v for v in loop if vertices[v, 0] <= 0]
    if len(half) == len(loop) or not half:
        return half
    on_line = sorted((v for v in half if v in middle), key=lambda v: vertices[v, 1])
    top, bottom = on_line[0], on_line[-1]
    while {half[0], half[-1]} != {top, bottom}:
        half = half[1:] + half[:1]
    between = [v for v in middle if vertices[top, 1] < vertices[v, 1] < vertices[bottom, 1]]
    between = [int(v) for v in between if v not in half]
    return half + (between if half[-1] == top else between[::-1])


def triangulate(loop: list[int], flat: Points, free: list[int]) -> list[tuple[int, int, int]]:
    """Greedy triangulation of a polygon and the free vertices within: shortest edges first."""
    within = [v for v, yes in zip(free, inside(flat[loop], flat[free]), strict=True) if yes]
    edges = [(a, b) for a, b in zip(loop, loop[1:] + loop[:1], strict=True)]
    points = loop + within
    by_length = sorted(combinations(points, 2), key=lambda e: np.hypot(*(flat[e[0]] - flat[e[1]])))
    known = {frozenset(edge) for edge in edges}
    for a, b in by_length:
        centre = (flat[[a]] + flat[[b]]) / 2
        if frozenset((a, b)) in known or not inside(flat[loop], centre)[0]:
            continue
        if not any(crosses(flat, a, b, c, d) for c, d in edges):
            edges.append((a, b))
            known.add(frozenset((a, b)))
    found = []
    for trio in combinations(points, 3):
        if not all(frozenset(side) in known for side in combinations(trio, 2)):
            continue
        rest = [v for v in points if v not in trio]
        corner = flat[list(trio)]
        if inside(flat[loop], corner.mean(0)[None])[0] and not inside(corner, flat[rest]).any():
            found.append(trio)
    return found


def crosses(flat: Points, a: int, b: int, c: int, d: int) -> bool:
    """Whether two edges cross other than at a shared vertex."""
    if len({a, b, c, d}) < 4:
        return False

    def turn(p: int, q: int, r: int) -> bool:
        u, v = flat[q] - flat[p], flat[r] - flat[p]
        return bool(u[0] * v[1] - u[1] * v[0] > 0)

    return turn(a, b, c) != turn(a, b, d) and turn(c, d, a) != turn(c, d, b)


def all_triangles(vertices: Points, twin: NDArray[np.int32]) -> NDArray[np.int32]:
    """(T, 3) the triangles of both halves, turned so that they face the viewer when unfolded."""
    flat = unfold(vertices.astype(np.float32))
    middle = np.flatnonzero(twin == np.arange(VERTICES)).astype(np.int32)
    middle = middle[np.argsort(vertices[middle, 1])]
    loops = [c.where.loop for c in load_tree().atomic if isinstance(c.where, Loop)]
    halves = [right_half(list(loop), vertices, middle) for loop in loops]
    halves = [half for half in halves if len(half) > 2]
    on_borders = {v for half in halves for v in half} | set(middle.tolist())
    free = [v for v in range(VERTICES) if vertices[v, 0] < 0 and v not in on_borders]
    right = [trio for half in halves for trio in triangulate(half, flat, free)]
    trios = np.array(right + [tuple(twin[list(trio)]) for trio in right], np.int32)
    a, b, c = flat[trios].transpose(1, 0, 2)
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    trios[area < 0] = trios[area < 0][:, ::-1]
    return trios


def main() -> None:
    """Writes `mesh_data.json` beside this file."""
    pairs = measured_twice()
    twin = mirror_table(pairs)
    vertices = symmetric_mean(pairs, twin)
    triangles = all_triangles(vertices, twin)
    rows = {"vertices": vertices.tolist(), "mirror": twin.tolist(), "triangles": triangles.tolist()}
    text = ",\n".join(
        f'"{key}": [\n' + ",\n".join(json.dumps(row) for row in value) + "\n]"
        for key, value in rows.items()
    )
    MESH_FILE.write_text("{\n" + text + "\n}\n")
    print(f"{MESH_FILE.name}: {len(vertices)} vertices, {len(triangles)} triangles")


if __name__ == "__main__":
    main()
