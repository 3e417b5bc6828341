import cv2
import numpy as np
import pytest

from annotators.motion import STILL_PX, Motion
from annotators.noise import to_lab


def moved(image, across, down):
    affine = np.float32([[1, 0, across], [0, 1, down]])
    return cv2.warpAffine(image, affine, image.shape[1::-1], flags=cv2.INTER_CUBIC)


def grown(image, where, by):
    rows, columns = np.nonzero(where)
    centre = (float(columns.mean()), float(rows.mean()))
    affine = cv2.getRotationMatrix2D(centre, 0, 1 + by)
    return cv2.warpAffine(image, affine, image.shape[1::-1], flags=cv2.INTER_CUBIC)


def motion(real, fake, noise=0.0):
    return Motion(to_lab(real), to_lab(fake), noise)


@pytest.mark.parametrize(("across", "down"), [(0.0, 0.0), (0.4, 0.0), (0.0, -0.7), (-0.5, 0.5)])
def test_drift_is_the_shift_of_structure_whatever_its_colour(unforged, where, across, down):
    tinted = cv2.convertScaleAbs(unforged.real, alpha=0.8, beta=20)
    found = motion(unforged.real, moved(tinted, across, down)).drift(where("left eye"))
    assert found is not None
    assert found.shift == pytest.approx((across, down), abs=0.15)
    assert all(error < 0.2 for error in found.errors[:2])


def test_drift_tells_growth(unforged, where):
    eye = where("left eye")
    found = motion(unforged.real, grown(unforged.real, eye, 0.01)).drift(eye)
    assert found is not None
    assert found.growth == pytest.approx(0.01, abs=0.004)


def test_bare_skin_has_a_larger_error_than_an_eye(unforged, where):
    rng = np.random.default_rng(0)
    noisy = np.clip(unforged.real + rng.normal(0, 1.0, unforged.real.shape), 0, 255).astype(
        np.uint8
    )
    sides = motion(unforged.real, noisy)
    eye, skin = sides.drift(where("left eye")), sides.drift(where("middle upper forehead"))
    assert eye is not None
    assert skin is None or skin.errors[0] > eye.errors[0]


def test_other_structure_has_no_drift(unforged, where):
    other = np.ascontiguousarray(unforged.real[::-1])
    assert motion(unforged.real, other).drift(where("left eye")) is None


def test_a_painted_cheek_stayed_where_it_was(unforged, where):
    cheek = where("left cheek")
    fake = unforged.real.copy()
    fake[cheek] = cv2.convertScaleAbs(fake[cheek], alpha=0.7)
    assert motion(unforged.real, fake).is_still(cheek)
    assert not motion(unforged.real, moved(unforged.real, 4 * STILL_PX, 0)).is_still(cheek)


def test_a_movement_explains_a_shift_and_not_a_colour(unforged, where):
    eye = where("left eye")
    assert motion(unforged.real, moved(unforged.real, 2, 1)).explains(eye)
    assert not motion(unforged.real, cv2.convertScaleAbs(unforged.real, alpha=0.7)).explains(eye)
    assert not motion(unforged.real, unforged.real).explains(eye)


def test_noise_does_not_hide_a_movement(unforged, where):
    rng = np.random.default_rng(1)
    eye, sides = where("left eye"), (unforged.real, moved(unforged.real, 0.7, 0))
    noisy = [np.clip(s + rng.normal(0, 5, s.shape), 0, 255).astype(np.uint8) for s in sides]
    still = np.abs(to_lab(noisy[0]) - to_lab(noisy[1]))[where("middle upper forehead")]
    assert not motion(*noisy).explains(eye)
    assert motion(*noisy, noise=float(still.sum(axis=1).mean())).explains(eye)


def test_growth_is_that_of_the_region_and_none_where_it_explains_nothing(unforged, where):
    eye = where("left eye")
    sides = Motion(to_lab(unforged.real), to_lab(unforged.real))
    rows, columns = np.mgrid[0 : eye.shape[0], 0 : eye.shape[1]].astype(np.float32)
    centre = np.argwhere(eye).mean(axis=0)
    sides.flow = 0.05 * np.dstack([columns - centre[1], rows - centre[0]])
    assert sides.growth(eye) == pytest.approx(0.05, abs=1e-3)
    sides.flow = np.dstack([np.sin(columns), np.cos(columns)]).astype(np.float32)
    assert np.isnan(sides.growth(eye))
    sides.flow = np.zeros_like(sides.flow)
    assert sides.growth(eye) == 0
