import pytest

from annotators.explain import sentence
from annotators.mllm.agreement import disagreement
from fict.tree import load_tree
from schemas.manifest import EvidenceSettings
from schemas.records import DIRECTIONS, Evidence, EvidenceKind

TREE = load_tree()


def of(text, region, kind, direction):
    return disagreement(text, TREE.by_name[region].id, EvidenceKind(kind), direction)


@pytest.mark.parametrize("kind", DIRECTIONS)
def test_our_own_sentences_agree_with_their_claims(kind):
    """For every direction, of a left, a right, an upper and a plural region."""
    for direction in DIRECTIONS[kind]:
        for region in ("left eye", "right cheek", "upper lip", "eyebrows", "nose tip"):
            concept = TREE.by_name[region].id
            one = Evidence(
                category_id=concept, kind=kind, direction=direction, effect=5.0, unit="",
                spread=0.1, significant=True,
            )  # fmt: skip
            said = sentence(region, one, EvidenceSettings())
            assert disagreement(said, concept, kind, direction) == "", said


@pytest.mark.parametrize("kind", [k for k, ways in DIRECTIONS.items() if len(ways) > 1])
def test_a_sentence_of_another_direction_is_told_from_its_claim(kind):
    """Our own sentence for one direction, under a claim of each other direction."""
    concept = TREE.by_name["nose tip"].id
    for direction in DIRECTIONS[kind]:
        one = Evidence(
            category_id=concept, kind=kind, direction=direction, effect=5.0, unit="", spread=0.1,
            significant=True,
        )  # fmt: skip
        said = sentence("nose tip", one, EvidenceSettings())
        for other in set(DIRECTIONS[kind]) - {direction}:
            assert disagreement(said, concept, kind, other), (said, other)


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("The <p>left eye</p> and the right eye are larger.", "left eye"),
        ("The <p>upper lip</p>, unlike the lower lip, is redder.", "upper lip"),
        ("The <p>nose tip</p> is redder than the Left Cheek.", "nose tip"),
    ],
)
def test_a_sentence_about_a_second_region_is_found(text, region):
    assert "too: one sentence, one region" in of(text, region, "change", "altered")


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("The <p>left eye</p> looks altered; its left iris does, too.", "left eye"),  # part of it
        ("The <p>left iris</p> of the left eye is altered.", "left iris"),
        ("The <p>nose</p> differs from that of the real face.", "nose"),
    ],
)
def test_parts_of_the_region_and_the_whole_face_may_be_named(text, region):
    assert of(text, region, "change", "altered") == ""


def test_the_words_of_the_regions_name_are_no_direction():
    assert of("The <p>upper lip</p> is sitting lower.", "upper lip", "position", "moved down") == ""
    assert "says moved down" in of(
        "The <p>upper lip</p> is sitting lower.", "upper lip", "position", "moved up"
    )
    assert of("The <p>left eye</p> has shifted.", "left eye", "position", "moved right") == ""
