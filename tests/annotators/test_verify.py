import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotators.evidence import PROBES, probe_of
from annotators.explain import Statement
from annotators.verify import verify
from schemas import rle
from schemas.manifest import EvidenceSettings
from schemas.records import (
    DIRECTIONS,
    ArtifactMask,
    Evidence,
    EvidenceKind,
    MeasuredFrame,
    Picture,
    Region,
)

SETTINGS = EvidenceSettings()


def measured(effect, spread, direction="darker", kind=EvidenceKind.LIGHTNESS, concept=1):
    least = getattr(SETTINGS, kind.value)
    significant = effect >= least and effect >= SETTINGS.min_significance * spread
    return Evidence(
        category_id=concept, kind=kind, direction=direction, effect=effect, unit="L*",
        spread=spread, significant=significant,
    )  # fmt: skip


CHANGED, NEAR, FAR = 1, 2, 3
"""Concepts of a made frame: one that changed as a whole, one by a half, one not at all."""


def frame(evidence):
    labels = np.repeat(np.array([CHANGED, NEAR, NEAR, FAR], np.uint8), 16)[None].repeat(64, 0)
    mask = np.zeros((64, 64), bool)
    mask[:, :32] = True
    picture = Picture(bytes=cv2.imencode(".png", labels)[1].tobytes(), path="")
    part = rle.encode(mask)
    return MeasuredFrame.model_construct(
        evidence=tuple(evidence),
        regions=(Region.model_construct(category_id=CHANGED),),
        label_map=picture,
        artifact=ArtifactMask.model_construct(segmentation=part),
    )


def verdict(evidence, direction="darker", kind=EvidenceKind.LIGHTNESS, concept=CHANGED):
    statement = Statement(concept, kind, direction, "The <p>nose</p> is darker.")
    return verify([statement], frame(evidence), SETTINGS)[0]


def test_a_true_statement_is_supported_with_its_measurement():
    claim = verdict([measured(8.0, 0.3)])
    assert claim.verdict == "supported"
    assert claim.reason == "measured darker by 8.00 L*, chance gives 0.30"


def test_the_wrong_direction_is_contradicted():
    assert verdict([measured(8.0, 0.3)], "lighter").verdict == "contradicted"


def test_a_change_that_would_have_been_seen_is_contradicted():
    claim = verdict([measured(0.2, 0.1)])
    assert claim.verdict == "contradicted"
    assert "would have been seen" in claim.reason


def test_a_change_just_under_the_noticeable_is_not_contradicted():
    assert verdict([measured(0.9, 0.15)]).verdict == "untestable"
    assert verdict([measured(0.9, 0.15)], "lighter").verdict == "contradicted"


def test_what_noise_hides_is_untestable():
    assert verdict([measured(1.0, 3.0)]).verdict == "untestable"


def test_what_was_not_measured_of_a_changed_region_is_untestable():
    assert verdict([]).verdict == "untestable"
    assert verdict([measured(8.0, 0.3)], concept=NEAR).verdict == "untestable"


def test_a_region_without_a_changed_pixel_did_not_change():
    claim = verdict([measured(8.0, 0.3)], concept=FAR)
    assert claim.verdict == "contradicted"
    assert claim.reason == "0 of its 1024 pixels changed: nothing changed there"


def test_a_direction_that_the_kind_does_not_have_is_untestable():
    assert verdict([measured(8.0, 0.3)], "redder").verdict == "untestable"


def test_the_two_colour_axes_do_not_contradict_each_other():
    red = measured(8.0, 0.3, "redder", EvidenceKind.COLOUR)
    assert verdict([red], "yellower", EvidenceKind.COLOUR).verdict == "untestable"


@given(
    st.sampled_from([(k, d) for k, words in DIRECTIONS.items() for d in words]),
    st.floats(0, 50),
    st.floats(0.001, 20),
)
def test_opposite_statements_are_never_both_supported(said, effect, spread):
    kind, direction = said
    probe = probe_of(kind, direction)
    assert probe in PROBES
    if probe.positive == probe.negative:
        return
    other = probe.negative if direction == probe.positive else probe.positive
    evidence = [measured(effect, spread, direction, kind)]
    verdicts = verdict(evidence, direction, kind).verdict, verdict(evidence, other, kind).verdict
    assert verdicts != ("supported", "supported")
    if evidence[0].significant:
        assert verdicts == ("supported", "contradicted")


@pytest.mark.parametrize("kind", list(EvidenceKind))
def test_significance_needs_the_least_noticeable_change(kind):
    least = getattr(SETTINGS, kind.value)
    direction = DIRECTIONS[kind][0]
    assert verdict([measured(least * 1.01, 1e-6, direction, kind)], direction, kind).verdict == (
        "supported"
    )
    assert verdict([measured(least * 0.5, 1e-6, direction, kind)], direction, kind).verdict == (
        "contradicted"
    )
