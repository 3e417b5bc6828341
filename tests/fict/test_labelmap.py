from __future__ import annotations

from collections import Counter
from itertools import combinations

import cv2
import numpy as np
import pytest

from fict.crop import upright_crop
from fict.derive_mesh import all_triangles
from fict.labelmap import PARSERS, label_map, regions_of
from fict.mesh import load_mesh
from fict.openings import LOWER_LINE, UPPER_LINE, seam_between_rows, tooth_like
from fict.paint import colour_of, legend, paint
from fict.tree import TREE_FILE, Inside, Loop, Parsing, TreeError, load_tree, read_tree

SIZE = 512
TREE = load_tree()
IDS = {concept.name: concept.id for concept in TREE.concepts}
GLABELLA = "[9, 107, 55, 8, 285, 336]"
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152,
    148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip


@pytest.fixture
def crop(portrait):
    image, face = portrait
    return upright_crop(image, face.landmarks, SIZE, 0.6)


@pytest.fixture
def labels(crop):
    return label_map(crop[1], SIZE, TREE, crop[0])


@pytest.fixture
def smile(pictures, faces):
    return upright_crop(pictures["astronaut"], faces["astronaut"].landmarks, SIZE, 0.6)


def centre(labels, name):
    below = [IDS[name], *(c.id for c in TREE.descendants_of(TREE.by_name[name]))]
    y, x = np.nonzero(np.isin(labels, below))
    assert len(x), name
    return float(x.mean()), float(y.mean())


def mirrored(points, size=SIZE):
    flipped = points[load_mesh().mirror]
    flipped[:, 0] = size - 1 - flipped[:, 0]
    return flipped


# ---- the mesh


def test_the_mesh_is_closed_but_for_its_openings():
    mesh = load_mesh()
    edges = Counter(
        frozenset(edge) for trio in mesh.triangles.tolist() for edge in combinations(trio, 2)
    )
    rims = {c.where.inside for c in TREE.atomic if isinstance(c.where, Inside)}
    loops = [FACE_OVAL, *rims]
    borders = {frozenset(e) for loop in loops for e in zip(loop, loop[1:] + loop[:1], strict=True)}
    assert max(edges.values()) == 2
    assert {edge for edge, times in edges.items() if times == 1} == borders


def test_the_mesh_is_symmetric():
    mesh = load_mesh()
    vertex = mesh.mirror[:468]
    assert np.array_equal(mesh.mirror[mesh.mirror], np.arange(478))
    assert np.allclose(mesh.vertices[vertex] * [-1, 1, 1], mesh.vertices, atol=1e-4)
    trios = {frozenset(trio) for trio in mesh.triangles.tolist()}
    assert {frozenset(vertex[list(trio)].tolist()) for trio in trios} == trios
    assert vertex[33] == 263
    assert vertex[61] == 291


def test_the_triangles_are_those_that_the_script_derives():
    mesh = load_mesh()
    derived = all_triangles(mesh.vertices.astype(np.float64), mesh.mirror[:468])
    assert np.array_equal(derived, mesh.triangles)


def test_loops_cover_the_face_once():
    counts = Counter(i for region in regions_of(TREE) for i in region.triangles.tolist())
    assert set(counts) == set(range(len(load_mesh().triangles)))
    assert set(counts.values()) == {1}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (GLABELLA, "[9, 107, 55, 285, 336]", r"the edge \(55, 285\), which the mesh lacks"),
        (GLABELLA, "[9, 107, 55]", "lies in no loop"),
        (GLABELLA, "[10, 109, 108, 151, 337, 338]", "'middle upper forehead' overlap"),
    ],
)
def test_a_gap_or_an_overlap_is_named(tmp_path, old, new, message):
    text = TREE_FILE.read_text()
    assert old in text
    broken = tmp_path / "fict.yaml"
    broken.write_text(text.replace(old, new))
    with pytest.raises(TreeError, match=message):
        regions_of(read_tree(broken))


# ---- what a label map holds


def test_every_pixel_has_one_known_id(labels):
    assert labels.shape == (SIZE, SIZE)
    assert labels.dtype == np.uint8
    assert set(np.unique(labels).tolist()) <= {concept.id for concept in TREE.concepts}
    assert TREE.counts(labels)[TREE.root.id] == SIZE * SIZE


def test_the_face_is_atomic_and_the_rest_is_not_guessed(crop, labels):
    points = crop[1]
    oval, mesh = np.zeros((2, SIZE, SIZE), np.uint8)
    corners = points[:, :2].round().astype(np.int32)
    cv2.fillPoly(oval, [corners[list(FACE_OVAL)]], 1)
    for shape in [*corners[load_mesh().triangles], corners[list(FACE_OVAL)]]:
        cv2.fillPoly(mesh, [shape], 1)
    around = np.ones((3, 3), np.uint8)
    within, without = cv2.erode(oval, around) > 0, cv2.dilate(mesh, around) == 0
    coarse = set(np.unique(labels[within]).tolist()) - set(range(1, 113))
    assert coarse <= {IDS["inner mouth"]}
    assert np.unique(labels[without]).tolist() == [IDS["surroundings"]]
    unseen = {c.id for c in TREE.atomic if isinstance(c.where, Parsing)}
    assert not unseen & set(np.unique(labels).tolist())


def test_every_loop_and_eye_part_is_seen_on_a_frontal_face(labels):
    counts = TREE.counts(labels)
    for concept in TREE.atomic:
        if isinstance(concept.where, Loop) or "eyeball" in concept.parent:
            assert counts[concept.id] >= 20, concept.name


def test_coarse_maps_are_the_union_of_their_children(labels):
    lifted = TREE.lookup_table("parent")[labels]
    for concept in TREE.concepts:
        if TREE.is_atomic(concept):
            assert not (lifted == concept.id).any()
            continue
        atomic = [c.id for c in TREE.children_of(concept) if TREE.is_atomic(c)]
        assert np.array_equal(lifted == concept.id, np.isin(labels, [concept.id, *atomic]))


@pytest.mark.parametrize("degrees", [0, 20, -20])
def test_mirror_law(crop, degrees):
    points = crop[1].copy()
    turn = cv2.getRotationMatrix2D(((SIZE - 1) / 2, (SIZE - 1) / 2), degrees, 1.0)
    points[:, :2] = points[:, :2] @ turn[:, :2].T + turn[:, 2]
    there = label_map(points, SIZE, TREE)
    back = TREE.mirror[label_map(mirrored(points), SIZE, TREE)[:, ::-1]]
    differs = there != back
    assert differs.mean() < 0.02
    near_border = np.zeros_like(differs)
    for axis in (0, 1):
        for step in (-1, 1):
            near_border |= np.roll(there, step, axis) != there
    assert not differs[
        ~cv2.dilate(near_border.astype(np.uint8), np.ones((3, 3))).astype(bool)
    ].any()


def test_a_moved_face_moves_its_map(crop):
    points = crop[1].copy()
    before = label_map(points, SIZE, TREE)
    points[:, :2] += (11, -7)
    after = label_map(points, SIZE, TREE)
    assert np.array_equal(np.roll(before, (-7, 11), (0, 1))[20:-20, 20:-20], after[20:-20, 20:-20])


def test_parsers_are_chosen_by_name(crop, labels):
    assert np.array_equal(PARSERS["mesh"](*crop, TREE), labels)


# ---- anatomy


LEFT_TO_RIGHT = [
    ("right eyebrow", "nose", "left eyebrow"),
    ("right eyebrow tail", "right eyebrow body", "right eyebrow head", "glabella"),
    ("glabella", "left eyebrow head", "left eyebrow body", "left eyebrow tail"),
    ("right crow's-foot area", "right outer canthus", "right iris", "right inner canthus", "nose"),
    ("nose", "left inner canthus", "left iris", "left outer canthus", "left crow's-foot area"),
    ("right temple", "right lower forehead", "middle lower forehead", "left lower forehead"),
    ("right nose wing", "right nostril", "columella", "left nostril", "left nose wing"),
    ("right nose side wall", "lower nose bridge", "left nose side wall"),
    ("right side cheek", "right lower cheek", "right nasolabial fold", "philtrum"),
    ("right cheekbone", "right front cheek", "nose", "left front cheek", "left cheekbone"),
    ("right mouth corner", "right upper lip", "middle upper lip", "left upper lip"),
    ("right lower lip", "middle lower lip", "left lower lip", "left mouth corner"),
    ("right jaw angle", "right jawline", "right chin", "middle chin", "left chin"),
]
TOP_TO_BOTTOM = [
    ("middle upper forehead", "middle lower forehead", "glabella", "nose root"),
    ("nose root", "upper nose bridge", "lower nose bridge", "nose tip"),
    ("upper nose bridge", "lower nose bridge", "nose tip", "columella", "philtrum"),
    ("philtrum", "middle upper lip", "middle lower lip", "labiomental fold", "middle chin"),
    ("right upper forehead", "right lower forehead", "right eyebrow", "right brow bone"),
    ("right brow bone", "right upper eyelid", "right pupil", "right lower eyelid"),
    ("right pupil", "right lower eyelid", "right under-eye"),
    ("left brow bone", "left upper eyelid", "left iris", "left lower eyelid", "left under-eye"),
    ("right under-eye", "right front cheek", "right lower cheek", "right jawline"),
    ("right temple", "right cheekbone", "right side cheek", "right jaw angle"),
    ("left temple", "left cheekbone", "left side cheek", "left jaw angle"),
    ("right nose side wall", "right nose wing", "right nostril", "right upper lip skin"),
    ("right nasolabial fold", "right mouth corner", "right marionette area", "right jawline"),
]  # fmt: skip


@pytest.mark.parametrize("names", LEFT_TO_RIGHT, ids="-".join)
def test_across_the_picture(labels, names):
    x = [centre(labels, name)[0] for name in names]
    assert x == sorted(x)


@pytest.mark.parametrize("names", TOP_TO_BOTTOM, ids="-".join)
def test_down_the_picture(labels, names):
    y = [centre(labels, name)[1] for name in names]
    assert y == sorted(y)


def test_nostrils_are_darker_than_the_skin_around(crop, labels):
    light = crop[0].mean(2)
    for side in ("right", "left"):
        hole = light[labels == IDS[f"{side} nostril"]].mean()
        assert hole < light[labels == IDS[f"{side} nose wing"]].mean()
        assert hole < light[labels == IDS[f"{side} upper lip skin"]].mean()


def test_eyebrows_are_darker_than_the_skin_around(smile):
    labels, light = label_map(smile[1], SIZE, TREE, smile[0]), smile[0].mean(2)
    for side in ("right", "left"):
        brow = light[labels == IDS[f"{side} eyebrow body"]].mean()
        assert brow < light[labels == IDS[f"{side} brow bone"]].mean()


def test_lips_are_redder_than_the_skin_around(crop, labels):
    red = crop[0][..., 0] / np.maximum(crop[0][..., 1], 1)
    assert (
        red[labels == IDS["middle lower lip"]].mean()
        > red[labels == IDS["labiomental fold"]].mean()
    )


# ---- openings


def test_a_smile_shows_upper_teeth(smile):
    labels = label_map(smile[1], SIZE, TREE, smile[0])
    counts = TREE.counts(labels)
    assert counts[IDS["upper teeth"]] > 0.3 * counts[IDS["inner mouth"]]
    assert counts[IDS["lower teeth"]] == 0
    teeth, rest = labels == IDS["upper teeth"], labels == IDS["inner mouth"]
    assert smile[0][teeth].mean() > 1.5 * smile[0][rest].mean()


def test_without_a_picture_no_teeth_are_told_apart(smile):
    labels = label_map(smile[1], SIZE, TREE)
    assert not np.isin(labels, [IDS["upper teeth"], IDS["lower teeth"]]).any()
    assert (labels == IDS["inner mouth"]).sum() > 200


def test_a_dark_mouth_has_no_teeth(smile):
    dark = np.full_like(smile[0], 30)
    labels = label_map(smile[1], SIZE, TREE, dark)
    assert not np.isin(labels, [IDS["upper teeth"], IDS["lower teeth"]]).any()


def test_a_dark_seam_parts_two_rows_of_teeth(smile):
    picture, points = smile[0].copy(), smile[1]
    meeting = (points[list(UPPER_LINE), :2] + points[list(LOWER_LINE), :2]) / 2
    opening = label_map(points, SIZE, TREE) == IDS["inner mouth"]
    picture[opening] = (235, 225, 210)
    cv2.polylines(picture, [meeting.round().astype(np.int32)], False, (40, 20, 20), 5)
    labels = label_map(points, SIZE, TREE, picture)
    upper, lower = centre(labels, "upper teeth"), centre(labels, "lower teeth")
    assert upper[1] + 4 < lower[1]
    assert TREE.counts(labels)[IDS["lower teeth"]] > 0.2 * opening.sum()


def test_teeth_that_hang_low_are_lower_teeth():
    opening = np.ones((40, 60), bool)
    height = (np.arange(40)[:, None] / 39 * np.ones(60)).astype(np.float32)[opening]
    crop = np.full((40, 60, 3), 30, np.uint8)
    crop[28:] = (230, 220, 200)
    teeth = tooth_like(crop, opening)
    assert teeth.sum() == 12 * 60
    assert seam_between_rows(crop, opening, teeth, height) == 0
    assert seam_between_rows(crop[::-1], opening, teeth[::-1], height) > 1


def test_gums_and_lips_are_no_teeth():
    opening = np.ones((10, 10), bool)
    for colour in ((205, 150, 135), (190, 120, 120), (90, 85, 80), (230, 120, 60)):
        assert not tooth_like(np.full((10, 10, 3), colour, np.uint8), opening).any(), colour
    for colour in ((240, 235, 225), (220, 200, 160), (140, 130, 110)):
        assert tooth_like(np.full((10, 10, 3), colour, np.uint8), opening).any(), colour


def test_closed_lips_meet(pictures, faces):
    crop, points = upright_crop(pictures["hopper"], faces["hopper"].landmarks, SIZE, 0.6)
    labels = label_map(points, SIZE, TREE, crop)
    assert not np.isin(labels, [IDS["inner mouth"], IDS["upper teeth"]]).any()
    column = labels[:, round(float(points[13, 0]))]
    runs = column[np.flatnonzero(np.diff(column, prepend=0))].tolist()
    at = runs.index(IDS["middle upper lip"])
    assert runs[at + 1] == IDS["middle lower lip"]


def test_a_closed_eye_is_eyelid(crop):
    points = crop[1].copy()
    where = TREE.by_name["right iris"].where
    rim = list(where.inside)
    points[rim, 1] = np.interp(points[rim, 0], *points[[33, 133], :2].T)
    labels = label_map(points, SIZE, TREE, crop[0])
    assert not np.isin(labels, [IDS[f"right {p}"] for p in ("sclera", "iris", "pupil")]).any()
    assert (labels == IDS["left iris"]).any()
    x, y = points[[33, 133], :2].mean(0).round().astype(int)
    assert labels[y - 1, x] == IDS["right upper eyelid"]


def test_the_pupil_lies_within_the_iris_within_the_opening(labels):
    for side in ("right", "left"):
        pupil, iris = (labels == IDS[f"{side} {part}"] for part in ("pupil", "iris"))
        ring = cv2.dilate(pupil.astype(np.uint8), np.ones((3, 3))).astype(bool) & ~pupil
        assert (iris & ring).sum() > 0.9 * ring.sum()
        assert 0.08 < pupil.sum() / (pupil.sum() + iris.sum()) < 0.35


def turned_head(degrees, unit=200):
    """The landmarks of the canonical face, turned around the vertical axis."""
    mesh = load_mesh()
    points = np.zeros((478, 3), np.float32)
    points[:468] = mesh.vertices
    points[468:473], points[473:] = mesh.vertices[159], mesh.vertices[386]
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    points = points @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], np.float32)
    return (points * unit + (SIZE / 2, SIZE / 3, 0)).astype(np.float32)


def counts_of_turned_head(degrees):
    return TREE.counts(label_map(turned_head(degrees), SIZE, TREE))


def nearest_surface(points):
    """(S, S) index of the nearest triangle at each pixel, -1 where none is: a depth buffer."""
    nearest = np.full((SIZE, SIZE), np.inf)
    owner = np.full((SIZE, SIZE), -1)
    for index, (a, b, c) in enumerate(points[load_mesh().triangles].astype(np.float64)):
        x0, y0 = np.floor(np.minimum(np.minimum(a, b), c)[:2]).astype(int)
        x1, y1 = np.ceil(np.maximum(np.maximum(a, b), c)[:2]).astype(int) + 1
        y, x = np.mgrid[y0:y1, x0:x1]
        area = (b - a)[0] * (c - a)[1] - (b - a)[1] * (c - a)[0]
        if area <= 0:
            continue
        v = ((x - a[0]) * (c - a)[1] - (y - a[1]) * (c - a)[0]) / area
        w = ((b - a)[0] * (y - a[1]) - (b - a)[1] * (x - a[0])) / area
        depth = a[2] + v * (b - a)[2] + w * (c - a)[2]
        hit = (v >= 0) & (w >= 0) & (v + w <= 1) & (depth < nearest[y0:y1, x0:x1])
        nearest[y0:y1, x0:x1][hit] = depth[hit]
        owner[y0:y1, x0:x1][hit] = index
    return owner


@pytest.mark.parametrize("degrees", [0, 30, -45, 60, -75])
def test_the_nearest_surface_is_what_is_seen(degrees):
    points = turned_head(degrees, unit=150)
    region_of = np.zeros(len(load_mesh().triangles) + 1, np.uint8)
    for region in regions_of(TREE):
        region_of[region.triangles] = region.id
    surface = nearest_surface(points)
    labels = label_map(points, SIZE, TREE)
    seen = np.where(surface >= 0, region_of[surface], 0).astype(np.uint8)
    around = np.ones((3, 3), np.uint8)
    inner = (cv2.erode(seen, around) == cv2.dilate(seen, around)) & (seen > 0)
    assert inner.sum() > 10_000
    assert (labels[inner] == seen[inner]).mean() > 0.998


@pytest.mark.parametrize(("degrees", "far"), [(60, "left"), (-60, "right")])
def test_a_head_turned_away_hides_its_far_side(degrees, far):
    near = {"left": "right", "right": "left"}[far]
    counts = counts_of_turned_head(degrees)
    assert counts[IDS[f"{near} cheekbone"]] > 1000
    assert counts[IDS[f"{far} cheekbone"]] < 0.1 * counts[IDS[f"{near} cheekbone"]]
    assert counts[IDS["nose tip"]] > 0
    profile = counts_of_turned_head(1.4 * degrees)
    assert profile[IDS[f"{far} eyeball"]] == 0
    assert profile[IDS[f"{near} eyeball"]] > 100


# ---- pictures of a label map


def test_painting_colours_what_is_selected(crop, labels):
    only = paint(*[crop[0], labels, TREE], selected=[IDS["right eye"]], opacity=1.0)
    eye = [c.id for c in TREE.descendants_of(TREE.by_name["right eye"])]
    inside = cv2.erode(np.isin(labels, eye).astype(np.uint8), np.ones((5, 5))).astype(bool)
    outside = ~cv2.dilate(np.isin(labels, eye).astype(np.uint8), np.ones((5, 5))).astype(bool)
    assert (only[inside] == colour_of(IDS["right eye"])).all()
    assert np.array_equal(only[outside], crop[0][outside])


def test_colours_are_distinct():
    colours = {colour_of(concept.id) for concept in TREE.concepts}
    assert len(colours) == len(TREE.concepts)


def test_the_legend_shows_every_colour():
    picture = legend(TREE, range(1, 113), 600)
    assert picture.shape[0] == 600
    packed = np.unique(picture.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32))
    shown = {(value >> 16, value >> 8 & 255, value & 255) for value in packed.tolist()}
    assert {colour_of(i) for i in range(1, 113)} <= shown
