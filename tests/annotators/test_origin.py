"""Which side was edited, from the noise at the border of the change."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from annotators.origin import noise_departure
from fict.landmarks import MeshLandmarks
from schemas.manifest import Measure
from sources.crop import crop_clip
from sources.forge.cases import Case, make_case
from sources.forge.still import default_pictures
from sources.pairs import FramePair
from sources.tracking import FaceSearch
from sources.video import read_frames


def swapped(clip):
    return [replace(crop, real=crop.fake, fake=crop.real) for crop in clip]


@pytest.fixture(scope="module")
def cheek(unforged, where):
    """A filmed face whose cheek is smoothed on the fake side, and the mask."""
    mask = cv2.erode(where("left cheek").astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    rng = np.random.default_rng(0)
    clip = []
    for _ in range(3):
        real = np.clip(unforged.real + rng.normal(0, 3, unforged.real.shape), 0, 255)
        fake = np.where(mask[..., None], cv2.GaussianBlur(real, (0, 0), 1.0), real)
        clip.append(replace(unforged, real=real.astype(np.uint8), fake=fake.astype(np.uint8)))
    return clip, [mask] * 3


def test_the_smoothed_side_departs(cheek):
    clip, masks = cheek
    assert noise_departure(clip, masks) > Measure().swapped_noise


def test_exchanged_sides_give_the_opposite(cheek):
    clip, masks = cheek
    assert noise_departure(swapped(clip), masks) == pytest.approx(-noise_departure(clip, masks))


def test_sides_of_equal_noise_depart_alike(cheek):
    clip, masks = cheek
    equal = [replace(crop, fake=crop.real) for crop in clip]
    assert noise_departure(equal, masks) == 0


def test_too_few_pixels_tell_nothing(cheek):
    clip, masks = cheek
    assert noise_departure(clip, [np.zeros_like(mask) for mask in masks]) is None
    assert noise_departure([], []) is None


def test_a_forged_video_without_loss_is_told(tmp_path):
    case = Case(
        name="smooth", picture=default_pictures()[0], donor=default_pictures()[1], look="plain",
        operations=(("smooth_left_cheek", 1.0),), control="", profile="stable", occluder=None,
        compression="c0", seed=3, frames=2,
    )  # fmt: skip
    files = make_case(case, tmp_path)
    both = zip(*(read_frames(path, range(2)) for path in (files.real, files.fake)), strict=True)
    frames = [FramePair(r.index, r.timestamp_s, r.image, f.image) for r, f in both]
    clip, _ = crop_clip(frames, FaceSearch(MeshLandmarks()), Measure())
    masks = [cv2.absdiff(crop.real, crop.fake).max(axis=2) > 0 for crop in clip]
    assert noise_departure(clip, masks) > Measure().swapped_noise
    assert noise_departure(swapped(clip), masks) < -Measure().swapped_noise
