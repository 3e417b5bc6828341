"""Which frames are worth annotating: each gate with its reason, value and threshold."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.data import astronaut

from fict.landmarks import Face, MeshLandmarks
from fict.mesh import load_mesh
from fict.tree import load_tree
from schemas.errors import Rejected, RejectReason
from schemas.gates import Gates
from schemas.manifest import Measure
from sources.crop import crop_clip
from sources.gates import (
    check_face,
    check_hidden,
    check_sharpness,
    face_px,
    hidden_share,
    sharpness_of,
)
from sources.pairs import FramePair
from sources.tracking import FaceSearch

FINDER = MeshLandmarks()
TREE = load_tree()
FRAME = cv2.resize(astronaut()[:320, 40:460], (840, 640), interpolation=cv2.INTER_CUBIC)
INSIDE = np.ones((64, 64), np.bool_)


def only(**thresholds):
    """Gates of which all but the named are off."""
    return Gates(**(dict.fromkeys(Gates.model_fields) | thresholds))


def cropped(frame, gates):
    return crop_clip([FramePair(7, 0.0, frame, frame)], FaceSearch(FINDER), Measure(gates=gates))


def a_head(yaw=0.0, pitch=0.0, roll=0.0, size=200.0):
    """The canonical face of a width, turned by degrees, in the middle of a frame of 640 x 480."""
    vertices = load_mesh().vertices.astype(float)
    axes = np.eye(3) * np.deg2rad([pitch, -yaw, roll])[:, None]
    about_x, about_y, about_z = (cv2.Rodrigues(axis)[0] for axis in axes)
    points = vertices @ (about_z @ about_y @ about_x).T
    points *= size / float(np.ptp(points[:, :2], axis=0).max())
    points = np.vstack([points, np.zeros((10, 3))]) + np.array([320, 240, 0])
    mesh = points[:468, :2]
    box = np.concatenate([mesh.min(0), mesh.max(0)]).astype(np.float32)
    return Face(box, 40.0, points.astype(np.float32))


@pytest.mark.parametrize(
    ("gates", "face", "reason", "detail"),
    [
        ({"max_yaw_deg": 30}, a_head(yaw=50), RejectReason.TURNED_FACE,
         "the yaw of the face in frame 7 is 50 degrees, more than 30"),
        ({"max_yaw_deg": 30}, a_head(yaw=-50), RejectReason.TURNED_FACE, "is 50 degrees"),
        ({"max_pitch_deg": 30}, a_head(pitch=-50), RejectReason.TURNED_FACE, "the pitch"),
        ({"max_roll_deg": 30}, a_head(roll=50), RejectReason.TURNED_FACE, "the roll"),
        ({"min_face_px": 60}, a_head(size=50), RejectReason.SMALL_FACE,
         "the face in frame 7 is 50 pixels large, less than 60"),
    ],
)  # fmt: skip
def test_a_gate_says_what_it_found_and_what_it_wants(gates, face, reason, detail):
    with pytest.raises(Rejected, match=detail) as caught:
        check_face(face, 7, only(**gates))
    assert caught.value.reason is reason
    check_face(face, 7, only())


angles = st.floats(-85, 85)


@settings(max_examples=50, deadline=None)
@given(angles, st.floats(-60, 60), st.floats(20, 500), st.floats(5, 90), st.floats(10, 300))
def test_a_stricter_gate_lets_fewer_pass(yaw, pitch, size, most, least):
    def passes(gates):
        try:
            check_face(a_head(yaw, pitch, size=size), 0, gates)
        except Rejected:
            return False
        return True

    strict = Gates(max_yaw_deg=most, max_pitch_deg=most, min_face_px=least)
    loose = Gates(max_yaw_deg=90, max_pitch_deg=90, min_face_px=least / 2)
    assert not passes(strict) or passes(loose)
    fits = abs(yaw) < most - 0.01 and abs(pitch) < most - 0.01 and size > least + 0.1
    assert passes(strict) or not fits


def test_the_gates_stop_the_frames_of_a_clip():
    for gates, reason in (
        (only(min_face_px=2000), RejectReason.SMALL_FACE),
        (only(min_sharpness=50), RejectReason.BLURRED_FACE),
        (only(max_roll_deg=1), RejectReason.TURNED_FACE),
    ):
        crops, rejected = cropped(FRAME, gates)
        assert crops == []
        assert rejected[7].reason is reason


def test_the_view_of_a_crop_is_that_of_its_frame():
    turn = cv2.getRotationMatrix2D((420, 320), -20, 1.0)
    frame = cv2.warpAffine(FRAME, turn, (840, 640), borderMode=cv2.BORDER_REFLECT)
    [plain], [leaning] = (cropped(each, Gates())[0] for each in (FRAME, frame))
    assert leaning.view.pose.roll - plain.view.pose.roll == pytest.approx(20, abs=3)
    [half] = cropped(cv2.resize(FRAME, None, fx=0.5, fy=0.5, interpolation=3), Gates())[0]
    assert half.view.face_px == pytest.approx(plain.view.face_px / 2, rel=0.05)
    assert plain.view.face_px == pytest.approx(face_px(FINDER.detect(FRAME)[0]), rel=0.01)


@pytest.mark.parametrize("scale", [0.4, 1.0, 1.6])
def test_a_blurred_face_is_less_sharp_at_any_size(scale):
    picture = cv2.resize(FRAME, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    width = face_px(FINDER.detect(picture)[0])
    seen = []
    for blur in (0.0, 0.01, 0.02, 0.04):
        frame = cv2.GaussianBlur(picture, (0, 0), max(blur * width, 1e-3)) if blur else picture
        crops, _ = cropped(frame, only())
        seen += [crop.view.sharpness for crop in crops]
    assert seen == sorted(seen, reverse=True)
    assert seen[0] > 0.15
    assert seen[-1] < 0.1 * seen[0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.3, 0.9))
def test_sharpness_does_not_depend_on_contrast(seed, contrast):
    picture = np.random.default_rng(seed).integers(0, 256, (64, 64, 3)).astype(np.float32)
    plain, faint = (np.rint(128 + c * (picture - 128)).astype(np.uint8) for c in (1, contrast))
    assert sharpness_of(faint, INSIDE, 1.0) == pytest.approx(
        sharpness_of(plain, INSIDE, 1.0), rel=0.1
    )


def test_a_flat_face_is_not_sharp():
    assert sharpness_of(np.full((64, 64, 3), 90, np.uint8), INSIDE, 1.0) == 0.0
    assert sharpness_of(np.full((64, 64, 3), 90, np.uint8), ~INSIDE, 1.0) == 0.0
    with pytest.raises(Rejected, match=r"frame 3 is 0\.0000, less than 0\.01") as caught:
        check_sharpness(0.0, 3, Gates())
    assert caught.value.reason is RejectReason.BLURRED_FACE


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 64), st.sampled_from(["occluder", "hat", "hair fringe", "clothing"]))
def test_the_hidden_share_is_that_of_the_pixels(rows, name):
    labels = np.full((64, 64), TREE.by_name["right front cheek"].id, np.uint8)
    labels[:rows] = TREE.by_name[name].id
    share = hidden_share(labels, INSIDE, TREE)
    assert share is None if rows == 0 else share == pytest.approx(rows / 64)


def test_beards_and_glasses_hide_nothing_and_a_mesh_cannot_tell():
    labels = np.full((64, 64), TREE.by_name["right front cheek"].id, np.uint8)
    labels[:20], labels[20:30] = TREE.by_name["beard"].id, TREE.by_name["left lens"].id
    assert hidden_share(labels, INSIDE, TREE) == 0.0
    labels[:] = TREE.by_name["surroundings"].id
    assert hidden_share(labels, INSIDE, TREE) is None
    check_hidden(None, 0, Gates())
    with pytest.raises(Rejected, match="70% of the face in frame 2 is hidden, more than 60%"):
        check_hidden(0.7, 2, Gates())


def test_the_defaults_keep_a_plain_face():
    crops, rejected = cropped(FRAME, Gates())
    assert len(crops) == 1
    assert not rejected
