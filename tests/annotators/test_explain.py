import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotators.explain import compose, explain_by_evidence, is_plural, plain, sentence, strongest
from schemas.manifest import EvidenceSettings
from schemas.records import (
    DIRECTIONS,
    SEG,
    Claim,
    Evidence,
    EvidenceKind,
    MeasuredFrame,
    Segmentation,
)
from schemas.shards import read_records

SETTINGS = EvidenceSettings()


def evidence(kind, direction, effect=5.0, spread=0.1, concept=1, significant=True):
    return Evidence(
        category_id=concept, kind=kind, direction=direction, effect=effect, unit="L*",
        spread=spread, significant=significant,
    )  # fmt: skip


def claim(concept, number):
    return Claim(
        category_id=concept, kind=EvidenceKind.LIGHTNESS, direction="darker",
        sentence=f"Number {number}: the <p>region {concept}</p> is darker.",
        verdict="supported", reason="",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "direction"), [(k, d) for k, words in DIRECTIONS.items() for d in words]
)
def test_there_is_a_sentence_for_every_measurement(kind, direction):
    text = sentence("upper lip", evidence(kind, direction, 0.2), SETTINGS)
    assert text.count("<p>upper lip</p>") == 1
    assert "{" not in text
    assert text.endswith(".")


def test_the_sentence_says_how_much_and_no_more():
    text = sentence("nose", evidence(EvidenceKind.LIGHTNESS, "darker", 9.2), SETTINGS)
    assert (
        text
        == "The <p>nose</p> is clearly darker than in the real face, by 9 of 100 lightness steps."
    )
    small = sentence("lips", evidence(EvidenceKind.SIZE, "larger", 0.04), SETTINGS)
    assert small == "The <p>lips</p> are slightly larger than in the real face, by 4%."


@pytest.mark.parametrize(
    ("name", "plural"),
    [("eyes", True), ("upper teeth", True), ("left iris", False), ("right inner canthus", False),
     ("nose", False), ("lips", True), ("chin and jaw", True)],
)  # fmt: skip
def test_verbs_agree(name, plural):
    assert is_plural(name) is plural


def test_only_significant_changes_are_told_the_surest_first():
    found = [
        evidence(EvidenceKind.LIGHTNESS, "darker", 4, 0.5),
        evidence(EvidenceKind.COLOUR, "redder", 4, 0.1),
        evidence(EvidenceKind.TEXTURE, "less textured", 0.1, 0.1, significant=False),
        evidence(EvidenceKind.CHANGE, "altered", 9, 0.01),
        evidence(EvidenceKind.SEAM, "blending edge", 4, 0.1, concept=2),
    ]
    assert [one.kind for one in strongest(found, 1)] == [
        EvidenceKind.COLOUR,
        EvidenceKind.LIGHTNESS,
    ]


def test_that_something_was_altered_is_said_where_nothing_else_can_be():
    found = [
        evidence(EvidenceKind.CHANGE, "altered", 9, 0.01),
        evidence(EvidenceKind.COLOUR, "redder", 0.1, 0.1, significant=False),
    ]
    assert [one.kind for one in strongest(found, 1)] == [EvidenceKind.CHANGE]


@given(st.lists(st.integers(1, 5), max_size=8))
def test_every_mask_of_an_explanation_has_its_mark(concepts):
    masks = {n: Segmentation(size=(4, 4), counts=str(n)) for n in range(1, 6)}
    claims = [claim(concept, number) for number, concept in enumerate(concepts)]
    text, used = compose(claims, masks)
    assert text.count(SEG) == len(used) == len(set(concepts))
    assert text.count("</p> [SEG]") == text.count("<p>") == len(used)
    order = list(dict.fromkeys(concepts))
    assert [mask.counts for mask in used] == [str(concept) for concept in order]
    for number in range(len(concepts)):
        assert f"Number {number}:" in text
    assert "<p>" not in plain(text)
    assert SEG not in plain(text)


def test_the_evidence_explainer_speaks_of_every_measured_region(annotated):
    run, _ = annotated
    paths = [p for p in run.measured.folder.glob("*.parquet") if "rejects" not in p.name]
    for frame in read_records(sorted(paths), MeasuredFrame):
        statements = explain_by_evidence(frame, SETTINGS)
        known = {one.category_id for one in frame.evidence if one.significant}
        assert {one.category_id for one in statements} == known
