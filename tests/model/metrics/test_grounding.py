"""Is a mask where its phrase says?"""

import numpy as np
import pytest
import torch

from model.answer import Answer, Prompt
from model.metrics.case import Case, Truth
from model.metrics.concepts import Concepts
from model.metrics.grounding import Grounding, phrases

CATEGORIES = [
    {"id": 1, "name": "left eye", "supercategory": "eyes", "atomic": True},
    {"id": 2, "name": "right eye", "supercategory": "eyes", "atomic": True},
    {"id": 3, "name": "nose", "supercategory": "face", "atomic": True},
    {"id": 4, "name": "eyes", "supercategory": "face", "atomic": False},
    {"id": 5, "name": "face", "supercategory": "", "atomic": False},
]
LABELS = np.repeat(np.array([1, 2, 3, 5], np.uint8), 4).reshape(4, 4)


def figures(text, masks):
    concepts = Concepts(CATEGORIES)
    none = np.zeros((0, 4, 4), np.bool_)
    case = Case("I-AGE", Prompt("?"), ("",), none, (), LABELS, Truth(), is_clean=False)
    grounding = Grounding(concepts)
    grounding.add(case, Answer(text, torch.from_numpy(np.stack(masks))))
    return grounding.figures()


def test_each_seg_has_the_phrase_right_before_it():
    text = "The <p>Nose</p> [SEG] and <p>left eye</p> are [SEG], <p>eyes</p>[SEG]"
    assert phrases(text) == ("nose", "", "eyes")
    assert phrases("Nothing.") == ()


def test_masks_where_their_phrases_say_are_consistent_and_not_exchangeable():
    text = "<p>nose</p> [SEG] <p>eyes</p> [SEG]"
    found = figures(text, [LABELS == 3, LABELS == 2])
    assert found == {"consistency": 1.0, "swap_gap": 1.0}


def test_a_part_lies_in_its_whole_and_not_the_other_way_round():
    assert figures("<p>face</p> [SEG]", [LABELS == 1])["consistency"] == 1.0
    assert figures("<p>left eye</p> [SEG]", [LABELS > 0])["consistency"] == 0.25


def test_masks_that_ignore_their_phrases_have_no_gap():
    everywhere = LABELS > 0
    found = figures("<p>nose</p> [SEG] <p>left eye</p> [SEG]", [everywhere] * 2)
    assert found["consistency"] == 0.25
    assert found["swap_gap"] == pytest.approx(0.0)


def test_strange_phrases_and_empty_masks_count_nothing():
    assert figures("<p>wings</p> [SEG]", [LABELS > 0])["consistency"] == 0.0
    assert figures("[SEG]", [LABELS > 0])["consistency"] == 0.0
    assert figures("<p>nose</p> [SEG]", [LABELS > 9])["consistency"] == 0.0


def test_concepts_are_related_along_the_tree():
    concepts = Concepts(CATEGORIES)
    assert concepts.related("eyes", "left eye")
    assert concepts.related("left eye", "face")
    assert not concepts.related("left eye", "right eye")
    assert not concepts.related("wings", "nose")
