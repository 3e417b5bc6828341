from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from annotators.diff import POLICIES, Artifact, clean, diff, iou
from annotators.noise import GRADE_LEFT, difference, expected_noise
from fict.landmarks import MeshLandmarks
from schemas.errors import Rejected, RejectReason
from schemas.manifest import DiffSettings, Measure
from sources.crop import crop_clip
from sources.encode import CRF, write_video
from sources.pairs import FramePair
from sources.tracking import FaceSearch
from sources.video import read_frames


def redder(image):
    lab = cv2.cvtColor(image / 255, cv2.COLOR_RGB2LAB)
    lab[..., 1] += 15
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1) * 255


def changed(pair):
    """The true mask of a pair without noise: over 3 of 255, closed with a 7-pixel disc."""
    over = (cv2.absdiff(pair.real, pair.fake).max(axis=2) > 3).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    return cv2.morphologyEx(over, cv2.MORPH_CLOSE, disc).astype(bool)


def only(outcomes):
    assert len(outcomes) == 1
    return outcomes[0]


def test_every_policy_of_the_manifest_exists():
    assert set(POLICIES) == set(DiffSettings.model_fields["policy"].annotation.__args__)


@pytest.mark.parametrize("noise", [0.5, 2.0, 4.0])
def test_calibrated_finds_the_change_at_any_noise(edited, where, noise):
    truth = changed(edited(where("lips"), redder, 0))
    found = only(diff([edited(where("lips"), redder, noise)], DiffSettings()))
    assert isinstance(found, Artifact)
    assert iou(found.mask, truth) > 0.75
    assert found.confidence > 0.9
    assert found.stability > 0.7


@pytest.mark.parametrize("noise", [0.5, 2.0, 4.0])
def test_calibrated_abstains_where_there_is_only_noise(edited, where, noise):
    pair = edited(np.zeros_like(where("lips")), redder, noise)
    found = only(diff([pair], DiffSettings()))
    assert isinstance(found, Rejected)
    assert found.reason is RejectReason.NO_ARTIFACT
    assert "noise of this pair" in found.detail


def test_top_fraction_marks_its_share_of_an_unforged_pair(edited, where):
    pair = edited(np.zeros_like(where("lips")), redder, 2.0)
    settings = DiffSettings(policy="top_fraction", fraction=0.05, min_area=0)
    found = only(diff([pair], settings))
    assert isinstance(found, Artifact)
    assert 0.01 < found.mask.mean() < 0.3


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_every_policy_finds_a_gross_change(edited, where, policy):
    truth = where("nose")
    pair = edited(truth, lambda image: 255 - image, 1.0)
    settings = DiffSettings(policy=policy, fraction=truth.mean())
    found = only(diff([pair], settings))
    assert isinstance(found, Artifact)
    assert found.policy == policy
    assert iou(found.mask, truth) > 0.6


def test_a_mask_that_runs_over_the_surroundings_is_refused(edited, where):
    beside = np.zeros_like(where("face"))
    beside[:, beside.shape[1] // 2 :] = True
    pair = edited(beside, lambda image: image * 0.7, 1.0)
    loose = {"low": 0.5, "high": 1.0, "mass": 0.0}
    noisy = {f"noisy_{key}": value for key, value in loose.items()}
    found = only(diff([pair], DiffSettings(**loose, **noisy)))
    assert isinstance(found, Rejected)
    assert found.reason is RejectReason.EVERYTHING_CHANGED


def filmed(sides, change, folder):
    """Gives the crops of sides that were encoded as real video, the fake ones after a change."""
    frames = []
    for clip in ([side.real for side in sides], [change(side.fake) for side in sides]):
        write_video(folder / "clip.mp4", clip, 25, CRF["c23"])
        frames.append([one.image for one in read_frames(folder / "clip.mp4", range(len(sides)))])
    pairs = [FramePair(k, k / 25, *both) for k, both in enumerate(zip(*frames, strict=True))]
    crops, rejected = crop_clip(pairs, FaceSearch(MeshLandmarks()), Measure())
    assert not rejected
    return crops


def darker(image):
    return cv2.convertScaleAbs(image, alpha=0.85, beta=8)


def test_of_a_graded_video_only_the_forgery_is_marked(edited, where, tmp_path):
    truth = changed(edited(where("lips"), redder, 0)).astype(np.uint8)
    agreement = []
    for change, repairs in ((np.copy, ()), (darker, ("graded",))):
        crop = filmed([edited(where("lips"), redder, 1.0)] * 3, change, tmp_path)[1]
        assert crop.repairs == repairs
        found = only(diff([crop], DiffSettings()))
        assert isinstance(found, Artifact)
        agreement.append(iou(found.mask, cv2.warpAffine(truth, crop.affine, truth.shape) > 0))
    plain, graded = agreement
    assert graded > max(0.6, plain - 0.08)


def test_of_a_graded_video_without_a_forgery_nothing_is_marked(edited, where, tmp_path):
    sides = [edited(np.zeros_like(where("lips")), redder, 1.0)] * 3
    crops = filmed(sides, darker, tmp_path)
    assert all(crop.repairs == ("graded",) for crop in crops)
    for found in diff(crops, DiffSettings()):
        assert isinstance(found, Rejected)
        assert found.reason is RejectReason.NO_ARTIFACT


def test_what_is_left_of_a_grade_is_expected_as_noise(unforged):
    plain, graded = (
        expected_noise(difference(replace(unforged, repairs=repairs))).min()
        for repairs in ((), ("graded",))
    )
    assert graded == pytest.approx(np.hypot(plain, GRADE_LEFT))


def test_a_change_without_a_border_is_refused(edited, where):
    everywhere = np.ones_like(where("face"))
    pair = edited(everywhere, lambda image: 255 - image, 1.0)
    found = only(diff([pair], DiffSettings(policy="fixed")))
    assert isinstance(found, Rejected)
    assert found.reason is RejectReason.EVERYTHING_CHANGED


def test_time_finds_what_one_frame_cannot(edited, unforged, where):
    """A change far under the noise of a frame stands out when it stays put over frames."""
    truth = where("forehead")
    generator = np.random.default_rng(1)

    def frame(index):
        sides = [unforged.real.astype(float), unforged.real.astype(float)]
        sides[1][truth] += 7
        noisy = [
            np.clip(s + generator.normal(0, 9, s.shape), 0, 255).astype(np.uint8) for s in sides
        ]
        return replace(unforged, index=index, real=noisy[0], fake=noisy[1])

    clip = [frame(index) for index in range(16)]
    alone = [only(diff([crop], DiffSettings())) for crop in clip[:4]]
    together = diff(clip, DiffSettings())
    score = [iou(one.mask, truth) if isinstance(one, Artifact) else 0.0 for one in alone]
    joint = [iou(one.mask, truth) if isinstance(one, Artifact) else 0.0 for one in together]
    assert np.mean(joint) > np.mean(score) + 0.3
    for place, one in zip((9, 2), diff(clip, DiffSettings(), [9, 2]), strict=True):
        assert np.array_equal(one.mask, together[place].mask)  # the others only help
        assert one.confidence == together[place].confidence


def test_pixels_outside_the_frame_are_never_marked(edited, where):
    pair = edited(where("face"), lambda image: 255 - image, 1.0)
    half = np.zeros_like(where("face"))
    half[:, :256] = True
    found = only(diff([replace(pair, valid=half)], DiffSettings(policy="fixed")))
    assert isinstance(found, Artifact)
    assert not found.mask[:, 262:].any()


@given(arrays(np.bool_, (64, 64)), st.integers(0, 60))
def test_cleaning_keeps_no_small_spot(mask, least):
    cleaned = clean(mask, least)
    _, _, stats, _ = cv2.connectedComponentsWithStats(cleaned.astype(np.uint8), connectivity=8)
    assert (stats[1:, cv2.CC_STAT_AREA] >= least).all()
