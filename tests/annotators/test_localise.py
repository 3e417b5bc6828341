import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.localise import localise
from fict.tree import load_tree
from schemas.manifest import LocaliseSettings

TREE = load_tree()
NOSE = TREE.by_name["nose"]
PARTS = [node for node in TREE.descendants_of(NOSE) if TREE.is_atomic(node)]
NODES = [NOSE, *TREE.descendants_of(NOSE), TREE.by_name["face"]]


def is_antichain(chosen):
    return not any(a in TREE.ancestors_of(b) for a, b in itertools.permutations(chosen, 2))


def brute_force(mask, labels, costs):
    """The largest total gain over every set of nodes of which none lies below another."""
    area, hit = TREE.counts(labels), TREE.counts(labels[mask])
    gain = hit - costs.miss * (area - hit) - costs.entry * labels.size
    worth = [node for node in NODES if gain[node.id] > 0]
    totals = [0.0]
    for size in range(1, len(worth) + 1):
        for chosen in itertools.combinations(worth, size):
            if is_antichain(chosen):
                totals.append(sum(gain[node.id] for node in chosen))
    return max(totals)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(PARTS), st.integers(1, 30), st.integers(0, 30)), max_size=7),
    st.floats(0, 2),
    st.floats(0, 0.05),
)
def test_no_other_choice_gains_more(spots, miss, entry):
    row = np.concatenate(
        [np.full(60, TREE.by_name["surroundings"].id)]
        + [np.full(changed + kept, part.id) for part, changed, kept in spots]
    ).astype(np.uint8)
    labels = row[None]
    mask = np.concatenate(
        [np.zeros(60, bool)] + [np.arange(changed + kept) < changed for _, changed, kept in spots]
    )[None]
    costs = LocaliseSettings(miss=miss, entry=entry)
    found = localise(mask, labels, TREE, costs)
    assert is_antichain([TREE.by_id[one.concept] for one in found])
    worth = [one.gain for one in found if one.gain > 0]  # the others hold a spot each
    assert sum(worth) == pytest.approx(brute_force(mask, labels, costs))
    assert [one.gain for one in found] == sorted((one.gain for one in found), reverse=True)


@pytest.mark.parametrize("name", ["nose tip", "nose", "upper lip", "left eye", "face"])
def test_a_whole_concept_is_found_as_itself(where, labels, name):
    mask = where(name)
    found = localise(mask, labels, TREE, LocaliseSettings())
    assert [TREE.by_id[one.concept].name for one in found] == [name]
    assert found[0].hit == found[0].area == mask.sum()


def test_nothing_changed_means_no_concept(labels):
    assert localise(np.zeros(labels.shape, bool), labels, TREE, LocaliseSettings()) == []


def test_specks_are_not_worth_a_concept(where, labels):
    mask = np.zeros(labels.shape, bool)
    mask[tuple(np.argwhere(where("forehead"))[::400].T)] = True
    assert localise(mask, labels, TREE, LocaliseSettings()) == []


def test_a_small_spot_is_told_of_the_concept_that_holds_it(where, labels):
    mask = where("upper lip").copy()
    spot = np.argwhere(where("right front cheek")).mean(axis=0).astype(int)
    mask[spot[0] - 12 : spot[0] + 12, spot[1] - 12 : spot[1] + 12] = True
    found = localise(mask, labels, TREE, LocaliseSettings(miss=0.4, entry=0.001))
    assert [TREE.by_id[one.concept].name for one in found] == ["upper lip", "right front cheek"]


def test_a_change_that_spills_over_a_border_is_not_told_of_the_neighbour(where, labels):
    lip = where("upper lip")
    mask = cv2.dilate(lip.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    found = localise(mask, labels, TREE, LocaliseSettings(miss=0.4, entry=0.001))
    assert [TREE.by_id[one.concept].name for one in found] == ["upper lip"]
