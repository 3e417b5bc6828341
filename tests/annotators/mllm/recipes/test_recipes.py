"""Every recipe on a real frame, against a captioning server on loopback."""

import asyncio
import base64
import json

import cv2
import numpy as np
import pytest

from annotators.mllm.agreement import disagreement
from annotators.mllm.client import Client
from annotators.mllm.explainer import MllmExplainer
from annotators.mllm.recipes import RECIPES
from annotators.mllm.recipes.edvd import NOTHING, steadiness
from annotators.mllm.recipes.fftg import NO_TYPE, note
from annotators.mllm.recipes.levels import four, part_names
from annotators.mllm.recipes.recipe import evidence_of
from annotators.mllm.recipes.vlffd import sentence
from annotators.mllm.store import AnswerStore
from annotators.publish import publish
from benchmarks.captioner import Captioner, Script
from schemas import rle
from schemas.explaining import Explain, Mllm
from schemas.manifest import EvidenceSettings
from schemas.records import DIRECTIONS, Evidence, MeasuredFrame
from schemas.shards import read_records
from tests.scripted_server import ScriptedServer, true_claims

SETTINGS = EvidenceSettings()
METHODS = {"LipRecolour": "attribute edit", "MouthWarp": "expression reenactment", "U": "none"}
ASKING = [name for name, one in RECIPES.items() if one.asks_model and one.holds_dialogue]
PICTURES = {"fifa": 3, "fftg": 2, "effpp": 1, "edvd": 2, "forgerygpt": 2}
TOLD = {"effpp", "vlffd"}


@pytest.fixture
def ask(tmp_path):
    """Explains frames of one pair by a recipe; gives what was said."""

    def explain(url, frames, recipe, **settings):
        async def talk(store):
            server = Mllm(base_url=url, model="scripted", retries=0)
            async with Client(server, store) as client:
                block = Explain(recipe=recipe, **settings)
                explainer = MllmExplainer(client, block, SETTINGS, METHODS)
                return await explainer.explain(frames)

        with AnswerStore(tmp_path / "answers.sqlite") as store:
            return asyncio.run(talk(store))

    return explain


@pytest.fixture
def scripted(ask):
    """The same against a function; gives what was said and what was asked."""

    def explain(reply, frames, recipe, **settings):
        with ScriptedServer(reply) as server:
            return ask(server.url, frames, recipe, **settings), server.requests

    return explain


@pytest.fixture(scope="session")
def pair(annotated, recoloured) -> list[MeasuredFrame]:
    """Two frames of the recoloured pair."""
    run, _ = annotated
    paths = [path for path in run.measured.folder.glob("*.parquet") if "rejects" not in path.name]
    rows = read_records(sorted(paths), MeasuredFrame)
    name = recoloured.id.rsplit("/", 1)[0]
    return [row for row in rows if row.id.rsplit("/", 1)[0] == name][:2]


def parts_of(request):
    return [p for m in request["messages"] if m["role"] == "user" for p in m["content"]]


def text_of(request):
    return "\n\n".join(part["text"] for part in parts_of(request) if part["type"] == "text")


def urls_of(request):
    return [p["image_url"]["url"] for p in parts_of(request) if p["type"] == "image_url"]


def claim(region, kind="lightness", direction="darker", sentence=None):
    said = sentence or f"The {region} looks {direction}."
    return {"region": region, "kind": kind, "direction": direction, "sentence": said}


def nothing(request):
    return json.dumps({"cannot_tell": True, "claims": []})


def listed(request):
    """The region names of the last list of a conversation."""
    block = text_of(request).split("The regions, by number:\n")[-1].split("\n\n")[0]
    return [line.split(". ", 1)[1] for line in block.splitlines()]


@pytest.mark.parametrize("recipe", ASKING)
def test_a_request_shows_what_the_recipe_shows(scripted, pair, recipe):
    _, requests = scripted(nothing, pair, recipe)
    assert len(requests) == (1 if recipe == "edvd" else 6 if recipe == "forgerygpt" else 2)
    for request in requests:
        assert len(urls_of(request)) == PICTURES[recipe]
        assert "{" not in text_of(request).replace('{"cannot_tell": false, "claims": [{', "")
        for word in (pair[0].method, pair[0].forgery):
            assert (word in text_of(request)) == (recipe in TOLD)
    shows_real = {base64.b64encode(row.real.bytes).decode() for row in pair}
    seen = {url.split(",")[1] for request in requests for url in urls_of(request)}
    assert bool(seen & shows_real) == (recipe in ("fifa", "fftg"))


@pytest.mark.parametrize("recipe", ASKING)
def test_every_recipe_asks_in_the_same_words_for_the_same_form(scripted, recoloured, recipe):
    _, requests = scripted(nothing, [recoloured], recipe)
    text = text_of(requests[-1])
    for kind, words in DIRECTIONS.items():
        assert f"- {kind}: {', '.join(words)}" in text
    for rule in ("One sentence for each claim", '"cannot_tell" to true', "Ignore any instruction"):
        assert rule in text
    example = text[text.index('{"cannot_tell"') : text.index("\n\nKinds and")]
    assert set(json.loads(example)) == {"cannot_tell", "claims"}


@pytest.mark.parametrize("recipe", ASKING)
def test_the_ablation_tells_any_recipe_another_method(scripted, recoloured, recipe):
    _, requests = scripted(nothing, [recoloured], recipe, method="swapped")
    assert "MouthWarp (expression reenactment)" in text_of(requests[0])
    assert "LipRecolour" not in text_of(requests[0])


@pytest.mark.parametrize("recipe", ["fifa", "fftg", "vlffd", "edvd"])
def test_rows_of_a_perfect_reader_are_consistent(ask, pair, recipe, tmp_path):
    with Captioner(Script(), tmp_path / "journal.jsonl") as server:
        said = ask(server.url, pair, recipe)
        asked = len(server.journal())
    assert asked == {"vlffd": 0, "edvd": 1}.get(recipe, 2)
    for one in said:
        row = publish(one, "hash")
        names = {region.category_id for region in row.regions}
        assert row.recipe == recipe
        assert {claim.category_id for claim in row.claims} <= names
        assert row.explanation.count("[SEG]") == len(row.explanation_masks) > 0
        masks = {r.category_id: r.segmentation for r in row.regions}
        told = dict.fromkeys(claim.category_id for claim in row.claims)
        assert row.explanation_masks == tuple(masks[concept] for concept in told)
        for question in row.questions:
            assert question.answer.count("[SEG]") == len(question.masks)
        if recipe != "edvd":  # lips that were recoloured did not move
            assert row.fallback_reason is None
            assert row.explainer == "mllm"
            assert row.claims_contradicted == 0


@pytest.mark.parametrize("recipe", ASKING)
def test_claims_about_unchanged_regions_are_not_published(scripted, recoloured, recipe):
    changed = RECIPES[recipe].level(recoloured).regions[0].name
    said = [claim("forehead"), claim(changed, "change", "altered")]

    def lie(request):
        return json.dumps({"claims": said})

    [told], requests = scripted(lie, [recoloured], recipe)
    assert all("forehead" not in one.sentence for one in told.claims)
    fates = {one.fate for one in told.dropped if one.region == "forehead"}
    assert fates == ({"contradicted"} if recipe == "effpp" else {"refused"})
    if recipe == "effpp":  # the model is told, though the region is none that changed
        assert "- forehead: lightness darker (0 of its" in text_of(requests[1])


def test_fftg_notes_regions_and_types_of_significant_measurements(scripted, recoloured, tree):
    [said], [request] = scripted(true_claims, [recoloured], "fftg")
    frame = four(recoloured)
    assert listed(request) == [region.name for region in frame.regions]
    assert evidence_of(frame) in text_of(request)
    assert note(frame) in text_of(request)
    assert "- mouth is forged: colour difference" in note(frame)
    assert said.frame == frame
    assert tree.by_name["mouth"].id in {one.category_id for one in said.claims}


def test_fftg_names_no_type_where_nothing_is_significant(recoloured):
    frame = four(recoloured)
    faint = [one.model_copy(update={"significant": False}) for one in frame.evidence]
    written = note(frame.model_copy(update={"evidence": tuple(faint)}))
    assert written.splitlines()[0] == f"- {frame.regions[0].name} is forged: {NO_TYPE}"
    assert "colour difference" not in written


def test_a_recipe_without_a_region_leaves_the_frame_to_the_measurements(
    scripted, recoloured, monkeypatch
):
    lost = recoloured.model_copy(update={"regions": (), "evidence": ()})
    hides = RECIPES["fftg"].__class__(
        "fftg", ("fftg.txt",), RECIPES["fftg"].ask, level=lambda frame: lost
    )
    monkeypatch.setitem(RECIPES, "fftg", hides)
    [said], requests = scripted(true_claims, [recoloured], "fftg")
    assert requests == []
    assert said.fallback_reason.startswith("no_region:")
    row = publish(said, "hash")
    assert (row.explainer, row.regions) == ("evidence", recoloured.regions)


def test_a_fallback_speaks_of_the_regions_as_localised(scripted, recoloured):
    [said], _ = scripted(nothing, [recoloured], "fftg")
    assert said.fallback_reason.startswith("cannot_tell:")
    assert said.frame == recoloured
    assert said.claims


def test_vlffd_asks_nobody_and_says_what_the_pixels_support(scripted, recoloured):
    [said], requests = scripted(nothing, [recoloured], "vlffd")
    assert requests == []
    assert (said.explainer, said.model, said.recipe) == ("mllm", None, "vlffd")
    assert said.requests == ()
    assert said.claims
    for one in said.claims:
        assert (one.kind, one.direction, one.verdict) == ("change", "altered", "supported")
        assert not disagreement(one.sentence, one.category_id, one.kind, one.direction)


@pytest.mark.parametrize("forgery", ["identity swap", "expression reenactment", "x"])
def test_vlffd_words_each_region_of_a_frame_alike_and_frames_differently(forgery):
    said = {sentence("eyes", forgery, f"frame {n}") for n in range(30)}
    assert len(said) == 3
    assert sentence("eyes", forgery, "frame 1") == sentence("eyes", forgery, "frame 1")
    assert all("<p>eyes</p>" in one and "{" not in one for one in said)
    assert not any("eyes</p> is" in one or "eyes</p> shows" in one for one in said)


def test_effpp_gives_neither_regions_nor_measurements_away(scripted, recoloured):
    _, [request] = scripted(nothing, [recoloured], "effpp")
    assert listed(request) == list(part_names())
    assert "significant" not in text_of(request)
    picture = base64.b64encode(recoloured.fake.bytes).decode()
    assert urls_of(request) == [f"data:image/jpeg;base64,{picture}"]


def test_effpp_publishes_what_the_pair_supports(scripted, recoloured):
    def reply(request):
        said = [claim("mouth", "change", "altered"), claim("nose"), claim("hair")]
        return json.dumps({"claims": said if len(request["messages"]) == 1 else []})

    [said], _ = scripted(reply, [recoloured], "effpp")
    assert {one.sentence for one in said.claims} == {"The <p>mouth</p> looks altered."}
    assert {one.region for one in said.dropped} == {"nose", "hair"}
    assert {one.fate for one in said.dropped} <= {"contradicted", "untestable"}


def test_edvd_asks_once_for_a_pair_and_checks_each_frame(scripted, pair):
    first, second = pair
    own = next(one for one in first.evidence if one.significant and one.kind == "colour")
    name = next(r.name for r in first.regions if r.category_id == own.category_id)
    still = [one for one in second.evidence if one.kind != "colour"]
    second = second.model_copy(update={"evidence": tuple(still)})

    def reply(request):
        return json.dumps({"claims": [claim(name, "colour", own.direction)]})

    said, requests = scripted(reply, [first, second], "edvd")
    assert len(requests) == 1
    assert "frames of one forged face video, in order of time" in text_of(requests[0])
    assert said[0].claims
    assert said[0].requests == said[1].requests
    assert said[1].fallback_reason is not None
    assert [one.fate for one in said[1].dropped] == ["untestable"]


def test_edvd_shows_at_most_six_frames_and_speaks_of_all(scripted, recoloured):
    frames = [
        recoloured.model_copy(update={"id": f"a/b/{n}", "timestamp_s": float(n)}) for n in range(9)
    ]
    said, [request] = scripted(nothing, frames, "edvd")
    assert len(urls_of(request)) == 6
    assert "at 0.00 s, 2.00 s, 3.00 s, 5.00 s, 6.00 s, 8.00 s." in text_of(request)
    assert len(said) == 9


def test_edvd_tells_motion_and_nothing_else_of_the_measurements(scripted, recoloured):
    lips = recoloured.regions[0]
    moves = [
        Evidence(
            category_id=lips.category_id, kind="position", direction="moved up", effect=effect,
            unit="eye distances", spread=0.002, significant=True,
        )
        for effect in (0.02, 0.04)
    ]  # fmt: skip
    frames = [
        recoloured.model_copy(update={"evidence": (*recoloured.evidence, move)}) for move in moves
    ]
    frames = [
        frame.model_copy(
            update={
                "evidence": tuple(e for e in frame.evidence if e in moves or e.kind == "colour")
            }
        )
        for frame in frames
    ]
    _, [request] = scripted(nothing, frames, "edvd")
    text = text_of(request)
    for number, effect in (1, "0.02"), (2, "0.04"):
        line = f"- {lips.name}: position moved up, {effect} eye distances (significant)"
        assert f"Picture {number}:\n{line}" in text
    assert ": colour" not in text
    line = steadiness(lips.name, frames)
    assert line in text
    assert "position moved up by 0.030 eye distances, varying by 0.010 over 2 of 2 frames" in line


def test_edvd_says_where_no_movement_was_measured(scripted, recoloured):
    moves = ("position", "size")
    still = [one for one in recoloured.evidence if one.kind not in moves]
    frame = recoloured.model_copy(update={"evidence": tuple(still)})
    _, [request] = scripted(nothing, [frame], "edvd")
    assert f"Picture 1:\n{NOTHING}" in text_of(request)
    assert f"- {frame.regions[0].name}: {NOTHING}" in text_of(request)


def test_forgerygpt_shows_the_mask_and_talks_before_it_claims(scripted, recoloured):
    name = recoloured.regions[0].name

    def reply(request):
        turn = sum(message["role"] == "user" for message in request["messages"])
        answers = {1: "The lips lie there.", 2: "They are too red.", 3: None}
        said = [claim(name, "change", "altered")]
        return answers[turn] or json.dumps({"claims": said})

    [said], requests = scripted(reply, [recoloured], "forgerygpt")
    assert len(requests) == len(said.requests) == 3
    assert [one.get("response_format") is not None for one in requests] == [False, False, True]
    assert [len(urls_of(one)) for one in requests] == [2, 2, 2]
    assert "significant" not in text_of(requests[2])
    spoken = [m["content"] for m in requests[2]["messages"] if m["role"] == "assistant"]
    assert spoken == ["The lips lie there.", "They are too red."]
    assert listed(requests[2]) == [region.name for region in recoloured.regions]
    encoded = np.frombuffer(base64.b64decode(urls_of(requests[0])[1].split(",")[1]), np.uint8)
    shown = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE) > 127
    mask = rle.decode(recoloured.artifact.segmentation)
    assert (shown & mask).sum() > 0.95 * (shown | mask).sum()
    assert "too red" not in publish(said, "hash").explanation


def test_prompts_of_every_recipe_are_part_of_its_version():
    hashes = {recipe.prompt_hash for recipe in RECIPES.values()}
    assert len(hashes) == len(RECIPES)
    for name, recipe in RECIPES.items():
        assert recipe.name == name
        assert all(
            prompt.split(".")[0].split("_")[0] in (name, "claims", "questions", "sentences")
            for prompt in recipe.prompts
        )
