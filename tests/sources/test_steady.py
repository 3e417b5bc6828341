"""Still faces stay still, moving ones are not trailed, and what is quick is kept."""

from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fict.labelmap import label_map
from fict.landmarks import Face, MeshLandmarks
from fict.tree import load_tree
from sources.crop import crop_affine, transform
from sources.encode import CRF, write_video
from sources.forge.still import default_pictures, load_still
from sources.steady import CLOSE_S, MOST_BENT, MOST_MOVED, Clip, runs, smooth, stacked, steady
from sources.tracking import cuts_of, faces_of_clip
from sources.video import read_frames

FINDER = MeshLandmarks()
SIZE, FRAMES = (480, 640), 16
TIMES = np.arange(FRAMES) / 25
LIDS = [159, 145, 386, 374]


@cache
def still_of(number):
    return load_still(default_pictures()[number], SIZE)


def filmed(number, path, grainy=True):
    """Films a still whose face lies in the middle of the frame, moved by a path (F, 2)."""
    still, frames = still_of(number), []
    middle = np.array(SIZE[::-1]) / 2 - still.landmarks.mean(axis=0)
    for k, (x, y) in enumerate(path + middle):
        view = cv2.warpAffine(
            still.image, np.array([[1, 0, x], [0, 1, y]]), SIZE[::-1], flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT,
        )  # fmt: skip
        grain = np.random.default_rng(k).normal(0, 2, view.shape) * grainy
        frames.append(np.clip(np.rint(view + grain), 0, 255).astype(np.uint8))
    return frames


def encoded(frames, level):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.mp4"
        write_video(path, frames, 25.0, CRF[level])
        return [frame.image for frame in read_frames(path, list(range(len(frames))))]


def followed(frames, times=TIMES):
    cuts = cuts_of(frames)
    faces = [found[0] for found in faces_of_clip(frames, cuts, FINDER)]
    return faces, steady(faces, Clip(frames, list(times), cuts), FINDER)


def jitter(landmarks, path):
    """Standard deviation of the points about the motion, frame pixels, mean over points."""
    return np.sqrt(((landmarks[..., :2] - path[:, None]).std(0) ** 2).sum(-1)).mean()


@pytest.mark.parametrize("level", ["", "c23", "c40"])
@pytest.mark.parametrize("number", [0, 1])
def test_a_still_face_does_not_jitter(number, level):
    path = np.zeros((FRAMES, 2))
    frames = filmed(number, path)
    plain, calm = followed(encoded(frames, level) if level else frames)
    assert jitter(stacked(calm), path) < min(0.3, jitter(stacked(plain), path))


def test_the_label_maps_of_a_still_face_hardly_change():
    frames = encoded(filmed(1, np.zeros((FRAMES, 2))), "c23")
    tree, flips = load_tree(), []
    for faces in ([FINDER.detect(frame)[0] for frame in frames], followed(frames)[1]):
        affine = crop_affine(faces[0].landmarks, 512, 1.7)
        maps = [label_map(transform(face.landmarks, affine), 512, tree) for face in faces]
        flips.append(np.mean([(a != b).mean() for a, b in pairwise(maps)]))
    assert flips[1] < 0.75 * flips[0]


@pytest.mark.parametrize("number", [0, 1])
def test_a_moving_face_is_not_trailed(number):
    """Over speeds and both ways, against the landmarks of the picture at many places, no noise."""
    rng = np.random.default_rng(0)
    places = rng.uniform(-20, 20, (30, 2))
    clean = np.stack(
        [FINDER.detect(view)[0].landmarks for view in filmed(number, places, grainy=False)]
    )
    truth = (clean[..., :2] - places[:, None]).mean(axis=0)
    ahead = []
    for speed in (1.7, -1.7, 2.3, -2.3, 3.7, -3.7):
        path = np.stack([speed * (np.arange(FRAMES) - 8), np.zeros(FRAMES)], axis=1)
        calm = stacked(followed(filmed(number, path))[1])
        assert jitter(calm, path) < 0.3
        ahead.append((calm[..., :2] - path[:, None] - truth)[..., 0].mean() * np.sign(speed))
    assert abs(np.mean(ahead)) < 0.1


def run_of(places, turns=None, size=130.0):
    """Landmarks of a real face on a path of (x, y) and turns in the plane, without noise."""
    shape = still_of(0).landmarks - still_of(0).landmarks.mean(axis=0)
    shape = shape / np.linalg.norm(shape[263] - shape[33]) * size
    turn = np.exp(1j * (np.zeros(len(places)) if turns is None else turns))[:, None]
    flat = turn * (shape[:, 0] + 1j * shape[:, 1]) + (places @ [1, 1j])[:, None]
    return np.stack([flat.real, flat.imag, np.zeros_like(flat.real)], axis=2).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*[st.floats(-200, 200)] * 4), st.floats(-1, 1), st.integers(4, 30), st.booleans()
)  # fmt: skip
def test_even_motion_is_kept_as_it_is(start_and_way, turn, frames, uneven):
    times = np.cumsum(np.where(np.arange(frames) % 3 == 0, 0.08 if uneven else 0.04, 0.04))
    x, y, vx, vy = start_and_way
    places = np.stack([x + vx * times, y + vy * times], axis=1)
    landmarks = run_of(places, turn * times)
    assert np.abs(smooth(landmarks, times) - landmarks).max() < 0.12


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 20))
def test_nothing_is_moved_further_than_its_limit(seed, jerk):
    rng = np.random.default_rng(seed)
    landmarks = run_of(rng.normal(0, jerk, (FRAMES, 2)))
    landmarks += rng.normal(0, jerk, landmarks.shape).astype(np.float32)
    moved = np.linalg.norm((smooth(landmarks, TIMES) - landmarks)[..., :2], axis=2).max()
    unit = 130 + 6 * jerk
    reach = np.abs(landmarks[..., :2] - landmarks[..., :2].mean(1, keepdims=True)).max() / 50
    assert moved < (MOST_MOVED * reach + MOST_BENT) * unit * 1.5


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_time_has_no_direction(seed):
    rng = np.random.default_rng(seed)
    landmarks = run_of(np.cumsum(rng.normal(0, 2, (FRAMES, 2)), axis=0))
    landmarks += rng.normal(0, 0.3, landmarks.shape).astype(np.float32)
    back = smooth(landmarks[::-1], TIMES[-1] - TIMES[::-1])[::-1]
    assert np.abs(back - smooth(landmarks, TIMES)).max() < 1e-2


def test_a_blink_is_kept():
    landmarks = run_of(np.zeros((FRAMES, 2)))
    rng = np.random.default_rng(0)
    for frame in (7, 8):
        landmarks[frame, LIDS[::2], 1] += 6
        landmarks[frame, LIDS[1::2], 1] -= 2
    seen = smooth(landmarks + rng.normal(0, 0.2, landmarks.shape).astype(np.float32), TIMES)
    assert np.abs(seen - landmarks)[:, LIDS, 1].max() < 0.9
    assert (seen[8, LIDS[::2], 1] - seen[5, LIDS[::2], 1]).min() > 5.4


def test_an_opened_mouth_does_not_move_the_brows():
    landmarks = run_of(np.zeros((FRAMES, 2)))
    lower = landmarks[0, :, 1] > landmarks[0, 14, 1]
    landmarks[8:, lower, 1] += 12
    seen = smooth(landmarks, TIMES)
    assert np.abs(seen - landmarks)[:, ~lower].max() < 0.1
    assert np.abs(seen - landmarks)[:, lower].max() < 0.5


def face_at(x, width=100.0):
    points = run_of(np.array([[x, 0.0]]), size=width)[0]
    mesh = points[:468, :2]
    return Face(np.concatenate([mesh.min(0), mesh.max(0)]), 40.0, points)


def test_runs_end_at_gaps_cuts_jumps_and_missing_faces():
    times = [0, 0.04, 0.08, 0.08 + 2 * CLOSE_S, 0.4, 0.44, 0.48, 0.52, 0.56]
    faces = [face_at(0)] * 6 + [face_at(150), None, face_at(150)]
    cuts = [False] * 5 + [True] + [False] * 3
    clip = Clip([], times, cuts)
    assert runs(faces, clip) == [[0, 1, 2], [3, 4], [5], [6], [8]]


def test_frames_that_are_far_apart_are_left_alone():
    frames = filmed(0, np.zeros((5, 2)))
    plain, calm = followed(frames, np.arange(5) * 1.0)
    assert all(a is b for a, b in zip(plain, calm, strict=True))
