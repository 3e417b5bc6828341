from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fict.headpose import FAR_SIDE_DEG, coarsen_far_side, pose_of
from fict.labelmap import label_map
from fict.mesh import load_mesh
from fict.tree import load_tree

TREE = load_tree()
MESH = load_mesh()
SIZE = 512
angles = st.floats(-60, 60)


def head(yaw, pitch, roll):
    """The canonical mesh, turned: elementary rotations by OpenCV, not by what is tested."""
    axes = np.eye(3) * np.deg2rad([pitch, -yaw, roll])[:, None]
    about_x, about_y, about_z = (cv2.Rodrigues(axis)[0] for axis in axes)
    return MESH.vertices.astype(float) @ (about_z @ about_y @ about_x).T


def in_crop(points, size=SIZE):
    """Landmarks with irises in the middle of their eyes, in the middle of a crop."""
    irises = [points[list(eye)].mean(0) for eye in ((33, 133), (263, 362)) for _ in range(5)]
    whole = np.vstack([points, irises]) * 0.3 * size
    whole[:, :2] += size / 2 - (whole[:, :2].min(0) + whole[:, :2].max(0)) / 2
    return whole.astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(angles, angles, angles, st.floats(20, 400), st.integers(0, 2**32 - 1))
def test_the_pose_of_a_turned_mesh_is_its_turn(yaw, pitch, roll, scale, seed):
    noise = np.random.default_rng(seed).normal(0, 0.01, (468, 3))
    found = pose_of((head(yaw, pitch, roll) + noise) * scale + [300, 200, 7])
    assert abs(found.yaw - yaw) < 2
    assert abs(found.pitch - pitch) < 2
    assert abs(found.roll - roll) < 2


def test_signs_are_those_of_the_picture():
    nose, chin, top = 4, 152, 10
    right, down, leaning = head(30, 0, 0), head(0, 20, 0), head(0, 0, 15)
    assert right[nose, 0] > 0, "a face of yaw 30 looks to the picture's right"
    assert down[nose, 1] > MESH.vertices[nose, 1], "a face of pitch 20 looks down"
    assert leaning[top, 0] > leaning[chin, 0], "a face of roll 15 leans clockwise"
    for points, pose in ((right, (30, 0, 0)), (down, (0, 20, 0)), (leaning, (0, 0, 15))):
        found = pose_of(points)
        assert (found.yaw, found.pitch, found.roll) == pytest.approx(pose, abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(angles, angles, angles)
def test_a_mirrored_face_looks_the_other_way(yaw, pitch, roll):
    points = head(yaw, pitch, roll)
    one, other = pose_of(points), pose_of(points[MESH.mirror[:468]] * [-1, 1, 1])
    assert (other.yaw, other.pitch, other.roll) == pytest.approx(
        (-one.yaw, one.pitch, -one.roll), abs=0.01
    )


@pytest.mark.parametrize("degrees", [-20, 20])
def test_a_turned_picture_turns_the_pose(portrait, backend, turned, degrees):
    image, face = portrait
    picture, _ = turned(image, degrees)
    before, after = pose_of(face.landmarks), pose_of(backend.detect(picture)[0].landmarks)
    assert after.roll - before.roll == pytest.approx(-degrees, abs=2)
    assert after.yaw == pytest.approx(before.yaw, abs=5)
    assert after.pitch == pytest.approx(before.pitch, abs=5)


def test_portraits_look_at_the_camera(portrait):
    pose = pose_of(portrait[1].landmarks)
    assert max(abs(pose.yaw), abs(pose.pitch), abs(pose.roll)) < 6


@pytest.mark.parametrize(("yaw", "far", "near"), [(70, "left", "right"), (-70, "right", "left")])
def test_the_side_turned_away_is_told_by_its_parents(yaw, far, near):
    labels = label_map(in_crop(head(yaw, 0, 0)), SIZE, TREE)
    coarse = coarsen_far_side(labels, yaw, TREE)
    left = set(np.unique(coarse).tolist())
    sides = {TREE.by_id[k].side for k in left if TREE.is_atomic(TREE.by_id[k])}
    assert far not in sides
    assert near in sides
    seen = {k for k in np.unique(labels).tolist() if TREE.by_id[k].side == far}
    assert seen, "something of the far side is seen at 70 degrees"
    for k in seen:
        assert (coarse[labels == k] == TREE.by_name[TREE.by_id[k].parent].id).all()
    changed = {TREE.by_id[k].side for k in np.unique(labels[coarse != labels]).tolist()}
    assert changed == {far}


@settings(max_examples=30, deadline=None)
@given(st.floats(-90, 90), st.integers(0, 2**32 - 1))
def test_coarsening_keeps_every_ancestor(yaw, seed):
    ids = [concept.id for concept in TREE.concepts]
    labels = np.random.default_rng(seed).choice(ids, (16, 16)).astype(np.uint8)
    coarse = coarsen_far_side(labels, yaw, TREE)
    assert np.array_equal(coarsen_far_side(coarse, yaw, TREE), coarse)
    if abs(yaw) <= FAR_SIDE_DEG:
        assert np.array_equal(coarse, labels)
    for k, c in set(zip(labels.ravel().tolist(), coarse.ravel().tolist(), strict=True)):
        assert c == k or TREE.by_id[k].parent == TREE.by_id[c].name
    mirrored = coarsen_far_side(TREE.mirror[labels], -yaw, TREE)
    assert np.array_equal(TREE.mirror[coarse], mirrored)
