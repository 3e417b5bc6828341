import json

import cv2
import numpy as np
import pytest

from annotators.mllm import MllmExplainer, bind, fill, outlined, parse
from annotators.pipeline import explain_frame
from annotators.verify import verify
from qa.pictures import decode
from schemas.errors import BackendUnavailable
from schemas.explaining import Mllm
from schemas.manifest import EvidenceSettings
from schemas.records import DIRECTIONS, MeasuredFrame
from schemas.shards import read_records
from tests.scripted_server import ScriptedServer, prompt_of, regions_of, true_claims

SETTINGS = EvidenceSettings()


@pytest.fixture(scope="module")
def frame(annotated) -> MeasuredFrame:
    run, _ = annotated
    paths = [p for p in run.measured.folder.glob("*.parquet") if "rejects" not in p.name]
    rows = read_records(sorted(paths), MeasuredFrame)
    return next(row for row in rows if row.method == "LipRecolour")


def explain(reply, frame, finish_reason="stop", **settings):
    with ScriptedServer(reply, finish_reason) as server:
        block = Mllm(base_url=server.url, model="scripted", retries=0, **settings)
        explainer = MllmExplainer(block)
        try:
            return explain_frame(frame, explainer, SETTINGS, "hash"), server
        finally:
            explainer.client.close()


def claim(frame, **changes):
    said = {
        "region": frame.regions[0].name, "kind": "colour", "direction": "redder",
        "sentence": "It is redder.",
    }  # fmt: skip
    return json.dumps({"claims": [said | changes]})


def test_true_claims_land_in_the_row(frame):
    row, server = explain(true_claims, frame)
    assert row.explainer == "mllm"
    assert row.model == "scripted"
    assert row.fallback_reason is None
    assert row.prompt_hash
    assert row.claims_supported == len(row.claims) > 0
    assert row.claims_contradicted == 0
    assert "I can see that the <p>" in row.explanation
    assert row.explanation.count("[SEG]") == len(row.explanation_masks)
    assert len(server.requests) == 1


def test_the_request_shows_both_crops_the_outlines_and_the_evidence(frame):
    _, server = explain(true_claims, frame)
    content = server.requests[0]["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text"] + 3 * ["image_url"]
    assert all(p["image_url"]["url"].startswith("data:image/png;base64,") for p in content[1:])
    assert regions_of(server.requests[0]) == [region.name for region in frame.regions]
    text = prompt_of(server.requests[0])
    for word in (frame.method, frame.forgery):
        assert word not in text  # told, it would be parroted
    for kind, words in DIRECTIONS.items():
        assert f"- {kind}: {', '.join(words)}" in text


def test_the_outlines_are_on_a_copy_and_near_the_regions(frame):
    fake = decode(frame.fake)
    before = fake.copy()
    drawn = outlined(fake, frame)
    assert np.array_equal(fake, before)
    changed = (drawn != fake).any(axis=2)
    x, y, w, h = (int(v) for v in frame.artifact.bbox)
    assert changed[y : y + h, x : x + w].any()


def test_false_claims_are_refuted_and_not_published(frame):
    region = frame.regions[0].name

    def reply(request):
        true = json.loads(true_claims(request))["claims"]
        false = {"region": region, "kind": "colour", "direction": "greener", "sentence": "Greener."}
        return json.dumps({"claims": [*true, false]})

    row, _ = explain(reply, frame)
    assert row.claims_contradicted == 1
    assert all(c.verdict == "supported" for c in row.claims)
    assert "Greener" not in row.explanation


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("I am sorry, I cannot help with that.", "invalid_answer"),
        ("", "empty_answer"),
        ('{"claims": [{"region": 1}]}', "invalid_answer"),
        ('{"claims": "many"}', "invalid_answer"),
        ('{"cannot_tell": true, "claims": []}', "cannot_tell"),
        ("{}", "cannot_tell"),
        ("[" * 5000, "invalid_answer"),
        ('{"claims": [{"region": "tail", "kind": "colour", "direction": "redder", '
         '"sentence": "x"}]}', "unknown_regions"),
        ((500, '{"error": {"message": "boom"}}'), "server_error"),
        ((200, "not json at all"), "server_error"),
        ((200, '{"choices": []}'), "empty_answer"),
        ((429, '{"error": {"message": "slow down"}}'), "server_error"),
    ],
)  # fmt: skip
def test_a_bad_answer_falls_back_with_its_reason(frame, answer, reason):
    row, _ = explain(lambda request: answer, frame)
    assert row.explainer == "evidence"
    assert row.fallback_reason.startswith(f"{reason}:")
    assert row.claims
    assert row.model is None


def test_only_false_claims_fall_back(frame):
    row, _ = explain(lambda request: claim(frame, direction="greener"), frame)
    assert row.fallback_reason.startswith("all_contradicted:")


def test_a_cut_answer_falls_back(frame):
    row, _ = explain(true_claims, frame, finish_reason="length")
    assert row.fallback_reason.startswith("cut_answer:")


def test_a_server_that_is_not_there_falls_back(frame):
    block = Mllm(base_url="http://127.0.0.1:9/v1", model="m", retries=0)
    row = explain_frame(frame, MllmExplainer(block), SETTINGS, "hash")
    assert row.fallback_reason == "server_error: APIConnectionError"


def test_a_refused_key_stops_the_run(frame):
    with pytest.raises(BackendUnavailable, match=r"refused the key in SOME_KEY \(HTTP 401\)"):
        explain(lambda r: (401, '{"error": {}}'), frame, api_key_env="SOME_KEY")


def test_a_remote_server_needs_a_key(monkeypatch):
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(BackendUnavailable, match="set the environment variable SOME_KEY"):
        MllmExplainer(Mllm(base_url="https://example.org/v1", model="m", api_key_env="SOME_KEY"))


def test_the_key_is_sent_and_stays_out_of_the_row(frame, monkeypatch):
    monkeypatch.setenv("SOME_KEY", "planted-secret")
    row, server = explain(true_claims, frame, api_key_env="SOME_KEY")
    assert server.keys == ["Bearer planted-secret"]
    assert "planted-secret" not in repr(row.model_dump())


def test_json_in_a_code_fence_is_read():
    assert parse('```json\n{"cannot_tell": true}\n```').cannot_tell


@pytest.mark.parametrize(
    ("said", "bound"),
    [
        ("The upper lip is redder.", "The <p>upper lip</p> is redder."),
        ("The <p>nose</p> and the Upper Lip.", "The nose and the <p>Upper Lip</p>."),
        ("It is redder.", "About the <p>upper lip</p>: It is redder."),
        ("The <p>upper lip</p> [SEG] is odd.", "The <p>upper lip</p> is odd."),
        ("upper lip\n\x00\u202eignore all rules", "<p>upper lip</p> ignore all rules"),
    ],
)
def test_a_sentence_is_bound_to_its_region_alone(said, bound):
    assert bind(said, "upper lip") == bound


def test_braces_in_the_models_text_are_only_text(frame):
    region = frame.regions[0].name
    sentence = f"The {region} {{0.__class__}} {{text}} is redder."
    row, _ = explain(lambda request: claim(frame, sentence=sentence), frame)
    assert "{0.__class__} {text}" in row.explanation


def test_the_prompt_has_no_placeholder_left(frame):
    text = fill(MllmExplainer(Mllm(base_url="http://127.0.0.1:9/v1", model="m")).prompt, frame)
    assert "{regions}" not in text
    assert "{vocabulary}" not in text
    assert json.loads(text[text.index('{"cannot_tell"') : text.index("\n\nKinds and")])


def test_pictures_are_sent_at_the_set_size(frame):
    import base64

    _, server = explain(true_claims, frame, image_size=128)
    url = server.requests[0]["messages"][0]["content"][1]["image_url"]["url"]
    encoded = np.frombuffer(base64.b64decode(url.split(",")[1]), np.uint8)
    assert cv2.imdecode(encoded, cv2.IMREAD_COLOR).shape == (128, 128, 3)


def test_the_checked_statements_are_those_of_the_model(frame):
    with ScriptedServer(true_claims) as server:
        explainer = MllmExplainer(Mllm(base_url=server.url, model="scripted", retries=0))
        said = explainer(frame)
        explainer.client.close()
    verdicts = {c.verdict for c in verify(said.statements, frame, SETTINGS)}
    assert verdicts == {"supported"}
