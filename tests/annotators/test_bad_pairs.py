"""Pairs that are not as they should be, as real video through the whole measure stage."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from annotators.diff import iou
from annotators.pipeline import Measurer, PairJob
from schemas import rle
from schemas.errors import RejectReason
from schemas.manifest import Measure
from schemas.records import Pair
from sources.forge import Case, encode_case, film_case
from sources.forge.still import default_pictures

FRAMES = 24
OTHER, FACE = default_pictures()


def case_of(compression="c23", operations=(("paint_lips_blue", 1.0),), **changes):
    case = Case(
        name="bad", picture=FACE, donor=OTHER, look="plain", operations=operations, control="",
        profile="stable", occluder=None, compression=compression, seed=11, frames=FRAMES,
    )  # fmt: skip
    return replace(case, **changes)


@pytest.fixture(scope="module")
def film():
    return film_case(case_of())


@pytest.fixture(scope="module")
def measurer():
    return Measurer(Measure(frames=2))


def measured(measurer, film, folder, case=None):
    files = encode_case(case or case_of(), film, folder)
    pair = Pair(
        dataset="d", method="m", compression=(case or case_of()).compression, pair="p", split="",
        real_path=files.real.name, fake_path=files.fake.name,
    )  # fmt: skip
    job = PairJob(files.real.parent, pair, "attribute edit", "", "", "")
    return measurer.measure_pair(job)[:2]


def truth_of(film, row, index):
    mask = rle.decode(film.truth[index].segmentation).astype(np.uint8) * 255
    affine = np.array(row.affine).reshape(2, 3)
    return cv2.warpAffine(mask, affine, row.artifact.segmentation.size) > 127


def agreement(film, row, late=0):
    """IoU of a row's mask with the truth; the real frame tells where it was forged."""
    return iou(rle.decode(row.artifact.segmentation), truth_of(film, row, row.frame_index + late))


def test_a_good_pair_needs_no_repair(measurer, film, tmp_path):
    rows, rejects = measured(measurer, film, tmp_path)
    assert not rejects
    for row in rows:
        assert row.repairs == ()
        assert agreement(film, row) > 0.7
        assert row.regions[0].name in ("lips", "mouth")


def test_a_fake_that_starts_late_is_shifted_back(measurer, film, tmp_path):
    late = 7
    rows, rejects = measured(measurer, replace(film, fakes=film.fakes[late:]), tmp_path)
    assert not rejects
    for row in rows:
        assert row.repairs == ("shifted in time",)
        assert row.frame_offset == late
        assert agreement(film, row, late) > 0.6


def test_a_mirrored_fake_is_turned_back(measurer, film, tmp_path):
    fakes = [np.ascontiguousarray(frame[:, ::-1]) for frame in film.fakes]
    rows, rejects = measured(measurer, replace(film, fakes=fakes), tmp_path)
    assert not rejects
    for row in rows:
        assert "mirrored" in row.repairs
        assert np.linalg.det(np.array(row.fake_affine).reshape(2, 3)[:, :2]) < 0
        assert agreement(film, row) > 0.6


@pytest.mark.parametrize("scale", [0.95, 1.05])
def test_a_scaled_fake_is_laid_on_the_real_side(measurer, film, tmp_path, scale):
    height, width = film.fakes[0].shape[:2]
    affine = cv2.getRotationMatrix2D((width / 2, height / 2), 0, scale)
    fakes = [
        cv2.warpAffine(
            frame, affine, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        for frame in film.fakes
    ]
    rows, rejects = measured(measurer, replace(film, fakes=fakes), tmp_path)
    assert not rejects
    for row in rows:
        assert "registered" in row.repairs
        assert agreement(film, row) > 0.6


@pytest.mark.parametrize(("gain", "offset"), [(0.85, 0.0), (1.0, 12.0)])
def test_a_graded_fake_takes_the_colours_of_the_real_side(
    measurer, film, tmp_path, gain, offset
):  # fmt: skip
    fakes = [cv2.convertScaleAbs(frame, alpha=gain, beta=offset) for frame in film.fakes]
    rows, rejects = measured(measurer, replace(film, fakes=fakes), tmp_path)
    assert not rejects
    for row in rows:
        assert row.repairs == ("graded",)
        assert agreement(film, row) > 0.6


def test_another_person_is_no_partner(measurer, film, tmp_path):
    other = film_case(case_of(picture=OTHER, donor=FACE))
    rows, rejects = measured(measurer, replace(film, reals=other.reals), tmp_path)
    assert not rows
    assert [one.reason for one in rejects] == [RejectReason.DIFFERENT_CONTENT]


def test_swapped_sides_of_a_lossless_pair_are_noticed(measurer, tmp_path):
    case = case_of("c0", (("smooth_left_cheek", 1.0),), picture=OTHER, donor=FACE, frames=8)
    film = film_case(case)
    rows, rejects = measured(measurer, film, tmp_path / "right", case)
    assert rows
    assert not rejects
    exchanged = replace(film, reals=film.fakes, fakes=film.reals)
    rows, rejects = measured(measurer, exchanged, tmp_path / "swapped", case)
    assert not rows
    assert [one.reason for one in rejects] == [RejectReason.SIDES_SWAPPED]
    assert "seems to be the forged one" in rejects[0].detail


def test_swapped_sides_of_a_compressed_pair_get_no_larger_mask(measurer, film, tmp_path):
    """They cannot be noticed there: the mask is right, directions are those of the exchange."""
    exchanged = replace(film, reals=film.fakes, fakes=film.reals)
    rows, rejects = measured(measurer, exchanged, tmp_path)
    assert not rejects
    for row in rows:
        assert agreement(film, row) > 0.6
