"""Accuracy, F1 and an AUC that is one."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.answer import Answer, Prompt, Seen
from model.metrics.case import Case, Truth
from model.metrics.labels import Classes, Detection, Sight, auc, said_label

NOTHING = torch.zeros(0, 4, 4, dtype=torch.bool)


def case(right):
    blank = np.zeros((4, 4), np.uint8)
    none = np.zeros((0, 4, 4), np.bool_)
    return Case("Det", Prompt("?"), (right,), none, (), blank, Truth(), is_clean=False)


def figures(metric, pairs):
    for right, said in pairs:
        metric.add(case(right), Answer(said, NOTHING))
    return metric.figures()


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=30))
def test_the_auc_is_how_often_a_fake_is_above_a_real_one(pairs):
    fakes = [score for score, is_fake in pairs if is_fake]
    reals = [score for score, is_fake in pairs if not is_fake]
    found = auc([score for score, _ in pairs], [is_fake for _, is_fake in pairs])
    if not fakes or not reals:
        assert found is None
        return
    won = sum((a > b) + 0.5 * (a == b) for a in fakes for b in reals)
    assert found == pytest.approx(won / (len(fakes) * len(reals)))


def test_the_auc_is_not_precision_times_recall():
    """All scores are above any usual threshold: both are fixed by it, the ranking is perfect."""
    assert auc([0.9, 0.8, 0.7, 0.6], [True, True, False, False]) == 1.0
    assert auc([0.6, 0.7, 0.8, 0.9], [True, True, False, False]) == 0.0
    assert auc([0.9] * 4, [True, True, False, False]) == 0.5


def test_an_answer_with_neither_word_is_wrong_on_both_sides():
    found = figures(Detection(), [("fake", "fake"), ("real", "hm"), ("fake", "hm")])
    assert found == {"accuracy": pytest.approx(1 / 3), "f1": pytest.approx(2 / 3)}
    assert said_label("It is Fake, not real") == "fake"
    assert said_label("realistic") == ""


def test_always_fake_has_an_f1_that_looks_better_than_it_is():
    found = figures(Detection(), [("fake", "fake"), ("real", "fake")] * 3)
    assert found["accuracy"] == 0.5
    assert found["f1"] == pytest.approx(2 / 3)


def test_classes_that_are_never_said_pull_the_macro_f1_down():
    found = figures(Classes(), [("none", "none")] * 8 + [("swap", "none"), ("edit", "Edit.")])
    assert found["accuracy"] == 0.9
    assert found["macro_f1"] == pytest.approx((16 / 17 + 0 + 1) / 3)


def test_what_is_seen_is_compared_pixel_by_pixel():
    labels = np.arange(16, dtype=np.uint8).reshape(4, 4)
    changed = labels < 4
    sight = Sight()
    found = torch.from_numpy((labels < 8).astype(np.float32))
    wrong = torch.from_numpy(np.where(labels < 4, 99, labels))
    sight.add("fake", changed, labels, Seen(0.4, wrong, found))
    sight.add("real", np.zeros_like(changed), labels, Seen(0.3, None, torch.ones(4, 4)))
    assert sight.figures() == {"auc": 1.0, "artifact_iou": 0.5, "concept_accuracy": 0.75}
