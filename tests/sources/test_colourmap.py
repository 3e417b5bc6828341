import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.colourmap import fit_map

LUMA = np.array([0.299, 0.587, 0.114])
PICTURE = np.random.default_rng(0).uniform(0.15, 0.8, (2000, 3)).astype(np.float32)
KNOWN = {
    "gain": st.floats(0.8, 1.2),
    "offset": st.floats(-0.05, 0.05),
    "gamma": st.floats(0.75, 1.3),
    "red": st.floats(0.9, 1.1),
    "blue": st.floats(0.9, 1.1),
    "saturation": st.floats(0.6, 1.4),
}


def graded(colours, gain=1.0, offset=0.0, gamma=1.0, red=1.0, blue=1.0, saturation=1.0):
    """Grades `(N, 3)` colours; also tells which lie within the range."""
    levels = gain * colours**gamma + offset
    luma = (levels @ LUMA)[:, None]
    levels = (luma + saturation * (levels - luma)) * (red, 1, blue)
    return levels.astype(np.float32), ((levels > 0.02) & (levels < 0.98)).all(axis=1)


@settings(max_examples=40, deadline=None)
@given(**KNOWN)
def test_any_known_map_is_undone_where_it_cut_nothing_off(**known):
    fake, kept = graded(PICTURE, **known)
    found = fit_map(fake[kept], PICTURE[kept])
    assert np.abs(found.of(fake[kept]) - PICTURE[kept]).mean() < 1.5 / 255


def test_colours_that_were_not_seen_are_mapped_as_the_usual_grade_would():
    grey = PICTURE.mean(axis=1, keepdims=True) + 0.02 * (PICTURE - 0.5)
    skin = np.array([[0.75, 0.55, 0.45], [0.5, 0.33, 0.25]], np.float32)
    for known in ({"saturation": 0.7}, {"saturation": 1.3}, {"gain": 0.85}, {"gamma": 1.25}):
        found = fit_map(graded(grey, **known)[0], grey.astype(np.float32))
        fake, _ = graded(skin, **known)
        assert np.abs(found.of(fake) - skin).max() < 4 / 255
        assert np.abs(fake - skin).max() > 10 / 255


def test_cells_that_other_things_changed_do_not_bend_the_map():
    fake, _ = graded(PICTURE, gain=0.9)
    clean = fake.copy()
    fake[:400] = 0.5
    found = fit_map(fake, PICTURE)
    assert np.abs(found.of(clean) - PICTURE).max() < 1 / 255


def test_equal_sides_give_no_change():
    found = fit_map(PICTURE, PICTURE)
    assert np.array_equal(found.matrix, np.eye(3))
    assert not found.curves.any()


def test_painting_a_picture_is_mapping_its_colours():
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    fake, _ = graded(PICTURE, gamma=0.8, saturation=1.2)
    found = fit_map(PICTURE, fake)
    mapped = 255 * found.of(image.reshape(-1, 3).astype(np.float32) / 255)
    assert np.allclose(found.paint(image).reshape(-1, 3), mapped, atol=0.1)
