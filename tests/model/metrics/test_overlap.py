"""Strict and lenient figures of masks, and where they part."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.answer import Answer, Prompt
from model.metrics.case import Case, Truth
from model.metrics.overlap import (
    Overlap,
    glamm_found,
    glamm_miou,
    iou_matrix,
    strict_found,
    strict_miou,
)


def quadrants(count=4):
    masks = np.zeros((4, 8, 8), np.bool_)
    for n, (y, x) in enumerate(((0, 0), (0, 4), (4, 0), (4, 4))):
        masks[n, y : y + 4, x : x + 4] = True
    return masks[:count]


def case(masks, phrases=None):
    named = tuple(phrases or [""] * len(masks))
    blank = np.zeros((8, 8), np.uint8)
    return Case("I-AGE", Prompt("?"), ("",), masks, named, blank, Truth(), is_clean=False)


def answer(masks, phrases=None):
    named = phrases or [""] * len(masks)
    text = " ".join(f"<p>{name}</p> [SEG]" if name else "[SEG]" for name in named)
    return Answer(text, torch.from_numpy(masks))


def figures(*pairs):
    overlap = Overlap(lambda a, b: a == b)
    for right, said in pairs:
        overlap.add(right, said)
    return overlap.figures()


def test_the_lenient_miou_ignores_what_was_missed_and_the_strict_one_does_not():
    iou = iou_matrix(quadrants(1), quadrants(4))
    assert glamm_miou(iou) == 1.0
    assert strict_miou(iou) == 0.25
    assert strict_miou(iou.T) == 0.25  # what is said too much counts, too


def test_the_lenient_recall_stops_at_the_first_bad_pair_and_the_strict_one_does_not():
    right, said = quadrants(3), quadrants(3)
    said[1, 0] = False  # the other pairs overlap less than the badly named one
    said[2, 4] = False
    found = figures((case(right, ["nose", "chin", "lips"]), answer(said, ["ear", "chin", "lips"])))
    assert found["recall50_glamm"] == 0.0
    assert found["recall50_strict"] == pytest.approx(2 / 3)


def test_recall_needs_the_name_only_where_there_is_one():
    everything = np.ones((2, 2), np.bool_)
    iou = iou_matrix(quadrants(2), quadrants(2))
    assert strict_found(iou, everything) == glamm_found(iou, everything) == 2
    assert strict_found(iou, ~everything) == glamm_found(iou, ~everything) == 0
    found = figures((case(quadrants(1)), answer(quadrants(1), ["nose"])))
    assert found["recall50_strict"] == found["recall50_glamm"] == 1.0


def test_iou_is_not_recall():
    right = quadrants(1)
    everywhere = np.ones((1, 8, 8), np.bool_)  # recall would be 1
    assert strict_miou(iou_matrix(everywhere, right)) == 0.25


def test_masks_that_could_add_up_are_refused():
    twice = quadrants(1).astype(np.uint8) * 2
    with pytest.raises(TypeError, match="must be bool"):
        iou_matrix(twice, quadrants(1))


def test_overlapping_masks_are_compared_each_by_itself():
    wide, narrow = np.zeros((8, 8), np.bool_), np.zeros((8, 8), np.bool_)
    wide[:4], narrow[:2] = True, True
    both = np.stack([wide, narrow])
    assert np.diag(iou_matrix(both, both)).tolist() == [1.0, 1.0]
    assert iou_matrix(both, both)[0, 1] == 0.5


def test_no_mask_said_is_zero_and_empty_masks_overlap_nothing():
    none, empty = np.zeros((0, 8, 8), np.bool_), np.zeros((1, 8, 8), np.bool_)
    for said in (none, empty):
        found = figures((case(quadrants(2)), answer(said)))
        assert set(found.values()) == {0.0}
    assert strict_miou(iou_matrix(none, none)) is None
    assert set(figures((case(none), answer(quadrants(1)))).values()) == {None}


def test_perfect_answers_have_every_figure_at_its_maximum():
    names = ["nose", "chin", "lips", "eye"]
    pairs = [(case(quadrants(n), names[:n]), answer(quadrants(n), names[:n])) for n in (1, 4)]
    assert set(figures(*pairs).values()) == {1.0}


def test_ap50_falls_with_false_masks_and_with_missed_ones():
    missed = figures((case(quadrants(4)), answer(quadrants(2))))["ap50"]
    assert missed == pytest.approx(0.5, abs=0.01)
    wrong = np.concatenate([~quadrants(1), quadrants(1)])
    assert figures((case(quadrants(1)), answer(wrong)))["ap50"] == pytest.approx(0.5, abs=0.01)


@given(st.permutations(range(4)), st.integers(0, 2**32 - 1))
def test_the_order_of_masks_does_not_matter_to_the_strict_miou(order, seed):
    rng = np.random.default_rng(seed)
    said, right = rng.random((4, 8, 8)) < 0.4, rng.random((3, 8, 8)) < 0.5
    iou, other = iou_matrix(said, right), iou_matrix(said[order], right)
    assert strict_miou(iou) == pytest.approx(strict_miou(other))
    assert 0 <= strict_miou(iou) <= 1
