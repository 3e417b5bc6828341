"""The bench of the captioning client, small: what it counts, and that it can count failures."""

import json

import pytest

from benchmarks.explain import Size, measure
from benchmarks.explain_faults import contradicted, is_grounded, lost_records, opposite
from benchmarks.explain_goals import CROSS, GOALS, TICK, lines
from benchmarks.explain_material import planned_run, rows_of
from benchmarks.explain_speed import Load
from tests.conftest import silent

KILLS = 2
RECORDS = 99
SMALL = Size(
    load=Load(latency_s=0.02, in_flight=8, waves=4, rounds=1, different=8, records=16),
    faulty=RECORDS, killed=RECORDS, kills=KILLS, budgeted=60, few=9, many=24,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def found(folder, annotated):
    base, _ = annotated
    return measure(folder, base, SMALL, silent)


@pytest.fixture(scope="module")
def faulty(found, folder):
    """The run that all faults were played to, with its rows."""
    run, pairs = planned_run(folder / "faults" / "toy")
    return run, pairs, rows_of(run, pairs)


def test_no_record_is_lost_whatever_the_server_does(found):
    faults = found["faults"]
    assert found["records_lost"] == 0
    assert faults["requests"] > 1.5 * faults["records"] == 1.5 * RECORDS
    assert faults["faulty_share"] == pytest.approx(0.3, abs=0.1)
    assert len(faults["faults"]) > 15
    assert faults["rows_by_model"] > 0.8 * RECORDS
    assert faults["key_found"] == 0


def test_nothing_contradicted_is_published(found):
    faults = found["faults"]
    assert found["contradicted_published"] == 0
    assert faults["lies_told"] > 50
    assert faults["statements_dropped"]["contradicted"] > 50
    assert faults["badly_grounded"] == 0


def test_only_what_was_in_flight_is_paid_twice(found):
    kills = found["kills"]
    assert kills["kills"] == KILLS
    assert found["paid_twice"] <= kills["paid_twice_allowed"] == kills["entered_as_lost"]
    assert kills["paid_twice_allowed"] > 0
    assert kills["lost_after"] == 0


def test_the_budget_is_kept_and_used(found):
    budget = found["budget"]
    assert found["overspend"] == 0
    assert budget["stopped_by"] == "BudgetReached"
    assert budget["budget_entered"] > 0.6  # left: less than one long conversation may cost
    assert budget["max_cost"] < budget["cost_of_all"]
    assert budget["lost_after"] == 0


def test_every_figure_is_there_and_is_printed_with_its_goal(found):
    assert set(GOALS) < set(found)
    assert list(found["memory"]["peak_mb"]) == ["9", "24"]
    assert found["speed"]["requests"] == 32
    json.dumps(found)
    table = lines(found)
    for (key, goal), line in zip(GOALS.items(), table, strict=False):
        assert line.startswith(goal.name.split("{")[0])
        assert line.endswith(TICK if found["met"][key] else CROSS)


def test_a_goal_can_be_missed(found):
    worse = dict.fromkeys(GOALS, 1e6) | {"throughput_ratio": 0.5}
    assert not any(goal.is_met(found | worse) for goal in GOALS.values())


def test_no_two_frames_measure_the_same(faulty):
    run, pairs, _ = faulty
    frames = run.measured.rows(pair.measure_unit for pair in pairs)
    assert len({frame.id for frame in frames}) == len(frames) == RECORDS
    told = {(f.fake.bytes, *(f"{one.effect:.2f}" for one in f.evidence)) for f in frames}
    assert len(told) == len(frames)


def test_a_published_lie_is_counted(faulty):
    _, _, rows = faulty
    row = next(row for row in rows if any(opposite(claim) for claim in row.claims))
    claim = next(claim for claim in row.claims if opposite(claim))
    assert not contradicted(row, set())
    lie = claim.model_copy(update={"direction": opposite(claim)})
    assert contradicted(row.model_copy(update={"claims": (lie,)}), set()) == [lie]
    told = {(claim.category_id, claim.kind.value, claim.direction)}
    assert claim in contradicted(row, told)


def test_a_wrong_mask_or_phrase_is_counted(faulty):
    _, _, rows = faulty
    row = next(row for row in rows if len(row.explanation_masks) > 1)
    assert is_grounded(row)
    first, *others = row.explanation_masks
    for masks in ((*others, first), (first,)):
        assert not is_grounded(row.model_copy(update={"explanation_masks": masks}))
    claim = row.claims[0].model_copy(update={"sentence": "The <p>tail</p> is redder."})
    assert not is_grounded(row.model_copy(update={"claims": (claim,)}))


def test_a_lost_record_is_counted(faulty):
    run, pairs, rows = faulty
    silent_row = rows[0].model_copy(update={"claims": ()})
    for left in (rows[1:], [*rows, rows[0]], [silent_row, *rows[1:]]):
        assert lost_records(run, pairs, left)["records_lost"] == 1
    assert lost_records(run, pairs, rows)["records_lost"] == 0
