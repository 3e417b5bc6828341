"""Judging claims: planted statements are false, true ones are true, aims are told or missed."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from annotators.evidence import Gauge, measure, probe_of
from benchmarks.claims import PLANTED, aims_told, judge_frame, planted, true_statements
from benchmarks.facts import Facts, KnownGauge
from benchmarks.stated import Stated
from schemas import rle
from schemas.manifest import EvidenceSettings
from schemas.records import ArtifactMask, Claim, MeasuredFrame, Picture, Region, Segmentation
from schemas.records import EvidenceKind as Kind

SETTINGS = EvidenceSettings()
LOCATED = ("forehead", "lips")


@pytest.fixture(scope="module")
def setting(unforged, labels, where, tree):
    """A face with a much lighter forehead and bluish lips; both were located and measured."""
    masks = {name: where(name) for name in LOCATED}
    changed = masks["forehead"] | masks["lips"]
    lab = cv2.cvtColor(unforged.real.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lab += np.where(masks["forehead"][..., None], np.float32([9, 0, 0]), 0)
    lab += np.where(masks["lips"][..., None], np.float32([0, 0, -12]), 0)
    fake = np.rint(np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1) * 255).astype(np.uint8)
    crop = replace(unforged, fake=np.where(changed[..., None], fake, unforged.real))
    ids = {name: tree.by_name[name].id for name in LOCATED}
    aims = [Stated(ids["lips"], Kind.COLOUR, "bluer")]
    flow = np.zeros((*changed.shape, 2), np.float32)
    gauge = KnownGauge(crop, changed, flow)
    facts = Facts(gauge, np.ones_like(changed), labels, aims, tree, SETTINGS)
    empty = Segmentation(size=(1, 1), counts="")
    row = MeasuredFrame.model_construct(
        regions=[
            Region(category_id=number, name=name, area=1, bbox=(0, 0, 1, 1), segmentation=empty,
                   concept_area=1, concept_segmentation=empty, gain=1)
            for name, number in ids.items()
        ],
        evidence=measure(
            Gauge(crop, changed), [(ids[name], masks[name]) for name in LOCATED], SETTINGS
        ),
        label_map=Picture(bytes=cv2.imencode(".png", labels)[1].tobytes(), path=""),
        artifact=ArtifactMask.model_construct(segmentation=rle.encode(changed)),
    )  # fmt: skip
    return facts, row, ids


def claim(concept, kind, direction):
    return Claim(category_id=concept, kind=kind, direction=direction, sentence="",
                 verdict="supported", reason="")  # fmt: skip


def test_true_statements_are_the_aims_and_what_can_be_seen(setting):
    facts, row, ids = setting
    true = true_statements(facts, row)
    assert true[Stated(ids["lips"], Kind.COLOUR, "bluer")] == "aim"
    assert true[Stated(ids["forehead"], Kind.LIGHTNESS, "lighter")] == "value"
    assert true[Stated(ids["forehead"], Kind.CHANGE, "altered")] == "value"
    told = {(said.kind, said.direction) for said in true}
    assert not {(Kind.LIGHTNESS, "darker"), (Kind.COLOUR, "yellower")} & told
    assert Kind.POSITION not in {kind for kind, _ in told}


def test_planted_statements_are_false_and_of_three_sorts(setting, tree):
    facts, row, ids = setting
    true = true_statements(facts, row)
    drawn = planted(facts, row, list(true), np.random.default_rng(1))
    assert sum(map(len, drawn.values())) <= PLANTED
    for sort in ("direction", "kind", "region"):
        assert drawn[sort]
        for said, note in drawn[sort]:
            assert said not in true
            assert facts.is_false(said)
            assert said.direction in (
                probe_of(said.kind, said.direction).positive,
                probe_of(said.kind, said.direction).negative,
            )
            if note == "elsewhere":
                assert not any(tree.related(said.concept, each) for each in ids.values())
            else:
                assert said.concept in ids.values()
    assert all(said.opposite in true for said, _ in drawn["direction"])
    assert {note for _, note in drawn["region"]} == {"located", "elsewhere"}
    again = planted(facts, row, list(true), np.random.default_rng(1))
    assert again == drawn


def test_the_claim_check_is_scored_on_them(setting):
    facts, row, ids = setting
    claims = [
        claim(ids["forehead"], Kind.LIGHTNESS, "lighter"),
        claim(ids["forehead"], Kind.LIGHTNESS, "darker"),
        claim(ids["lips"], Kind.COLOUR, "bluer"),
    ]
    judged = judge_frame(facts, row, claims, np.random.default_rng(0))
    said = [one for one in judged if one.sort == "published"]
    assert [one.outcome for one in said] == ["right", "wrong", "right"]
    assert said[0].error == pytest.approx(0, abs=0.02)  # the same pixels were measured
    assert said[1].value < -8
    by_sort = {
        sort: {one.outcome for one in judged if one.sort == sort}
        for sort in ("true", "direction", "aim")
    }
    assert by_sort == {"true": {"supported"}, "direction": {"contradicted"}, "aim": {"stated"}}
    elsewhere = [one for one in judged if one.sort == "region" and "elsewhere" in one.note]
    assert {one.outcome for one in elsewhere} == {"contradicted"}


@pytest.mark.parametrize(
    ("region", "direction", "outcome"),
    [
        ("lips", "bluer", "stated"),
        ("mouth", "bluer", "stated"),
        ("upper lip", "bluer", "stated"),
        ("lips", "yellower", "missed"),
        ("nose", "bluer", "missed"),
        ("chin", "redder", "missed"),
    ],
)
def test_an_aim_is_told_by_the_region_or_its_relatives(setting, tree, region, direction, outcome):
    facts, _, _ = setting
    claims = [claim(tree.by_name[region].id, Kind.COLOUR, direction)]
    (one,) = aims_told(facts.aims, claims, tree, facts)
    assert one.outcome == outcome
    assert one.value == pytest.approx(12, abs=2)


def test_aims_of_a_frame_without_a_row_are_missed(setting, tree):
    (one,) = aims_told(setting[0].aims, (), tree)
    assert one.outcome == "rejected"
    assert np.isnan(one.value)


def test_what_was_aimed_at_a_part_may_be_false_of_the_whole(setting, tree):
    facts, row, ids = setting
    aims = [Stated(tree.by_name["middle upper forehead"].id, Kind.LIGHTNESS, "darker")]
    other = Facts(facts.gauge, facts.known, facts.labels, aims, tree, SETTINGS)
    darker = Stated(ids["forehead"], Kind.LIGHTNESS, "darker")
    assert darker in other.aims_of(ids["forehead"])
    assert darker not in true_statements(other, row)
