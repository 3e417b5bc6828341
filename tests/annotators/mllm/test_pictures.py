import base64

import cv2
import numpy as np
import pytest

from annotators.explain import NoAnswer
from annotators.mllm.pictures import YELLOW, Pictures, outlined
from schemas import rle


def decoded(url):
    assert url.startswith("data:image/jpeg;base64,")
    encoded = np.frombuffer(base64.b64decode(url.split(",")[1]), np.uint8)
    return cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)


def square(left, top, side, size=128):
    mask = np.zeros((size, size), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_the_sides_are_sent_as_they_are_stored(recoloured):
    pictures = Pictures(recoloured, 512)
    assert base64.b64decode(pictures.real.split(",")[1]) == recoloured.real.bytes
    assert base64.b64decode(pictures.fake.split(",")[1]) == recoloured.fake.bytes


@pytest.mark.parametrize("size", [96, 512, 700])
def test_every_picture_has_the_set_size(recoloured, size):
    pictures = Pictures(recoloured, size)
    for url in (pictures.real, pictures.fake, pictures.outlined, pictures.mask):
        assert decoded(url).shape == (size, size, 3)


def test_the_mask_is_the_artifact_mask(recoloured):
    white = decoded(Pictures(recoloured, 512).mask)[..., 0] > 127
    mask = rle.decode(recoloured.artifact.segmentation)
    assert np.count_nonzero(white & mask) / np.count_nonzero(white | mask) > 0.98


def test_the_outlines_are_on_a_copy_and_run_along_each_region():
    image = np.full((256, 256, 3), 90, np.uint8)
    masks = [square(20, 20, 60, 256), square(80, 20, 60, 256)]  # side by side
    before = image.copy()
    drawn = outlined(image, masks)
    assert np.array_equal(image, before)
    changed = (drawn != image).any(axis=2)
    for mask in masks:
        rim = mask & ~cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        assert (drawn[rim] == YELLOW).all()
        inner = cv2.erode(mask.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
        assert 0 < (changed & inner).sum() < 0.2 * inner.sum()  # the number alone
    assert not changed[~(masks[0] | masks[1])].any()


@pytest.mark.parametrize("corner", [(0, 0), (122, 0), (0, 122), (122, 122)])
def test_the_number_stays_within_the_picture(corner):
    image = np.zeros((128, 128, 3), np.uint8)
    left, top = corner
    small = square(left, top, 6)
    with_number = outlined(image, [small])
    region = small.astype(np.uint8)
    beside = cv2.dilate(region, np.ones((3, 3), np.uint8)) == 0
    assert (with_number[beside][:, 0] > 128).sum() >= 5  # the digit


def test_a_row_without_pixels_has_no_answer(recoloured):
    bare = recoloured.model_copy(
        update={"fake": recoloured.fake.model_copy(update={"bytes": None})}
    )
    with pytest.raises(NoAnswer, match="no_pixels"):
        _ = Pictures(bare, 512).outlined
