"""Sentences are read back as what they claim, or not at all."""

import pytest

from annotators.explain import sentence
from annotators.mllm.recipes.fifa_mllm import book
from schemas.manifest import EvidenceSettings
from schemas.phrasebook import Phrasebook, Stated, plain, sentences, unquantified
from schemas.records import DIRECTIONS, Evidence, EvidenceKind

WAYS = [(kind, way) for kind, ways in DIRECTIONS.items() for way in ways]


def said(region, kind, way, effect=0.07):
    evidence = Evidence(
        category_id=1, kind=kind, direction=way, effect=effect, unit="", spread=0.01,
        significant=True,
    )  # fmt: skip
    return sentence(region, evidence, EvidenceSettings())


@pytest.mark.parametrize(("kind", "way"), WAYS)
@pytest.mark.parametrize("region", ["left eyebrow", "eyes", "chin and jaw", "face"])
def test_our_sentences_are_read_back_tagged_and_plain(kind, way, region):
    for effect in (0.07, 1.9, 40.0):
        text = said(region, kind, way, effect)
        told = Stated(region, kind, way)
        assert book().read(text) == told
        assert book().read(plain(text)) == told


@pytest.mark.parametrize(("kind", "way"), WAYS)
def test_no_number_is_left_and_the_claim_stays(kind, way):
    bare = unquantified(plain(said("eyes", kind, way)))
    assert not any(letter.isdigit() for letter in bare)
    assert bare.endswith(".")
    assert "eyes" in bare


def test_other_wordings_are_not_guessed_at():
    for text in ("The nose is odd.", "This face is fake.", "", "The nose is darker.", "blorp"):
        assert book().read(text) is None


def test_the_region_is_the_tagged_phrase_else_the_first_name():
    assert book().region("The <p>Left Eye</p> of the nose") == "left eye"
    assert book().region("The left eye is not the nose") == "left eye"
    assert book().region("Nothing here") == ""


def test_sentences_end_where_a_new_one_begins_not_in_numbers():
    text = "The nose is darker, by 1.9 of 100. The <p>eyes</p> [SEG] are larger! Both."
    assert len(sentences(text)) == 3
    assert plain(sentences(text)[1]) == "The eyes are larger!"


def test_a_book_knows_what_it_learnt():
    learnt = Phrasebook(["nose", "eyes"])
    learnt.learn("The <p>nose</p> glows by 3 units.", EvidenceKind.LIGHTNESS, "lighter")
    assert len(learnt) == 1
    told = learnt.read("The eyes glows by 4.5 units.")
    assert told == Stated("eyes", EvidenceKind.LIGHTNESS, "lighter")
