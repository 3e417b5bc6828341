"""Regions and claims against what was changed."""

import numpy as np
import pytest
import torch

from annotators.mllm.recipes.fifa_mllm import book
from flows.compact import categories
from model.answer import Answer, Prompt
from model.metrics.case import Case, Truth
from model.metrics.concepts import Concepts
from model.metrics.statements import Change, Statements
from schemas.phrasebook import Stated
from schemas.records import EvidenceKind

DARK = "The <p>nose</p> [SEG] is clearly darker than in the real face, by 8 of 100 lightness steps."
RED = "The <p>lips</p> are slightly redder than in the real face, by 3 colour steps."
CLEAN = "The nose shows no sign of manipulation."
NOSE = Stated("nose", EvidenceKind.LIGHTNESS, "darker")


def case(truth, is_clean=False, reference=""):
    none, blank = np.zeros((0, 4, 4), np.bool_), np.zeros((4, 4), np.uint8)
    return Case("I-AGE", Prompt("?"), (reference,), none, (), blank, truth, is_clean)


def answer(text, mask=False):
    return Answer(text, torch.full((text.count("[SEG]"), 4, 4), mask))


def figures(*pairs):
    metric = Statements(Concepts(categories()), book())
    for each, said in pairs:
        metric.add(each, answer(said))
    return metric.figures()


def test_what_is_said_is_held_against_what_was_changed():
    truth = Truth(frozenset({"nose"}), frozenset({NOSE}))
    found = figures((case(truth), f"{DARK} {RED} Odd words."))
    assert found["region_precision"] == found["claim_precision"] == 0.5
    assert found["region_recall"] == found["claim_recall"] == 1.0
    assert found["region_f1"] == pytest.approx(2 / 3)
    assert found["unread_sentences"] == pytest.approx(1 / 3)


def test_every_phrase_of_a_sentence_is_a_region():
    told = "The <p>nose</p> [SEG], the <p>lips</p> [SEG] and the <p>chin</p> [SEG] were changed."
    found = figures((case(Truth(frozenset({"nose", "lips"}), None)), told))
    assert found["region_recall"] == 1.0
    assert found["region_precision"] == pytest.approx(2 / 3)


def test_a_claim_about_a_real_face_is_false():
    found = figures((case(Truth(), is_clean=True), DARK))
    assert found["region_precision"] == found["claim_precision"] == 0.0
    assert found["claim_recall"] is None


def test_the_forge_may_be_told_of_by_part_or_whole_the_row_may_not():
    part = Stated("nose tip", EvidenceKind.LIGHTNESS, "darker")
    for is_exact, right in ((True, 0.0), (False, 1.0)):
        truth = Truth(frozenset({"nose tip"}), frozenset({part}), is_exact)
        found = figures((case(truth), DARK))
        assert found["region_precision"] == found["claim_recall"] == right


def test_a_wrong_direction_is_a_wrong_claim_about_the_right_region():
    light = Stated("nose", EvidenceKind.LIGHTNESS, "lighter")
    found = figures((case(Truth(frozenset({"nose"}), frozenset({light}))), DARK))
    assert (found["region_recall"], found["claim_recall"]) == (1.0, 0.0)


def test_claims_are_left_out_where_nobody_knows_them():
    found = figures((case(Truth(frozenset({"face"}), None, is_exact=False)), DARK))
    assert found["region_precision"] == 1.0
    assert found["claim_precision"] is None


def test_a_constant_answer_cannot_tell_changed_from_unchanged():
    changed, clean = case(Truth(frozenset({"nose"}))), case(Truth(), is_clean=True)
    for said in (DARK, CLEAN, ""):
        change = Change(book())
        for each in (changed, clean, clean):
            change.add(each, answer(said))
        assert change.figures() == {"change_accuracy": 0.5}
    change = Change(book())
    change.add(changed, answer("[SEG]", mask=True))
    change.add(clean, answer("[SEG]", mask=False))
    assert change.figures() == {"change_accuracy": 1.0}
