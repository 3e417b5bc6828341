"""Time offsets, mirrored fakes and wrong partners, on real encoded video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import Rejected, RejectReason
from sources.alignment import LEAST, LONG_SIDE, WINDOW, Alignment, align, check_same_recording
from sources.encode import CRF, write_video
from sources.forge.cases import Case, make_case, still_of
from sources.forge.clip import Camera, path_of, real_frame
from sources.forge.still import default_pictures
from sources.video import open_video, read_frames

COLLINS, HOPPER = default_pictures()
SWAP = Case(
    name="swap",
    picture=COLLINS,
    donor=HOPPER,
    look="plain",
    operations=(("swap_alpha", 1.0),),
    control="",
    profile="flicker",
    occluder="fingers",
    compression="c0",
    seed=5,
    frames=26,
)
SMALL = replace(SWAP, name="small", picture=HOPPER, donor=COLLINS, occluder=None, seed=6,
                operations=(("paint_lips_red", 0.75),))  # fmt: skip
LENGTH = 13
Film = list[np.ndarray]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Film, Film]]:
    """Uncompressed frames of two forged clips: a gross swap behind fingers, painted lips."""
    folder = tmp_path_factory.mktemp("films")
    found = {}
    for case in (SWAP, SMALL):
        files = make_case(case, folder)
        sides = (read_frames(path, range(case.frames)) for path in (files.real, files.fake))
        real, fake = ([frame.image for frame in side] for side in sides)
        found[case.name] = real, fake
    return found


def encoded(path: Path, frames: Sequence[np.ndarray], level: str) -> np.ndarray:
    write_video(path, frames, 25, CRF[level])
    return open_video(path).look([], WINDOW, LONG_SIDE).start


def shifted(film: tuple[Film, Film], offset: int) -> tuple[Film, Film]:
    """Cuts a film so that frame i of the fake shows frame `i + offset` of the real."""
    first = max(0, -offset)
    real, fake = film
    return real[first : first + LENGTH], fake[first + offset : first + offset + LENGTH]


@pytest.mark.parametrize("level", CRF)
@pytest.mark.parametrize(("name", "offset"), [("swap", -7), ("small", 10)])
def test_an_offset_is_found(films, tmp_path, level, name, offset):
    sides = shifted(films[name], offset)
    real, fake = (encoded(tmp_path / "clip.mp4", side, level) for side in sides)
    found = align(real, fake)
    assert abs(found.frame_offset - offset) <= (level == "c40")
    assert not found.mirrored
    assert found.agreement > 0.95
    assert align(fake, real).frame_offset == -found.frame_offset


def graded(frame):
    gamma = 255 * (frame / 255.0) ** 0.7 * (1.0, 0.94, 0.9)
    return np.clip(gamma, 0, 255).astype(np.uint8)


def darker(frame):
    return np.clip(frame * 0.94 - 4, 0, 255).astype(np.uint8)


def elsewhere(frame, grow=1.05, right=9.0):
    height, width = frame.shape[:2]
    affine = cv2.getRotationMatrix2D((width / 2, height / 2), 0, grow)
    affine[0, 2] += right
    return cv2.warpAffine(frame, affine, (width, height), borderMode=cv2.BORDER_REFLECT)


@pytest.mark.parametrize(("name", "level"), [("swap", "c23"), ("small", "c40")])
@pytest.mark.parametrize("change", [graded, darker, elsewhere])
def test_sides_of_one_time_stay_so_whatever_was_done_to_the_picture(
    films, tmp_path, name, level, change
):
    real, fake = shifted(films[name], 0)
    fake = [change(frame) for frame in fake]
    found = align(*(encoded(tmp_path / "clip.mp4", side, level) for side in (real, fake)))
    assert (found.frame_offset, found.mirrored) == (0, False)
    assert found.agreement > 0.9


@pytest.mark.parametrize("change", [graded, darker, elsewhere])
def test_an_offset_is_found_whatever_was_done_to_the_picture(films, tmp_path, change):
    real, fake = shifted(films["swap"], 5)
    fake = [change(frame) for frame in fake]
    found = align(*(encoded(tmp_path / "clip.mp4", side, "c23") for side in (real, fake)))
    assert abs(found.frame_offset - 5) <= (change is elsewhere)


@pytest.mark.parametrize(
    ("name", "level", "offset"), [("small", "c0", -4), ("swap", "c23", 0), ("small", "c40", 4)]
)
def test_a_mirrored_fake_is_noticed_and_its_offset_too(films, tmp_path, name, level, offset):
    real, fake = shifted(films[name], offset)
    fake = [np.ascontiguousarray(frame[:, ::-1]) for frame in fake]
    found = align(*(encoded(tmp_path / "clip.mp4", side, level) for side in (real, fake)))
    assert found.mirrored
    assert abs(found.frame_offset - offset) <= (level == "c40")
    assert found.agreement > 0.95


def filmed(case: Case, frames: int = 12) -> Film:
    """Films a case's target with the camera motion that its seed decides."""
    still, camera = still_of(case), Camera(case.size, frames, (case.seed, 0))
    affines = path_of(still, camera)
    return [real_frame(still, one, camera, k)[0] for k, one in enumerate(affines)]


@pytest.mark.parametrize("level", ["c23", "c40"])
@pytest.mark.parametrize(
    "other",
    [
        replace(SWAP, picture=HOPPER),  # the same camera motion
        replace(SWAP, face=150, look="lit_left"),  # the same person
    ],
    ids=["other person", "other scene"],
)
def test_another_recording_is_rejected(tmp_path, level, other):
    paths = tmp_path / "real.mp4", tmp_path / "fake.mp4"
    found = align(
        *(encoded(p, filmed(c), level) for p, c in zip(paths, (SWAP, other), strict=True))
    )
    with pytest.raises(Rejected, match=r"fake\.mp4 and real\.mp4 show different") as caught:
        check_same_recording(found, *paths)
    assert caught.value.reason is RejectReason.DIFFERENT_CONTENT


def test_a_blank_side_is_other_content(films):
    real = np.stack([cv2.cvtColor(f, cv2.COLOR_RGB2GRAY)[::5, ::5] for f in films["small"][0][:9]])
    assert align(real, np.full_like(real, 90)).agreement < LEAST


def noisy(pictures: Sequence[np.ndarray], seed: int) -> Film:
    rng = np.random.default_rng(seed)
    grains = (rng.normal(0, 2, picture.shape) for picture in pictures)
    return [np.clip(p + g, 0, 255).astype(np.uint8) for p, g in zip(pictures, grains, strict=True)]


def test_a_static_video_is_left_alone(films, tmp_path):
    still = [films["swap"][0][0]] * 20
    sides = (encoded(tmp_path / "c.mp4", noisy(still, seed), "c40") for seed in (1, 2))
    assert align(*sides).frame_offset == 0


def test_a_periodic_motion_does_not_lead_a_whole_period_astray(films, tmp_path):
    picture = films["swap"][0][0]
    nod = [np.roll(picture, round(5 * np.sin(k * np.pi / 3)), axis=0) for k in range(24)]
    sides = (encoded(tmp_path / "c.mp4", noisy(nod, seed), "c40") for seed in (1, 2))
    assert align(*sides).frame_offset == 0


def before_a_wall(picture: np.ndarray, first: int) -> Film:
    """Films a head that moves about before what stands still, 40 frames from one on."""
    height, width = picture.shape[:2]
    head = np.zeros((height, width), np.float32)
    cv2.ellipse(head, (width // 2, height // 2), (width // 5, height // 3), 0, 0, 360, 1.0, -1)
    head = cv2.GaussianBlur(head, (0, 0), 4)
    film = []
    for k in range(first, first + 40):
        right = 7 * np.sin(0.11 * k) + 4 * np.sin(0.29 * k + 1)
        down = 5 * np.sin(0.13 * k + 2) + 3 * np.sin(0.37 * k)
        affine = np.array([[1, 0, right], [0, 1, down]])
        moved = cv2.warpAffine(picture, affine, (width, height), borderMode=cv2.BORDER_REFLECT)
        share = cv2.warpAffine(head, affine, (width, height))[..., None]
        film.append(picture * (1 - share) + moved * share)
    return film


@pytest.mark.parametrize("level", ["c23", "c40"])
def test_a_moving_head_before_a_still_background_tells_the_time(films, tmp_path, level):
    picture, forged = (side[0][::2, ::2] for side in films["small"])
    real = encoded(tmp_path / "r.mp4", noisy(before_a_wall(picture, 0), 1), level)
    for late in (0, 25):
        fake = encoded(tmp_path / "f.mp4", noisy(before_a_wall(forged, late), 2), level)
        found = align(real, fake)
        assert (found.frame_offset, found.mirrored) == (late, False)
        check_same_recording(found, tmp_path, tmp_path)
        assert align(fake, real).frame_offset == -late
    fake = encoded(tmp_path / "f.mp4", noisy(before_a_wall(forged, 60), 2), level)
    found = align(real, fake)
    assert found.agreement > LEAST
    with pytest.raises(Rejected, match=r"do not show the same time: .* needed") as caught:
        check_same_recording(found, tmp_path / "r.mp4", tmp_path / "f.mp4")
    assert caught.value.reason is RejectReason.DIFFERENT_CONTENT


def test_a_flat_video_tells_nothing():
    grey = np.full((8, 60, 80), 90, np.uint8)
    assert align(grey, grey + 3) == Alignment(0, False, 1.0)


def test_one_frame_a_side_is_enough(films):
    one = cv2.cvtColor(films["swap"][0][0], cv2.COLOR_RGB2GRAY)[None, ::5, ::5]
    assert align(one, one).frame_offset == 0


def drifting(seed: int, count: int) -> np.ndarray:
    """Gives small pictures of a random scene that drifts and turns, `(count, 60, 80) uint8`."""
    rng = np.random.default_rng(seed)
    scene = cv2.GaussianBlur(rng.normal(128, 600, (100, 120)), (0, 0), 3)
    rates, phases = rng.uniform(0.05, 0.2, 3), rng.uniform(0, 6, 3)
    clip = []
    for k in range(count):
        right, down, turn = 4 * np.sin(rates * k + phases)
        affine = cv2.getRotationMatrix2D((60, 50), float(turn), 1.0)
        affine[:, 2] += (right - 20, down - 20)
        clip.append(cv2.warpAffine(scene, affine, (80, 60)))
    return np.clip(clip, 0, 255).astype(np.uint8)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), offset=st.integers(-10, 10))
def test_laws_of_alignment(seed: int, offset: int) -> None:
    film = drifting(seed, 24)
    first = max(0, -offset)
    real, fake = film[first : first + 14], film[first + offset : first + offset + 14]
    found = align(real, fake)
    assert (found.frame_offset, found.mirrored) == (offset, False)
    back = align(fake, real)
    assert (back.frame_offset, back.mirrored) == (-offset, False)
    flipped = real[:, :, ::-1], fake[:, :, ::-1]
    turned = align(real, flipped[1])
    assert (turned.frame_offset, turned.mirrored) == (offset, True)
    both = align(*flipped)
    assert (both.frame_offset, both.mirrored) == (offset, False)
