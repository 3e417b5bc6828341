import math

import pytest

from qa.parroting import Told, compare


def told(method, as_method, *statements, refuted=0, frame="f"):
    said = frozenset((s, "colour", "redder") for s in statements)
    return Told(frame, method, as_method, said, refuted)


def test_a_model_that_looks_says_the_same_whatever_it_is_told():
    true = [told("A", "A", "nose"), told("B", "B", "chin")]
    other = [told("A", "B", "nose"), told("B", "A", "chin")]
    rows = compare(true, other)
    assert [row.method for row in rows] == ["A", "B", "all"]
    assert {row.agreement for row in rows} == {1.0}
    assert {row.followed for row in rows} == {0.0}


def test_a_parrot_says_what_is_usual_of_the_method_that_it_is_told():
    true = [told("A", "A", "nose"), told("B", "B", "chin", "mouth")]
    other = [told("A", "B", "chin", "mouth"), told("B", "A", "nose")]
    every = compare(true, other)[-1]
    assert (every.frames, every.agreement, every.followed) == (2, 0.0, 1.0)


def test_half_a_parrot_is_between_with_exact_figures():
    true = [told("A", "A", "nose", refuted=1), told("B", "B", "chin", "mouth")]
    other = [told("A", "B", "nose", "chin", refuted=2), told("B", "A", "chin", "mouth")]
    a, b, every = compare(true, other)
    assert (a.agreement, a.followed) == (0.5, 0.5)
    assert (b.agreement, b.followed) == (1.0, 0.0)
    assert every.agreement == 0.75
    assert every.followed == pytest.approx(1 / 3)
    assert (every.refuted_true, every.refuted_other) == (pytest.approx(1 / 3), 0.5)


def test_only_what_is_said_of_half_of_a_methods_frames_is_usual():
    true = [told("A", "A", "nose"), *(told("B", "B", part) for part in ("chin", "mouth", "lips"))]
    other = [told("A", "B", "chin"), *(told("B", "A", "x") for _ in range(3))]
    assert math.isnan(compare(true, other)[0].followed)


def test_silence_agrees_with_silence_and_nothing_gives_no_row():
    assert compare([told("A", "A")], [told("A", "B")])[0].agreement == 1.0
    assert compare([], []) == []
