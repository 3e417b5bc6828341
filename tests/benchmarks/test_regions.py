"""Regions that were changed are told by pixels, not by the rule that is judged."""

import numpy as np
import pytest

from benchmarks.figures import figures
from benchmarks.regions import (
    TOUCHED_SHARE,
    compared,
    found_in,
    miss_regions,
    score_regions,
    touched,
)
from benchmarks.scores import FrameScore
from fict.tree import ATOMIC
from schemas.manifest import LocaliseSettings
from schemas.records import Segmentation
from sources.forge.truth import FrameTruth

BLIND = LocaliseSettings(entry=0.9)
"""A bad rule: no concept is worth its entry."""


def truth(*concepts):
    kinds, directions = (None,) * len(concepts), ("",) * len(concepts)
    empty = Segmentation(size=(1, 1), counts="")
    return FrameTruth(0, empty, 1, concepts, kinds, directions, 1.0)


def part_of(mask, share):
    places = np.flatnonzero(mask)
    part = np.zeros_like(mask)
    part.flat[places[: int(np.ceil(share * len(places)))]] = True
    return part


def test_a_quarter_of_the_visible_pixels_makes_a_change(labels, where, tree):
    tip = tree.by_name["nose tip"].id
    whole = where("nose tip")
    assert touched(part_of(whole, TOUCHED_SHARE), labels) == {tip}
    assert touched(part_of(whole, TOUCHED_SHARE - 0.02), labels) == set()
    assert touched(np.zeros_like(whole), labels) == set()


def test_few_pixels_are_no_change(tree):
    labels = np.zeros((20, 20), np.uint8)
    pupil = tree.by_name["left pupil"].id
    labels[:2, :6] = pupil
    mask = labels == pupil
    assert touched(mask, labels) == {pupil}
    mask[0, 0] = False  # 11 pixels
    assert touched(mask, labels) == set()


def test_a_chosen_parent_stands_for_its_concepts_that_can_be_seen(labels, where, tree):
    mask = where("nose")
    found = found_in(mask, labels, tree, LocaliseSettings())
    below = {node.id for node in tree.descendants_of(tree.by_name["nose"])}
    assert found == below & set(np.unique(labels).tolist())
    hidden = np.where(labels == tree.by_name["nose tip"].id, 0, labels)
    assert tree.by_name["nose tip"].id not in found_in(mask, hidden, tree, LocaliseSettings())


def test_a_bad_rule_shows(labels, where, tree):
    mask = where("nose")
    good, bad = FrameScore("a", "c23", True), FrameScore("b", "c23", True)
    score_regions(good, mask, mask, labels, truth("nose"), tree, LocaliseSettings())
    score_regions(bad, mask, mask, labels, truth("nose"), tree, BLIND)
    assert good.regions["112"][1:] == good.aimed["112"][1:] == (0, 0)
    assert bad.regions["112"] == (0, 0, good.regions["112"][0])
    assert figures([good, bad])["region_recall"]["112"]["c23"]["value"] == 0.5
    assert figures([good, bad])["region_precision"]["112"]["c23"]["value"] == 1.0
    assert figures([good, bad])["region_f1"]["112"]["c23"]["value"] == pytest.approx(
        2 / 3, abs=1e-3
    )


def test_aims_are_counted_apart_from_pixels(labels, where, tree):
    score = FrameScore("a", "c23", True)
    mask = where("nose")
    score_regions(score, mask, mask, labels, truth("nose", "chin"), tree, LocaliseSettings())
    assert score.regions["4"] == (1, 0, 0)
    assert score.aimed["4"] == (1, 0, 1)
    assert score.aimed["parents"][2] >= 1


def test_a_frame_without_a_crop_misses_its_aims(tree):
    score = FrameScore("a", "c23", True)
    miss_regions(score, truth("lips", "nose"), tree)
    assert score.regions == score.aimed
    assert score.regions["4"] == (0, 0, 2)


def test_levels_lift_atomic_concepts(tree):
    names = ("left pupil", "left iris")
    ours, theirs = ({tree.by_name[name].id} for name in names)
    assert max(ours | theirs) <= ATOMIC
    counts = compared(ours, theirs, tree)
    assert counts["112"] == (0, 1, 1)
    assert counts["4"] == (1, 0, 0)
