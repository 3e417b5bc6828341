"""Recipes are judged on the bench's own frames: books of verdicts, and a server on loopback."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from annotators.mllm.recipes import RECIPES
from annotators.mllm.recipes.levels import four
from annotators.publish import Said, said_by_evidence
from benchmarks.books import EVIDENCE, RegionFacts, Studied
from benchmarks.compare import Comparison, compare, comparison_of
from benchmarks.facts import Facts, KnownGauge
from benchmarks.figures import figures
from benchmarks.scores import FrameScore, Judged
from benchmarks.stated import Stated
from benchmarks.tallies import SHARES, RecipeScore, lines, tally
from benchmarks.truth import run, study_case
from flows import cli
from schemas import rle
from schemas.errors import BackendUnavailable, UsageError
from schemas.explaining import Mllm
from schemas.manifest import EvidenceSettings, Manifest, Measure
from schemas.records import Claim, DroppedClaim, EvidenceKind, Region
from sources.forge import Case
from sources.forge.still import default_pictures
from tests.scripted_server import ScriptedServer, true_claims

PICTURES = default_pictures()
GROSS = Case(
    "gross_paint_lips_blue", PICTURES[0], PICTURES[1], "plain",
    (("paint_lips_blue", 1.0), ("raise_brows", 0.75)), "", "stable", None, "c23", 5,
)  # fmt: skip
NAMES = ("fifa", "fftg", "vlffd", "effpp")
ANY_MODEL = tuple(name for name in RECIPES if name != "fifa_mllm")


@pytest.fixture(scope="module")
def studied() -> list[Studied]:
    """A gross forgery, measured once for all tests, and a frame without a row."""
    seen = study_case(GROSS, Measure(frames=2), NAMES)
    blind = FrameScore("other", "c23", True, judged=[Judged("aim", "nose", "size", "larger",
                                                            "rejected")])  # fmt: skip
    return [*seen, Studied(blind)]


@pytest.fixture
def comparing(studied, tmp_path):
    """Compares recipes by a reply; gives the result and the requests."""

    def ask(reply, *names):
        with ScriptedServer(reply) as server:
            block = Mllm(base_url=server.url, model="scripted", retries=0)
            wanted = Comparison(names, block, answers=tmp_path / "answers.sqlite")
            return compare(studied, wanted), server.requests

    return ask


def test_the_book_says_of_the_baseline_what_the_bench_says(studied, comparing):
    found, _ = comparing(true_claims)
    bench = figures([one.score for one in studied])
    for name in ("claim_precision", "claim_recall", "claims_unknown"):
        assert found["recipes"][EVIDENCE][name] == bench[name]
    for one in studied[:2]:
        claims = said_by_evidence(one.row, Measure().evidence).claims
        said = [j for j in one.score.judged if j.sort in ("published", "aim")]
        assert repr(one.books[EVIDENCE].judge(claims)) == repr(said)


def test_a_perfect_reader_is_right_and_states_the_aims(studied, comparing):
    found, requests = comparing(true_claims, "fftg")
    of_recipe = found["recipes"]["fftg"]
    assert of_recipe["claim_precision"]["c23"]["value"] > 0.6
    assert of_recipe["claim_recall"]["c23"]["value"] > 0.3
    assert of_recipe["refuted"]["value"] == 0
    assert of_recipe["fallback"]["value"] == 0
    assert of_recipe["requests_per_frame"]["value"] == 1
    assert of_recipe["prompt_tokens_per_frame"]["value"] == 1  # as the server counts
    assert of_recipe["sentences"] > of_recipe["distinct_templates"] > 0
    assert len(requests) == 2
    assert found["captioning"]["prompts"] == {"fftg": RECIPES["fftg"].prompt_hash}


def test_a_recipe_that_never_answers_is_not_perfect(comparing):
    found, _ = comparing(lambda request: "I am sorry.", "fftg")
    of_recipe = found["recipes"]["fftg"]
    assert of_recipe["fallback"]["value"] == 1
    assert of_recipe["claim_precision"]["c23"] == {}
    assert of_recipe["claim_recall"]["c23"]["value"] == 0
    assert of_recipe["claims_per_frame"]["value"] == 0


def test_false_claims_are_counted_and_not_scored_as_published(studied, comparing):
    def lie(request):
        if len(request["messages"]) > 1:
            return json.dumps({"claims": []})
        told = [("mouth", "colour", "yellower"), ("nose", "lightness", "darker")]
        claims = [
            {"region": r, "kind": k, "direction": d, "sentence": f"The {r} is {d}."}
            for r, k, d in told
        ]
        return json.dumps({"claims": claims})

    found, _ = comparing(lie, "effpp")
    of_recipe = found["recipes"]["effpp"]
    assert of_recipe["refuted"]["value"] + of_recipe["untestable"]["value"] == 1
    assert of_recipe["refuted"]["value"] >= 0.5
    assert of_recipe["claim_precision"]["c23"] == {}


def test_no_request_tells_what_was_edited(comparing):
    _, requests = comparing(true_claims, "fifa", "effpp")
    text = json.dumps(requests)
    assert "paint_lips" not in text
    assert "attribute edit" in text  # `effpp` tells the class


def test_a_recipe_that_asks_no_model_costs_nothing(comparing):
    first, asked = comparing(true_claims, "vlffd")
    assert asked == []
    assert first["recipes"]["vlffd"]["requests_per_frame"]["value"] == 0
    assert first["recipes"]["vlffd"]["claim_precision"]["c23"]["value"] == 1


def test_recipes_of_a_level_share_a_book(studied):
    books = studied[0].books
    assert books["vlffd"] is books["effpp"]
    assert books["fftg"] is not books["vlffd"]


def test_the_rest_of_a_face_holds_no_mouth_and_eyes_hold_brows(studied, tree):
    """Aims and truth follow the pixels of a coarse region, not the tree."""
    row = studied[0].row
    names = {one.name for one in four(row).regions}
    assert {"mouth", "eyes"} <= names
    stated = {
        (aim.region, aim.direction): {tree.by_id[c].name for c in concepts}
        for aim, concepts in studied[0].books["fftg"].aims
    }
    lips = next(where for (region, way), where in stated.items() if way == "bluer")
    assert lips == {"mouth"}
    brows = [where for (region, way), where in stated.items() if "eyebrow" in region]
    assert brows
    assert all(where == {"eyes"} for where in brows)


def test_a_coarse_region_is_judged_on_its_own_pixels(unforged, labels, where, tree):
    mask = where("left eyebrow")
    lab = cv2.cvtColor(unforged.real.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lab[mask] += np.float32([8, 0, 0])
    fake = np.rint(np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1) * 255).astype(np.uint8)
    gauge = KnownGauge(replace(unforged, fake=fake), mask, np.zeros((*mask.shape, 2), np.float32))
    aim = Stated(tree.by_name["left eyebrow"].id, EvidenceKind.LIGHTNESS, "lighter")
    known = np.ones_like(mask)
    facts = Facts(gauge, known, labels, [aim], tree, EvidenceSettings())
    eyes = tree.by_name["eyes"].id
    group = tree.lookup_table("group4")[labels] == eyes
    region = Region.model_construct(
        category_id=eyes, name="eyes", concept_segmentation=rle.encode(group)
    )
    row = type("Row", (), {"regions": (region,)})()
    said = Stated(eyes, EvidenceKind.LIGHTNESS, "lighter")
    assert facts.outcome(said)[0] == "wrong"  # FICT's eyes hold no brow
    assert RegionFacts(facts, row).outcome(said) == ("right", "aim")


def claim(sentence):
    return Claim(
        category_id=1, kind="size", direction="larger", sentence=sentence, verdict="supported",
        reason="",
    )  # fmt: skip


def dropped(fate):
    return DroppedClaim(
        region="x", category_id=None, kind="size", direction="larger", sentence="", fate=fate,
        reason="", round=0,
    )  # fmt: skip


def score(case, claims, fates, reason=None, tokens=((10, 3),)):
    one = RecipeScore(case, "c23", True)
    lost = tuple(dropped(fate) for fate in fates)
    one.enter(claims, Said(None, tuple(claims), lost, fallback_reason=reason))
    one.pay(tokens)
    return one


def test_shares_are_of_statements_or_of_frames_with_a_row():
    said = [claim("The <p>nose</p> is larger by 3."), claim("The <p>chin</p> is larger by 4.")]
    found = tally(
        [
            score("a", said, ["contradicted", "refused"], tokens=((10, 3), None)),
            score("b", [], ["contradicted"], reason="cannot_tell"),
            RecipeScore("c", "c23", True),
        ]
    )
    value = {name: found[name]["value"] for name in SHARES}
    assert value["refuted"] == 0.4
    assert value["refused"] == 0.2
    assert value["untestable"] == 0
    assert value["fallback"] == 0.5
    assert value["claims_per_frame"] == 1
    assert value["requests_per_frame"] == 1.5
    assert value["prompt_tokens_per_frame"] == 10
    assert (found["sentences"], found["distinct_templates"]) == (2, 1)


def test_the_table_has_a_line_for_each_recipe():
    found = tally([score("a", [claim("The <p>nose</p> grew.")], [])])
    told = lines({"evidence": found, "fifa": found})
    assert [line.split()[0] for line in told] == ["recipe", "evidence", "fifa"]
    assert told[1].split()[-2:] == ["1", "1"]
    assert len({len(line) for line in told}) == 1


def test_a_wrong_recipe_or_a_missing_key_is_told_before_anything_is_measured(monkeypatch):
    dataset = {"title": "x", "root": "x", "real": "{a}", "fake": "{a}", "methods": {"m": "x"},
               "licence": {"name": "x"}}  # fmt: skip
    monkeypatch.delenv("SOME_KEY", raising=False)
    servers = {
        "here": Mllm(base_url="http://127.0.0.1:9/v1", model="m"),
        "there": Mllm(base_url="https://example.org/v1", model="m", api_key_env="SOME_KEY"),
    }
    manifest = Manifest(datasets={"d": dataset}, mllms=servers)
    with pytest.raises(UsageError, match="no recipe 'fftgg'"):
        comparison_of(["fftgg"], "", manifest)
    with pytest.raises(UsageError, match="no captioning server 'x'"):
        comparison_of(["fftg"], "x", manifest)
    with pytest.raises(BackendUnavailable, match="SOME_KEY"):
        comparison_of(["fftg"], "there", manifest)
    assert comparison_of(["fftg", "all"], "here", manifest).recipes == ANY_MODEL


def test_a_run_without_recipes_has_no_block_of_them(monkeypatch, studied):
    monkeypatch.setattr("benchmarks.truth.studied", lambda *_: studied)
    assert not {"recipes", "captioning"} & run(cases=10).keys()


def test_the_command_checks_recipes_first_and_keeps_them_off_the_page(
    monkeypatch, tmp_path, capsys
):
    asked, pages = [], []
    found = figures([FrameScore("a", "c23", True, oracle=0.5)]) | {"seed": 1, "cases": 10}
    tallies = {"evidence": tally([RecipeScore("a", "c23", True, rows=1)])}

    def stand_in(seed, cases, workers, pictures, progress, comparison):
        asked.append(comparison)
        return found | {"recipes": tallies, "captioning": {}}

    monkeypatch.setattr("benchmarks.truth.run", stand_in)
    monkeypatch.setattr("benchmarks.publish.publish", lambda own, *_: pages.append(own))
    command = ["bench", "truth", "--cases", "10"]
    with pytest.raises(SystemExit, match="2"):
        cli.main([*command, "--recipe", "fftgg"])
    assert "did you mean 'fftg'?" in capsys.readouterr().err
    path = tmp_path / "found.json"
    with pytest.raises(SystemExit, match="0"):
        cli.main([*command, "--recipe", "all", "--json", str(path), "--docs", str(tmp_path)])
    [comparison] = asked
    assert comparison.recipes == ANY_MODEL
    assert json.loads(path.read_text())["recipes"] == tallies
    assert pages == [found]
    assert "evidence " in capsys.readouterr().out
