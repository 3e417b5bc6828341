import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from schemas import rle

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=40))


@given(masks)
def test_round_trip_gives_the_mask_back(mask):
    assert np.array_equal(rle.decode(rle.encode(mask)), mask)


@given(masks)
def test_bytes_are_those_of_pycocotools(mask):
    expected = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    assert rle.encode(mask).counts == expected["counts"].decode()
    assert rle.as_coco(rle.encode(mask)) == expected


@given(masks)
def test_area_and_box_agree_with_pycocotools(mask):
    expected = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    assert rle.area(mask) == coco.area(expected)
    assert list(rle.bbox(mask)) == coco.toBbox(expected).tolist()


@given(masks, st.data())
def test_box_is_tight(mask, data):
    x, y, width, height = (int(value) for value in rle.bbox(mask))
    assert mask[y : y + height, x : x + width].sum() == mask.sum()


def test_empty_mask_has_an_empty_box():
    assert rle.bbox(np.zeros((4, 5), bool)) == (0.0, 0.0, 0.0, 0.0)


def test_size_is_height_then_width():
    assert rle.encode(np.zeros((3, 7), bool)).size == (3, 7)
