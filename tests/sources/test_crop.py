import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.data import astronaut

from fict.landmarks import MeshLandmarks
from schemas.errors import RejectReason
from schemas.manifest import Measure
from sources.crop import compose, crop_affine, crop_clip, transform, warp
from sources.pairs import MIRRORED, SHIFTED, FramePair
from sources.tracking import FaceSearch

SETTINGS = Measure()
FRAME = cv2.resize(astronaut()[:320, 40:460], (840, 640), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def finder():
    return MeshLandmarks()


def noisy(image, seed):
    grain = np.random.default_rng(seed).normal(0, 2, image.shape)
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def moved(image, scale=1.0, turn=0.0, x=0.0, y=0.0):
    height, width = image.shape[:2]
    affine = cv2.getRotationMatrix2D((width / 2, height / 2), turn, scale)
    affine[:, 2] += (x, y)
    return cv2.warpAffine(image, affine, (width, height), borderMode=cv2.BORDER_REFLECT)


def crop_of(real, fake, finder):
    return crop_clip([FramePair(0, 0.0, real, fake)], FaceSearch(finder), SETTINGS)


def test_the_face_is_upright_and_in_the_middle(finder):
    for turn in (-25, 0, 25):
        frame = moved(FRAME, turn=turn)
        [crop], _ = crop_of(frame, frame, finder)
        right, left = crop.landmarks[33], crop.landmarks[263]
        assert abs(left[1] - right[1]) < 1.0
        assert left[0] > right[0]  # the subject's left is on the picture's right
        middle = (crop.landmarks[:, :2].min(0) + crop.landmarks[:, :2].max(0)) / 2
        assert np.abs(middle - 256).max() < 8
        assert crop.real.shape == crop.fake.shape == (512, 512, 3)
        assert np.array_equal(crop.real, crop.fake)


def test_landmarks_move_with_the_pixels(finder):
    face = finder.detect(FRAME)[0]
    affine = crop_affine(face.landmarks, 512, SETTINGS.crop_margin)
    again = finder.track(warp(FRAME, affine, 512), face.__class__(
        face.box_xyxy, face.score, transform(face.landmarks, affine)
    ))  # fmt: skip
    apart = np.linalg.norm((again.landmarks - transform(face.landmarks, affine))[:, :2], axis=1)
    assert np.median(apart) < 4


@pytest.mark.parametrize(
    "shift",
    [{"x": 3.0}, {"x": -7.0, "y": 4.0}, {"scale": 1.05}, {"scale": 0.95, "x": 5}, {"turn": 1.5}],
)
def test_sides_that_are_moved_or_scaled_are_laid_on_each_other(finder, shift):
    [crop], rejected = crop_of(noisy(FRAME, 1), noisy(moved(FRAME, **shift), 2), finder)
    assert not rejected
    assert crop.repairs == ("registered",)
    assert crop.registration_px < 0.3
    difference = cv2.absdiff(crop.real, crop.fake)[crop.valid]
    assert difference.mean() < 4


def test_sides_that_lie_well_are_left_as_they_are(finder):
    [crop], _ = crop_of(noisy(FRAME, 1), noisy(FRAME, 2), finder)
    assert crop.repairs == ()
    assert crop.registration_px < 0.2


@pytest.mark.parametrize(("shift", "more"), [(0.0, ()), (5.0, ("registered",))])
def test_the_affine_of_a_mirrored_fake_maps_the_files_own_pixels(finder, shift, more):
    real, fake = noisy(FRAME, 1), noisy(moved(FRAME, x=shift), 2)
    in_file = np.ascontiguousarray(fake[:, ::-1])
    frame = FramePair(3, 0.1, real, fake, frame_offset=-2, repairs=(SHIFTED, MIRRORED))
    [crop], _ = crop_clip([frame], FaceSearch(finder), SETTINGS)
    assert crop.repairs == (SHIFTED, MIRRORED, *more)
    assert (crop.index, crop.frame_offset) == (3, -2)
    again = warp(in_file, crop.fake_affine, SETTINGS.crop_size)
    assert cv2.absdiff(again, crop.fake)[crop.valid].mean() < 0.5
    assert np.linalg.det(crop.fake_affine[:, :2]) < 0 < np.linalg.det(crop.affine[:, :2])


def test_sides_that_show_different_pictures_are_not_forced_together(finder):
    other = np.ascontiguousarray(np.roll(FRAME, 90, axis=1)[::-1])
    crops, rejected = crop_of(FRAME, other, finder)
    assert all(crop.repairs == () for crop in crops)
    assert all(one.reason is RejectReason.MISREGISTERED for one in rejected.values())


def test_a_face_that_leaves_the_frame_is_rejected_with_its_share(finder):
    cut = np.ascontiguousarray(FRAME[:, 395:])
    crops, rejected = crop_of(cut, cut, finder)
    assert crops == []
    assert rejected[0].reason in (RejectReason.FACE_LEFT_FRAME, RejectReason.NO_FACE)


def test_a_poor_face_is_rejected_with_its_score(finder):
    strict = Measure(min_face_score=99)
    crops, rejected = crop_clip([FramePair(4, 0.0, FRAME, FRAME)], FaceSearch(finder), strict)
    assert crops == []
    assert rejected[4].reason is RejectReason.POOR_FACE
    assert "below 99" in rejected[4].detail


def test_of_several_faces_the_changed_one_is_followed(finder):
    half = cv2.resize(astronaut()[:300, 60:380], (480, 450))
    two = np.ascontiguousarray(np.hstack([half, half]))
    for side in (0, 480):
        fake = two.copy()
        face = next(f for f in finder.detect(two) if side <= f.box_xyxy[0] < side + 480)
        x0, y0, x1, y1 = (int(v) for v in face.box_xyxy)
        fake[(y0 + y1) // 2 : y1, x0:x1] = 255 - fake[(y0 + y1) // 2 : y1, x0:x1]
        frames = [FramePair(n, n / 25, two, fake if n == 1 else two) for n in range(3)]
        crops, _ = crop_clip(frames, FaceSearch(finder), SETTINGS)
        for crop in crops:
            back = cv2.invertAffineTransform(crop.affine)
            centre = back @ [256, 256, 1]
            assert side <= centre[0] < side + 480
            assert crop.faces_in_frame == 2


def test_a_face_that_is_missed_is_not_swapped_for_a_bystander(finder):
    half = cv2.resize(astronaut()[:300, 60:380], (480, 450))
    blank = np.full_like(half, 120)
    both, other = np.hstack([half, half]), np.hstack([blank, half])
    fake = both.copy()
    face = next(f for f in finder.detect(both) if f.box_xyxy[0] < 480)
    x0, y0, x1, y1 = (int(v) for v in face.box_xyxy)
    fake[(y0 + y1) // 2 : y1, x0:x1] = 255 - fake[(y0 + y1) // 2 : y1, x0:x1]
    frames = [FramePair(n, n / 25, r, f) for n, (r, f) in
              enumerate([(both, fake), (other, other), (both, fake)])]  # fmt: skip
    crops, rejected = crop_clip(frames, FaceSearch(finder), SETTINGS)
    assert [crop.index for crop in crops] == [0, 2]
    assert rejected[1].reason is RejectReason.NO_FACE
    for crop in crops:
        assert (cv2.invertAffineTransform(crop.affine) @ [256, 256, 1])[0] < 480


@settings(max_examples=30)
@given(st.lists(st.floats(-2, 2), min_size=12, max_size=12), st.floats(-9, 9), st.floats(-9, 9))
def test_composing_maps_is_applying_one_after_the_other(numbers, x, y):
    outer, inner = np.array(numbers).reshape(2, 2, 3)
    point = np.array([x, y, 1.0])
    one_by_one = outer @ np.append(inner @ point, 1.0)
    assert np.allclose(compose(outer, inner) @ point, one_by_one)
