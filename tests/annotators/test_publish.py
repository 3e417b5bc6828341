import pytest

from annotators.explain import Statement
from annotators.publish import Ledger, Said, publish, said_by_evidence
from schemas.arrow import to_table
from schemas.errors import Rejected
from schemas.manifest import EvidenceSettings
from schemas.records import AnnotatedFrame, DroppedClaim, EvidenceKind

SETTINGS = EvidenceSettings()


@pytest.fixture
def strong(recoloured):
    """A significant measurement that has an opposite."""
    return next(
        one for one in recoloured.evidence if one.significant and one.kind == EvidenceKind.COLOUR
    )


def statement(one, direction=""):
    return Statement(one.category_id, one.kind, direction or one.direction, "The <p>x</p> is so.")


def test_a_true_statement_is_published_and_a_false_one_dropped_with_its_measurement(
    recoloured, strong
):
    ledger = Ledger(recoloured, SETTINGS)
    wrong = {"redder": "greener", "greener": "redder", "yellower": "bluer", "bluer": "yellower"}
    refuted = ledger.enter([statement(strong), statement(strong, wrong[strong.direction])])
    assert [claim.verdict for claim in ledger.claims] == ["supported"]
    assert [claim.direction for claim in refuted] == [wrong[strong.direction]]
    [dropped] = ledger.dropped
    assert (dropped.fate, dropped.round) == ("contradicted", 0)
    assert f"measured {strong.direction} by {strong.effect:.2f}" in dropped.reason


def test_nothing_is_entered_twice(recoloured, strong):
    ledger = Ledger(recoloured, SETTINGS)
    ledger.enter([statement(strong), statement(strong)])
    ledger.enter([statement(strong)], 1)
    assert len(ledger.claims) == 1
    assert ledger.dropped == []


@pytest.mark.parametrize("keeps", [False, True])
def test_what_no_measurement_decides_is_dropped_unless_it_is_kept(recoloured, keeps):
    ledger = Ledger(recoloured.model_copy(update={"evidence": ()}), SETTINGS, keeps)
    concept = recoloured.regions[0].category_id
    ledger.enter([Statement(concept, EvidenceKind.SEAM, "blending edge", "A <p>seam</p>.")])
    assert len(ledger.claims) == keeps
    assert [one.fate for one in ledger.dropped] == [] if keeps else ["untestable"]


def test_a_statement_about_a_region_that_was_not_given_is_never_published(recoloured):
    given = {region.category_id for region in recoloured.regions}
    other = next(c for c in range(1, 113) if c not in given)
    ledger = Ledger(recoloured.model_copy(update={"evidence": ()}), SETTINGS, True)
    ledger.enter([Statement(other, EvidenceKind.COLOUR, "redder", "The <p>x</p> is redder.")])
    assert ledger.claims == []
    assert len(ledger.dropped) == 1


def dropped(fate):
    return DroppedClaim(
        region="nose", category_id=None, kind="colour", direction="redder", sentence="No.",
        fate=fate, reason="because", round=0,
    )  # fmt: skip


def test_the_row_counts_what_its_writer_said(recoloured):
    said = said_by_evidence(recoloured, SETTINGS)
    fates = ("contradicted", "contradicted", "untestable", "refused")
    told = Said(
        said.frame, said.claims, tuple(dropped(fate) for fate in fates), explainer="mllm",
        recipe="fifa", model="m", prompt_hash="p", requests=("a", "b"),
    )  # fmt: skip
    row = publish(told, "hash")
    assert (row.claims_contradicted, row.claims_untestable, row.claims_refused) == (2, 1, 1)
    assert row.claims_supported == len(row.claims) == len(said.claims)
    assert row.explanation.count("[SEG]") == len(row.explanation_masks)
    assert "No." not in row.explanation
    assert row.requests == ("a", "b")


def test_the_statements_of_a_model_that_failed_are_kept_but_are_not_the_fallbacks(recoloured):
    said = said_by_evidence(recoloured, SETTINGS)
    told = Said(
        said.frame, said.claims, (dropped("contradicted"),), recipe="fifa",
        fallback_reason="nothing_stands: x",
    )  # fmt: skip
    row = publish(told, "hash")
    assert row.claims_contradicted == 0
    assert len(row.dropped) == 1
    [stored] = to_table([row], AnnotatedFrame).to_pylist()
    assert stored["dropped"][0]["fate"] == "contradicted"


def test_a_frame_of_which_nothing_can_be_said_is_rejected(recoloured):
    with pytest.raises(Rejected, match="no_evidence"):
        publish(Said(recoloured, ()), "hash")
