"""Coarser regions: masks are the changed pixels of the node, measurements those of its parts."""

import numpy as np
import pytest

from annotators.mllm.recipes.levels import four, part_names, parts
from annotators.questions import ask
from annotators.verify import read_labels
from fict.tree import GROUP4
from schemas import rle
from schemas.records import Claim, Evidence, MeasuredFrame, Region


def region(name, tree, labels, changed, gain=1.0):
    node = tree.by_name[name]
    concept = np.isin(labels, [node.id, *(below.id for below in tree.descendants_of(node))])
    hit = concept & changed
    return Region(
        category_id=node.id, name=name, area=rle.area(hit), bbox=rle.bbox(hit),
        segmentation=rle.encode(hit), concept_area=rle.area(concept),
        concept_segmentation=rle.encode(concept), gain=gain,
    )  # fmt: skip


def evidence(name, tree, effect=3.0, direction="darker", significant=True, kind="lightness"):
    return Evidence(
        category_id=tree.by_name[name].id, kind=kind, direction=direction, effect=effect,
        unit="L*", spread=0.2, significant=significant,
    )  # fmt: skip


@pytest.fixture
def changed_in(recoloured, tree) -> MeasuredFrame:
    """Gives the frame as if other regions had been localised, each changed all over."""

    def make(*names, measured=()):
        labels = read_labels(recoloured)
        whole = np.ones_like(labels, dtype=bool)
        regions = tuple(region(name, tree, labels, whole) for name in names)
        masks = [rle.decode(one.segmentation) for one in regions]
        mask = rle.encode(np.logical_or.reduce(masks))
        artifact = recoloured.artifact.model_copy(update={"segmentation": mask})
        changes = {"regions": regions, "evidence": tuple(measured), "artifact": artifact}
        return recoloured.model_copy(update=changes)

    return make


def test_the_four_regions_hold_all_changed_pixels_of_the_face(recoloured, tree):
    lifted = four(recoloured)
    assert {one.name for one in lifted.regions} <= set(GROUP4.values())
    groups = tree.lookup_table("group4")[read_labels(recoloured)]
    changed = rle.decode(recoloured.artifact.segmentation)
    for one in lifted.regions:
        expected = changed & (groups == one.category_id)
        assert np.array_equal(rle.decode(one.segmentation), expected)
        assert one.area == rle.area(expected)
        assert one.bbox == rle.bbox(expected)
        assert one.concept_area == np.count_nonzero(groups == one.category_id)


def test_the_four_regions_are_apart_and_brows_count_as_eyes(changed_in):
    frame = four(changed_in("left eyebrow", "lips", "left cheek", "chin"))
    masks = {one.name: rle.decode(one.segmentation) for one in frame.regions}
    assert set(masks) == {"eyes", "mouth", "face"}
    assert np.sum(list(masks.values()), axis=0).max() == 1
    union = np.logical_or.reduce(list(masks.values()))
    assert np.array_equal(union, rle.decode(frame.artifact.segmentation))


def test_lifting_twice_changes_nothing_more(recoloured):
    once = parts(recoloured)
    assert parts(once) == once


def test_a_parent_that_was_localised_itself_stays_as_it_is(changed_in, tree):
    frame = changed_in("nose", "cheeks", measured=[evidence("nose", tree)])
    assert parts(frame) == frame


def test_a_face_that_changed_as_a_whole_is_not_split(changed_in, tree):
    frame = changed_in("face", "neck", measured=[evidence("face", tree)])
    assert [one.name for one in parts(frame).regions] == ["face", "neck"]
    [face] = four(frame).regions
    assert face == frame.regions[0]


def test_what_is_outside_of_the_face_has_no_place_among_the_four(changed_in, tree):
    frame = four(changed_in("hair", measured=[evidence("hair", tree)]))
    assert frame.regions == frame.evidence == ()


def test_a_significant_measurement_goes_first_then_the_larger_change(changed_in, tree):
    large, small = "nose bridge", "right nostril"
    measured = [
        evidence(large, tree, 0.1, "lighter", significant=False),
        evidence(small, tree, 4.0, "darker"),
        evidence(large, tree, 2.0, "redder", kind="colour"),
        evidence(small, tree, 9.0, "greener", kind="colour"),
    ]
    frame = changed_in(large, small, measured=measured)
    assert frame.regions[0].area > frame.regions[1].area
    for level in (four, parts):
        found = {one.kind: one for one in level(frame).evidence}
        nose = tree.by_name["nose"].id
        assert {one.category_id for one in found.values()} == {nose}
        assert (found["lightness"].direction, found["lightness"].effect) == ("darker", 4.0)
        assert (found["colour"].direction, found["colour"].effect) == ("redder", 2.0)


def test_evidence_speaks_of_listed_regions_only(recoloured):
    for level in (four, parts):
        frame = level(recoloured)
        known = {one.category_id for one in frame.regions}
        assert {one.category_id for one in frame.evidence} <= known
        assert [one.gain for one in frame.regions] == sorted(
            (one.gain for one in frame.regions), reverse=True
        )


def test_the_label_map_stays_so_that_untouched_regions_can_be_asked_about(recoloured, tree):
    frame = four(recoloured)
    assert frame.label_map == recoloured.label_map
    claims = [
        {"category_id": frame.regions[0].category_id, "kind": "change", "direction": "altered",
         "sentence": f"The <p>{frame.regions[0].name}</p> changed.", "verdict": "supported",
         "reason": ""}
    ]  # fmt: skip
    questions = ask(frame, [Claim(**claims[0])], read_labels(frame), tree)
    asked = {one.query_category_id for one in questions}
    assert frame.regions[0].category_id in asked
    assert any(one and tree.is_atomic(tree.by_id[one]) for one in asked)


def test_parts_are_facial_and_none_holds_another_but_the_face(tree):
    names = part_names()
    assert {"face", "forehead", "nose", "mouth", "hair"} <= set(names)
    assert "surroundings" not in names
    below = [n for name, n in names.items() if name != "face"]
    assert not any(tree.related(one, other) for one in below for other in below if one != other)
