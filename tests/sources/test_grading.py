import cv2
import numpy as np
import pytest

from sources.grading import find_grade, take_back

LUMA = np.array([0.299, 0.587, 0.114])


def ungraded(real, fake, around):
    found = find_grade(real, fake, around)
    return None if found is None else take_back(found, fake, real)


def grade(image, gain=1.0, offset=0.0, contrast=1.0, gamma=1.0, red=1.0, blue=1.0, saturation=1.0):
    """Grades an image as an editor does; also gives where nothing was cut off."""
    levels = 255 * (image / 255.0) ** gamma
    levels = (levels * gain + offset - 128) * contrast + 128
    luma = (levels @ LUMA)[..., None]
    levels = (luma + saturation * (levels - luma)) * (red, 1, blue)
    kept = ((levels > 6) & (levels < 249)).all(axis=-1)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8), kept


GRADES = {
    "darker": {"gain": 0.85},
    "brighter": {"gain": 1.15},
    "offset": {"offset": 10},
    "contrast": {"contrast": 1.2},
    "light gamma": {"gamma": 0.8},
    "dark gamma": {"gamma": 1.25},
    "tint": {"red": 1.08, "blue": 0.92},
    "pale": {"saturation": 0.7},
    "vivid": {"saturation": 1.3},
}


@pytest.fixture(scope="module")
def around(unforged):
    return unforged.valid & ~unforged.face_mask()


def coded(image, quality):
    """Gives an image after JPEG."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


@pytest.mark.parametrize("name", GRADES)
def test_a_grade_is_taken_back_on_the_face_too(unforged, around, name):
    fake, kept = grade(unforged.real, **GRADES[name])
    back = ungraded(unforged.real, fake, around)
    assert back is not None
    assert back.dtype == np.uint8
    off = np.abs(back.astype(float) - unforged.real)[kept]
    assert off.mean() < 1.0
    assert np.abs(fake.astype(float) - unforged.real)[kept].mean() > 3 * off.mean()


@pytest.mark.parametrize("quality", [95, 50, 20])
def test_codec_noise_is_no_grade(unforged, around, quality):
    assert ungraded(unforged.real, coded(unforged.real, quality), around) is None


@pytest.mark.parametrize("shift", [0.3, 0.7, 1.5])
def test_sides_that_are_not_quite_registered_are_no_grade(unforged, around, shift):
    affine = np.array([[1, 0, shift], [0, 1, -shift]])
    assert (
        ungraded(unforged.real, cv2.warpAffine(unforged.real, affine, (512, 512)), around) is None
    )


def test_another_skin_is_no_grade(unforged, around):
    face = unforged.face_mask(grow=0.12)
    fake = unforged.real.copy()
    fake[face] = grade(fake, gain=0.6, blue=0.8)[0][face]
    assert ungraded(unforged.real, fake, around) is None


def test_another_background_is_no_grade(unforged, around):
    fake = np.where(unforged.face_mask()[..., None], unforged.real, unforged.real[::-1, ::-1])
    assert ungraded(unforged.real, fake, around) is None


def test_a_forgery_outlives_the_repair(unforged, around, where):
    lips = where("lips")
    forged = unforged.real.copy()
    forged[lips] = np.clip(forged[lips] * (0.7, 1.0, 1.0), 0, 255).astype(np.uint8)
    back = ungraded(unforged.real, grade(forged, gain=1.1, red=1.05)[0], around)
    assert back is not None
    change = np.abs(back.astype(float) - unforged.real).max(axis=2)
    assert change[lips].mean() > 30
    assert change[~lips].mean() < 2


def test_what_was_cut_off_is_taken_to_be_unchanged(unforged, around):
    bright = np.clip(unforged.real.astype(int) + 40, 0, 255).astype(np.uint8)
    fake, _ = grade(bright, gain=1.15)
    cut = (fake == 255).all(axis=2)
    assert cut.mean() > 0.01
    back = ungraded(bright, fake, around)
    assert back is not None
    assert np.abs(back[cut].astype(int) - bright[cut]).max() <= 2


def test_a_crop_that_is_all_face_cannot_tell_a_grade(unforged):
    fake, _ = grade(unforged.real, gain=0.8)
    assert ungraded(unforged.real, fake, np.zeros(unforged.valid.shape, np.bool_)) is None
