"""One frame, one conversation, against a server on loopback."""

import asyncio
import json

import pytest

from annotators.mllm.client import Client
from annotators.mllm.explainer import MllmExplainer, recipe_of, swapped
from annotators.mllm.store import AnswerStore
from annotators.publish import publish
from annotators.verify import verify
from schemas.arrow import to_table
from schemas.errors import UsageError
from schemas.explaining import Explain, Mllm
from schemas.manifest import EvidenceSettings
from schemas.records import DIRECTIONS, AnnotatedFrame
from tests.scripted_server import ScriptedServer, prompt_of, regions_of, true_claims

SETTINGS = EvidenceSettings()
METHODS = {"LipRecolour": "attribute edit", "MouthWarp": "expression reenactment", "U": "none"}


@pytest.fixture
def explain(recoloured, tmp_path):
    """Explains the frame by a reply; gives the row and the requests."""

    def ask(reply, finish_reason="stop", frames=None, **explain):
        async def talk(url):
            server = Mllm(base_url=url, model="scripted", retries=0)
            async with Client(server, store) as client:
                explainer = MllmExplainer(client, Explain(**explain), SETTINGS, METHODS)
                return await explainer.explain(frames or [recoloured])

        with (
            AnswerStore(tmp_path / "answers.sqlite") as store,
            ScriptedServer(reply, finish_reason) as server,
        ):
            said = asyncio.run(talk(server.url))
        return publish(said[0], "hash"), server.requests

    return ask


def false_claim(frame):
    """The opposite of the first significant colour of a frame."""
    names = {region.category_id: region.name for region in frame.regions}
    one = next(e for e in frame.evidence if e.significant and e.kind == "colour")
    turned = {"redder": "greener", "greener": "redder", "yellower": "bluer", "bluer": "yellower"}
    direction = turned[one.direction]
    region = names[one.category_id]
    return {
        "region": region, "kind": "colour", "direction": direction,
        "sentence": f"I claim that the {region} is {direction}.",
    }  # fmt: skip


def test_true_claims_land_in_the_row(explain):
    row, requests = explain(true_claims)
    assert (row.explainer, row.recipe, row.model) == ("mllm", "fifa", "scripted")
    assert row.fallback_reason is None
    assert row.claims_supported == len(row.claims) > 0
    assert row.dropped == ()
    assert "I can see that the <p>" in row.explanation
    assert row.explanation.count("[SEG]") == len(row.explanation_masks)
    assert len(requests) == len(row.requests) == 1


def test_the_request_shows_both_crops_the_outlines_and_the_evidence(explain, recoloured):
    _, [request] = explain(true_claims)
    content = request["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text"] + 3 * ["image_url"]
    assert regions_of(request) == [region.name for region in recoloured.regions]
    text = prompt_of(request)
    for one in recoloured.evidence:
        assert f"{one.kind} {one.direction}, {one.effect:.2f} {one.unit}" in text
    for kind, words in DIRECTIONS.items():
        assert f"- {kind}: {', '.join(words)}" in text
    allowed = request["response_format"]["json_schema"]["schema"]["properties"]["claims"]
    assert allowed["items"]["properties"]["region"]["enum"] == regions_of(request)
    form = text[text.index('{"cannot_tell"') : text.index("\n\nKinds and")]
    assert set(json.loads(form)) == {"cannot_tell", "claims"}


@pytest.mark.parametrize("method", ["hidden", "told", "swapped"])
def test_the_method_is_told_only_where_the_manifest_says_so(explain, method):
    _, [request] = explain(true_claims, method=method)
    named = [name for name in (*METHODS, "attribute edit") if name in prompt_of(request)]
    expected = {"hidden": [], "told": ["LipRecolour", "attribute edit"], "swapped": ["MouthWarp"]}
    assert [name for name in named if name != "U"] == expected[method]


def test_a_swapped_method_is_another_class_where_there_is_one(recoloured):
    assert swapped(recoloured, METHODS).name == "MouthWarp"
    same = {"LipRecolour": "attribute edit", "SkinSmoothing": "attribute edit"}
    assert swapped(recoloured, same).name == "SkinSmoothing"


def test_refuted_claims_are_asked_about_once_and_then_dropped(explain, recoloured):
    false = false_claim(recoloured)

    def stubborn(request):
        true = json.loads(true_claims(request))["claims"]
        return json.dumps({"cannot_tell": False, "claims": [*true, false]})

    row, [first, second] = explain(stubborn)
    question = second["messages"][-1]["content"][0]["text"]
    assert f"- {false['region']}: colour {false['direction']} (measured" in question
    assert "I claim" not in question  # our own words, not the model's
    assert second["messages"][:1] == first["messages"]
    assert row.claims_contradicted == 1
    [dropped] = row.dropped
    assert (dropped.fate, dropped.direction, dropped.round) == (
        "contradicted", false["direction"], 0,
    )  # fmt: skip
    assert "I claim" not in row.explanation
    assert all(claim.verdict == "supported" for claim in row.claims)


def test_what_the_model_says_instead_of_a_refuted_claim_is_checked_and_published(
    explain, recoloured
):
    false = false_claim(recoloured)

    def learns(request):
        if len(request["messages"]) == 1:
            return json.dumps({"claims": [false]})
        return true_claims(request)

    row, requests = explain(learns)
    assert len(requests) == 2
    assert row.explainer == "mllm"
    assert row.claims_supported == len(row.claims) > 1
    assert [one.round for one in row.dropped] == [0]


def test_a_frame_of_which_no_claim_stands_falls_back_and_keeps_what_was_said(explain, recoloured):
    row, _ = explain(lambda request: json.dumps({"claims": [false_claim(recoloured)]}))
    assert row.explainer == "evidence"
    assert row.fallback_reason.startswith("nothing_stands:")
    assert (row.model, row.prompt_hash, row.recipe) == (None, None, "fifa")
    assert [one.fate for one in row.dropped] == ["contradicted"]
    assert row.claims_contradicted == 0
    assert len(row.requests) == 2


@pytest.mark.parametrize(
    ("answer", "reason", "asked"),
    [
        ("I am sorry, I cannot help with that.", "invalid_answer", 3),
        ("", "empty_answer", 3),
        ('{"cannot_tell": true, "claims": []}', "cannot_tell", 1),
        ('{"claims": [{"region": "tail", "kind": "colour", "direction": "redder", '
         '"sentence": "x"}]}', "unknown_regions", 3),
        ((500, '{"error": {"message": "boom"}}'), "server_error", 1),
        ((400, '{"error": {"message": "too long"}}'), "refused_request: HTTP 400: too long", 1),
        ((200, "not json at all"), "server_error: no JSON came", 1),
        ((200, '{"choices": [{"mess'), "broken_answer", 3),
        ((200, '{"choices": []}'), "empty_answer", 3),
    ],
)  # fmt: skip
def test_a_bad_answer_falls_back_with_its_reason(explain, answer, reason, asked):
    row, requests = explain(lambda request: answer)
    assert row.explainer == "evidence"
    assert row.fallback_reason.startswith(reason)
    assert row.claims
    assert len(requests) == asked


def test_an_invalid_answer_is_told_what_is_wrong_and_may_be_mended(explain):
    def mends(request):
        return '{"claims": "many"}' if len(request["messages"]) == 1 else true_claims(request)

    row, [_, again] = explain(mends)
    assert row.explainer == "mllm"
    assert [message["role"] for message in again["messages"]] == ["user", "assistant", "user"]
    assert '"claims" must be a list' in again["messages"][-1]["content"][0]["text"]


def test_a_cut_answer_is_asked_again(explain):
    cut = '{"claims": [{"region": "upper li'
    row, requests = explain(lambda request: cut, finish_reason="length")
    assert row.fallback_reason.startswith(("cut_answer:", "invalid_answer:"))
    assert len(requests) == 3


def test_refused_statements_are_counted_and_kept(explain):
    def strange(request):
        true = json.loads(true_claims(request))["claims"]
        return json.dumps({"claims": [*true, true[0] | {"region": "tail \u202e\ud800"}]})

    row, _ = explain(strange)
    assert row.claims_refused == 1
    assert [one.fate for one in row.dropped] == ["refused"]
    assert to_table([row], AnnotatedFrame).num_rows == 1  # no lone surrogates


def test_the_published_claims_are_those_that_the_check_supports(explain, recoloured):
    row, _ = explain(true_claims)
    assert {claim.verdict for claim in verify(row.claims, recoloured, SETTINGS)} == {"supported"}


def test_an_unknown_recipe_names_the_known_ones():
    with pytest.raises(UsageError, match=r"'fiva' \(did you mean 'fifa'\?\); known: fifa"):
        recipe_of(Explain(recipe="fiva"))
