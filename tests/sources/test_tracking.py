"""Which faces are found in a clip, which is followed, and what is no face."""

import weakref

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from fict.derive_mesh import portraits
from fict.landmarks import Face, MeshLandmarks
from schemas.errors import RejectReason
from schemas.manifest import Measure
from sources.crop import crop_clip
from sources.pairs import FramePair
from sources.tracking import KEY_FRAMES, FaceSearch, cuts_of, faces_of_clip, follow_changed_face

FINDER = MeshLandmarks()
ASTRONAUT, HOPPER = portraits()
HEADS = tuple(
    np.ascontiguousarray(p) for p in (ASTRONAUT[40:210, 150:300], HOPPER[90:380, 120:400])
)


FAR = 199
"""Where the scripted backend sees a face only if it looks for small ones."""


class Counting:
    """A backend that counts its calls and may be told where it fails."""

    def __init__(self, lost=()):
        self.detected, self.tracked, self.lost = [], 0, set(lost)
        self.far = []

    def detect(self, image, *, far=True):
        frame = int(image[0, 0, 0])
        self.far += [frame] * far
        self.detected += [frame] * (self.detected[-1:] != [frame])
        return [a_face(x) for x in faces_in(image) if far or x != FAR]

    def track(self, image, previous):
        self.tracked += 1
        frame = int(image[0, 0, 0])
        near = [x for x in faces_in(image) if abs(x - previous.box_xyxy[0]) < 30]
        return a_face(near[0]) if near and frame not in self.lost else None


def a_face(x, score=40.0):
    points = np.full((478, 3), [x + 50, 50, 0], np.float32)
    return Face(np.array([x, 0, x + 100, 100], np.float32), score, points)


def faces_in(image):
    return [int(x) for x in image[0, 1:4, 0] if x]


def a_frame(number, *places):
    image = np.full((8, 400, 3), 100, np.uint8)
    image[0, :4] = 0
    image[0, 0] = number
    for k, x in enumerate(places, 1):
        image[0, k] = x
    return image


def clip_of(places_of):
    return [a_frame(k, *places) for k, places in enumerate(places_of)]


def found_in(images, finder, cuts=None):
    found = faces_of_clip(images, cuts or [False] * len(images), finder)
    return [[float(face.box_xyxy[0]) for face in faces] for faces in found]


# ---- what is followed, with a scripted backend


def test_a_face_is_searched_in_key_frames_and_followed_in_between():
    finder = Counting()
    images = clip_of([(10 + k,) for k in range(2 * KEY_FRAMES)])
    assert found_in(images, finder) == [[10.0 + k] for k in range(2 * KEY_FRAMES)]
    assert finder.detected == [0, KEY_FRAMES, 2 * KEY_FRAMES - 1]


def test_a_lost_face_is_searched_at_once():
    finder = Counting(lost=[3])
    assert found_in(clip_of([(10,)] * 8), finder) == [[10.0]] * 8
    assert finder.detected == [0, 3, 7]


def test_a_newcomer_is_found_in_the_frames_before_the_key_frame_too():
    clip = [(10,)] * 4 + [(10, 200)] * 5
    assert found_in(clip_of(clip), Counting()) == [list(map(float, one)) for one in clip]


def test_small_faces_are_looked_for_where_they_may_be():
    """At first, and wherever one that is known does not show without."""
    finder = Counting()
    there = [[10.0, float(FAR)]] * (KEY_FRAMES + 2)
    assert found_in(clip_of([(10, FAR)] * (KEY_FRAMES + 2)), finder) == there
    assert finder.far == [0, KEY_FRAMES, KEY_FRAMES + 1]
    finder = Counting()
    found_in(clip_of([(10,)] * (KEY_FRAMES + 2)), finder)
    assert finder.far == [0]


def test_a_small_face_is_not_taken_for_a_newcomer():
    clip = [(FAR,)] * 4 + [(10, FAR)] * 4
    assert found_in(clip_of(clip), Counting()) == [list(map(float, one)) for one in clip]


def test_after_a_cut_faces_are_searched():
    finder = Counting()
    cuts = [k == 2 for k in range(6)]
    assert found_in(clip_of([(10,)] * 2 + [(250,)] * 4), finder, cuts)[2:] == [[250.0]] * 4
    assert finder.detected == [0, 2, 5]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from([10, 140, 255]), max_size=3, unique=True), max_size=30))
def test_following_finds_no_face_that_is_not_there(places):
    seen = found_in(clip_of(places), Counting())
    for found, there in zip(seen, places, strict=True):
        assert set(found) <= {float(x) for x in there}
    for k in {0, len(places) - 1} if places else ():
        assert sorted(seen[k]) == sorted(map(float, places[k]))


def test_a_poor_face_is_followed_only_where_there_is_no_other():
    real = np.full((120, 400, 3), 90, np.uint8)
    fake = real.copy()
    fake[:100, 200:300] += 90
    frames = [FramePair(0, 0.0, real, fake)]
    assert follow_changed_face(frames, [[a_face(0), a_face(200, 4.0)]])[0].box_xyxy[0] == 0
    assert follow_changed_face(frames, [[a_face(200, 4.0)]])[0].box_xyxy[0] == 200


def test_noise_and_light_are_no_cut_but_another_scene_is():
    rng = np.random.default_rng(0)
    picture = cv2.resize(ASTRONAUT, (640, 480))
    noisy = [np.clip(picture + rng.normal(0, 8, picture.shape), 0, 255) for _ in range(2)]
    brighter, other = picture * 1.08, cv2.resize(skimage.data.coffee(), (640, 480))
    images = [np.clip(each, 0, 255).astype(np.uint8) for each in (*noisy, brighter, other, other)]
    assert cuts_of(images) == [False, False, False, True, False]
    assert cuts_of([]) == []


# ---- real pictures


def collage(widths, size=(720, 1280), background=None):
    """Faces of these widths in a row, and their middles."""
    base = skimage.data.coffee() if background is None else background
    canvas = cv2.resize(base, size[::-1])
    middles = []
    for k, width in enumerate(widths):
        head = HEADS[k % 2]
        face = FINDER.detect(head)[0].box_xyxy
        scale = width / (face[2] - face[0])
        small = cv2.resize(head, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        y, x = 30 + 97 * (k % 3), 10 + k * size[1] // len(widths)
        canvas[y : y + small.shape[0], x : x + small.shape[1]] = small
        middles.append((face[:2] + face[2:]) / 2 * scale + (x, y))
    return canvas, np.array(middles)


@pytest.mark.parametrize("size", [(480, 640), (600, 800), (720, 1280), (1080, 1920)])
def test_faces_of_60_to_120_pixels_are_found_and_no_other(size):
    widths = (60, 80, 120)
    picture, middles = collage(widths, size)
    found = FINDER.detect(picture)
    assert len(found) == len(widths)
    for middle, width in zip(middles, widths, strict=True):
        boxes = np.stack([face.box_xyxy for face in found])
        assert np.abs((boxes[:, :2] + boxes[:, 2:]) / 2 - middle).max(1).min() < 0.25 * width


@pytest.mark.parametrize("name", ["brick", "chelsea", "coffee", "coins", "rocket", "text"])
@pytest.mark.parametrize("width", [320, 1280])
def test_no_face_is_invented_at_any_score(name, width):
    image = getattr(skimage.data, name)()
    image = image if image.ndim == 3 else np.stack([image] * 3, axis=-1)
    height = round(image.shape[0] * width / image.shape[1])
    picture = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    assert MeshLandmarks(gate=0.0).detect(picture) == []


def test_the_faces_of_the_same_frames_are_found_once(monkeypatch):
    searched = []
    monkeypatch.setattr(
        "sources.tracking.faces_of_clip", lambda *clip: searched.append(clip) or [[], []]
    )
    search, frames = FaceSearch(FINDER), [HEADS[0].copy(), HEADS[0].copy()]
    found = search(frames, [False, False])
    assert search(list(frames), [False, False]) is found
    assert len(searched) == 1
    for other in ([frames[0], frames[1].copy()], frames[:1], frames[::-1]):
        search(other, [False] * len(other))
    assert len(searched) == 4
    gone = weakref.ref(frames[0])
    searched.clear()
    del frames, other
    assert gone() is None


def test_fifty_faces_are_fifty_faces():
    head = HEADS[0]
    cell = cv2.resize(head, (180, 180), interpolation=cv2.INTER_AREA)
    crowd = np.ascontiguousarray(np.tile(cell, (5, 10, 1)))
    found = FINDER.detect(crowd)
    cells = {(int(x // 180), int(y // 180)) for x, y in (f.box_xyxy[:2] + 20 for f in found)}
    assert len(found) == len(cells) == 50
    fake = crowd.copy()
    fake[360:540, 720:900] = 255 - fake[360:540, 720:900]
    crops, _ = crop_clip([FramePair(0, 0.0, crowd, fake)], FaceSearch(FINDER), Measure())
    middles = [cv2.invertAffineTransform(crop.affine) @ [256, 256, 1] for crop in crops]
    assert all(720 <= x < 900 and 360 <= y < 540 for x, y in middles)


# ---- pictures that are no frames


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 40, 3), (40, 1, 3), (480, 640, 3)])
def test_a_frame_without_a_face_is_rejected_as_such(shape):
    frame = np.full(shape, 127, np.uint8)
    frames = [FramePair(k, k / 25, frame, frame) for k in range(3)]
    crops, rejected = crop_clip(frames, FaceSearch(FINDER), Measure())
    assert crops == []
    assert {why.reason for why in rejected.values()} == {RejectReason.NO_FACE}
    assert set(rejected) == {0, 1, 2}


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64, 64, 3), np.uint16),
    ],
    ids=["grey", "alpha", "16 bit"],
)
def test_a_picture_of_another_kind_is_refused(image):
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8 RGB"):
        crop_clip([FramePair(0, 0.0, image, image)], FaceSearch(FINDER), Measure())


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_a_face_cut_by_the_border_is_cropped_or_says_why(share):
    x0, _, x1, _ = FINDER.detect(ASTRONAUT)[0].box_xyxy
    cut = np.ascontiguousarray(ASTRONAUT[:, int(x0 + share * (x1 - x0)) :])
    crops, rejected = crop_clip([FramePair(0, 0.0, cut, cut)], FaceSearch(FINDER), Measure())
    assert crops == []
    assert rejected[0].reason in {
        RejectReason.FACE_LEFT_FRAME, RejectReason.NO_FACE, RejectReason.POOR_FACE
    }  # fmt: skip
