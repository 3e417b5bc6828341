"""The whole job with a captioning model: real video, a loopback server, real shards."""

import shutil
import threading

import pyarrow.parquet as pq
import pytest
import yaml

from annotators.mllm.store import AnswerStore
from flows import stages
from flows.estimate import estimate
from flows.explain import explain
from flows.local import annotate_dataset
from flows.run import make_run
from schemas.arrow import arrow_schema
from schemas.errors import BackendUnavailable, BudgetReached, UsageError
from schemas.records import Cost
from tests.conftest import silent
from tests.results import rejects_of, rows_of
from tests.scripted_server import ScriptedServer, prompt_of, true_claims

ASKS = {"explainer": "mllm"}


@pytest.fixture
def asking(annotated, tmp_path, write_manifest):
    """Makes a run that asks a server about the small dataset, measured already."""
    whole, _ = annotated
    shutil.copytree(whole.output / "units" / "measure", tmp_path / "out/toy/units/measure")

    def make(url, limit=0, explain=None, **server):
        path = write_manifest(tmp_path, mllms__local__base_url=url)
        content = yaml.safe_load(path.read_text())
        content["mllms"]["local"] |= {"retries": 0, "in_flight": 4} | server
        path.write_text(yaml.safe_dump(content))
        return make_run("toy", path, explain=ASKS | (explain or {}), workers=1, limit=limit)

    return make


def costs_of(run):
    return pq.read_table(run.costs_path).to_pandas()


def test_claims_of_a_model_land_in_the_shards_and_each_answer_is_paid_once(asking):
    with ScriptedServer(true_claims) as server:
        run = asking(server.url, price_in=1.0, price_out=2.0)
        outcome = annotate_dataset(run, silent)
        asked = len(server.requests)
        annotate_dataset(run, silent)
        shutil.rmtree(run.explained.folder)  # explained again, from the stored answers
        annotate_dataset(run, silent)
        assert len(server.requests) == asked
    rejected = outcome.summary.rejects["no_evidence"]
    assert asked == outcome.summary.frames.total() + rejected
    rows = rows_of(run)
    assert len(rows) == outcome.summary.frames.total()
    costs = costs_of(run)
    assert set(costs["request"]) >= {one for row in rows for one in row.requests}
    for row in rows:
        assert (row.explainer, row.recipe, row.model) == ("mllm", "fifa", "default")
        assert all("I can see that" in claim.sentence for claim in row.claims)
        assert row.claims_supported == len(row.claims)
        assert len(row.requests) == 1


def test_the_costs_have_a_row_for_each_request_also_where_it_failed(asking):
    def every_third_fails(request):
        return (500, "{}") if len(server.requests) % 3 == 0 else true_claims(request)

    with ScriptedServer(every_third_fails) as server:
        run = asking(server.url, in_flight=1, price_in=1.0, price_out=2.0)
        annotate_dataset(run, silent)
        sent = len(server.requests)
    assert pq.read_schema(run.costs_path).equals(arrow_schema(Cost))
    costs = costs_of(run)
    assert len(costs) == sent
    assert (costs["outcome"] == "server_error").sum() == sent // 3
    answered = costs[costs["outcome"] == "answered"]
    assert answered["cost"].tolist() == pytest.approx([(1 * 1.0 + 1 * 2.0) / 1e6] * len(answered))
    assert (costs[costs["outcome"] != "answered"]["cost"] == 0).all()
    assert (costs["attempts"] == 1).all()


def test_a_nonsense_answer_falls_back_with_its_reason(asking):
    with ScriptedServer(lambda request: "blorp") as server:
        run = asking(server.url, limit=1, explain={"reasks": 1})
        summary = annotate_dataset(run, silent).summary
        assert len(server.requests) == 6  # three frames, each asked again once
    assert summary.fallbacks == {"invalid_answer": 3}
    assert {row.explainer for row in rows_of(run)} == {"evidence"}
    assert {row.recipe for row in rows_of(run)} == {"fifa"}


def test_a_server_that_failed_is_asked_again_and_its_answers_are_published(asking):
    with ScriptedServer(true_claims) as server:
        run = asking(server.url, limit=1)
        server.down = True
        assert annotate_dataset(run, silent).summary.fallbacks == {"server_error": 3}
        server.down = False
        outcome = annotate_dataset(run, silent)
    assert (outcome.done, outcome.summary.fallbacks.total()) == (1, 0)
    assert {row.explainer for row in rows_of(run)} == {"mllm"}


def test_a_refused_key_stops_the_run_and_what_was_done_is_published(asking, monkeypatch):
    monkeypatch.setenv("SOME_KEY", "planted-secret")

    def until_the_fourth(request):
        refused = (401, '{"error": {"message": "wrong key planted-secret"}}')
        return refused if len(server.requests) > 4 else true_claims(request)

    with ScriptedServer(until_the_fourth) as server:
        run = asking(server.url, in_flight=1, api_key_env="SOME_KEY")
        outcome = annotate_dataset(run, silent)
        assert len(server.requests) <= 6
    assert isinstance(outcome.stopped, BackendUnavailable)
    assert "refused the key in SOME_KEY (HTTP 401)" in str(outcome.stopped)
    assert "planted-secret" not in str(outcome.stopped)
    assert outcome.summary.open_pairs == outcome.summary.pairs - outcome.done
    assert len(rows_of(run)) == outcome.summary.frames.total()


def test_a_key_that_is_not_there_stops_before_the_measuring(asking, monkeypatch):
    monkeypatch.delenv("SOME_KEY", raising=False)
    run = asking("https://example.org/v1", api_key_env="SOME_KEY")
    with pytest.raises(BackendUnavailable, match="set the environment variable SOME_KEY"):
        stages.plan(run)


def test_the_budget_stops_the_run_cleanly_and_a_larger_one_goes_on(asking):
    price = {"price_in": 1.0, "price_out": 0.0}
    with ScriptedServer(true_claims, usage=(5000, 0)) as server:  # 0.005 a request
        run = asking(server.url, explain={"max_cost": 0.0325}, in_flight=3, **price)
        outcome = annotate_dataset(run, silent)
        asked = len(server.requests)
        assert isinstance(outcome.stopped, BudgetReached)
        assert "raise explain.max_cost" in str(outcome.stopped)
        assert 4 <= asked <= 6
        assert costs_of(run)["cost"].sum() == pytest.approx(0.005 * asked)
        assert 0 < outcome.summary.open_pairs < outcome.summary.pairs
        rest = annotate_dataset(asking(server.url, **price), silent)
        hashes = costs_of(run)["request"]
        assert len(set(hashes)) == len(hashes) == len(server.requests) > asked
    assert rest.stopped is None
    assert rest.summary.open_pairs == 0


def test_an_estimate_sends_nothing_and_counts_what_is_left(asking):
    with ScriptedServer(true_claims) as server:
        run = asking(server.url, price_in=2.0, price_out=10.0)
        before = estimate(run)
        assert server.requests == []
        annotate_dataset(run, silent)
        assert before.requests == len(server.requests)
        assert before.pairs == before.measured == 12
        sent = costs_of(run)
        assert 0 < before.cost < before.highest
        assert len(sent) == before.requests
        assert estimate(run).lines() == ["nothing is left to ask"]
    with pytest.raises(UsageError, match="add --explainer mllm"):
        estimate(make_run("toy", run.output.parent.parent / "manifest.yaml"))


def test_two_runs_at_once_take_turns_and_pay_once(asking):
    with ScriptedServer(true_claims) as server:
        run = asking(server.url)
        pairs = stages.waiting(run, stages.plan(run).pairs)
        threads = [threading.Thread(target=explain, args=(run, pairs, silent)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert len(server.requests) == len(costs_of(run)) == len(set(costs_of(run)["request"]))


def test_a_bug_in_a_conversation_costs_its_pair_until_the_next_run(asking, monkeypatch):
    with ScriptedServer(true_claims) as server:
        run = asking(server.url, limit=1)
        with monkeypatch.context() as patch:
            patch.setattr("annotators.mllm.recipes.fifa.evidence_of", lambda frame: 1 / 0)
            annotate_dataset(run, silent)
        assert {one.reason for one in rejects_of(run)} == {"internal_error"}
        outcome = annotate_dataset(run, silent)
    assert outcome.done == 1
    assert len(rows_of(run)) == 3


def test_another_recipe_or_setting_explains_again_but_measures_nothing(asking):
    with ScriptedServer(true_claims) as server:
        run = asking(server.url, limit=2)
        assert annotate_dataset(run, silent).done == 2
        told = asking(server.url, limit=2, explain={"method": "told"})
        pairs = stages.waiting(told, stages.plan(told).pairs)
        assert stages.measure(told, pairs, silent) == 0
        assert explain(told, pairs, silent).done == 2
        assert "by the method LipRecolour (attribute edit)" in prompt_of(server.requests[-1])


def test_a_run_works_on_its_own_plan_whatever_another_one_writes(tmp_path, write_manifest):
    with ScriptedServer(true_claims) as server:
        path = write_manifest(tmp_path, mllms__local__base_url=server.url)
        plain = make_run("toy", path, workers=1, limit=1)
        pairs = stages.waiting(plain, stages.plan(plain).pairs)
        stages.measure(plain, pairs, silent)
        asked = make_run("toy", path, explain=ASKS, workers=1, limit=1, resume="if-possible")
        stages.plan(asked)
        explain(plain, pairs, silent)
        summary = annotate_dataset(asked, silent).summary
    assert {row.explainer for row in rows_of(asked)} == {"mllm"}
    assert summary.fallbacks.total() == 0


def test_the_store_is_free_after_a_run_and_knows_every_answer(asking):
    with ScriptedServer(true_claims) as server:
        run = asking(server.url, limit=1)
        annotate_dataset(run, silent)
    with AnswerStore(run.answers_path) as store:
        for row in rows_of(run):
            assert all(store.answer(request) for request in row.requests)
