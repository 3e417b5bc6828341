"""The short ways to a median and to sums give the very same numbers as the long ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from annotators.noise import average, difference, length, median, summed, to_lab

LEVELS = st.floats(-100, 100, width=32)


@given(arrays.arrays(np.float32, st.integers(1, 40), elements=LEVELS))
def test_the_median_is_numpys(values):
    assert median(values) == np.median(values)
    assert median(values).dtype == np.float32


@given(arrays.arrays(np.float32, (3, 4, 3), elements=LEVELS))
def test_channels_add_up_in_order(values):
    assert np.array_equal(summed(values), values.sum(axis=2))
    squares = np.einsum("ijk,ijk->ij", values, values)
    assert np.allclose(length(values), np.sqrt(squares), rtol=1e-6)


def test_levels_become_shares_of_the_range():
    levels = np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1)[None]
    lightness = to_lab(levels)[0, :, 0]
    assert lightness[0] == 0
    assert abs(lightness[-1] - 100) < 1e-3
    assert (np.diff(lightness) > 0).all()


def test_an_average_is_that_of_each_pixel(unforged):
    frames = [difference(unforged)] * 2
    assert np.array_equal(average(frames).activity, frames[0].activity)
