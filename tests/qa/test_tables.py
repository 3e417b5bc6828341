import json
from collections import Counter
from datetime import datetime

import pyarrow.parquet as pq
import pytest

from qa.tables import DIMENSIONS, SETS, TABLES, write_tables
from schemas.errors import OutputError
from schemas.records import AnnotatedFrame, Cost
from schemas.shards import METADATA_KEY, write_records


@pytest.fixture(scope="module")
def tables(annotated):
    run, _ = annotated
    return {path.stem: pq.read_table(path) for path in (run.output / "qa/tables").glob("*")}


def lines(table, **keys):
    return [row for row in table.to_pylist() if all(row[k] == v for k, v in keys.items())]


def test_each_table_is_there_and_its_rows_say_what_they_are_of(tables):
    assert set(tables) == {*TABLES, "text", "fallbacks"}
    for name in ("frames", "regions", "evidence", "claims"):
        for row in tables[name].to_pylist():
            named = [] if row["by"] == "all" else row["by"].split(", ")
            assert [key for key in DIMENSIONS if row[key] is not None] == named


def test_frames_are_counted_as_a_loop_counts_them(tables, rows):
    for group in SETS:
        by = ", ".join(group) or "all"
        found = lines(tables["frames"], by=by)
        assert sum(row["frames"] for row in found) == len(rows)
    for row in lines(tables["frames"], by="method, compression"):
        of = [r for r in rows if (r.method, r.compression) == (row["method"], row["compression"])]
        masks = [one.artifact for one in of]
        assert row["frames"] == len(of)
        assert row["pairs"] == len({one.pair for one in of})
        assert row["mask_px"] == pytest.approx(sum(m.area for m in masks) / len(of))
        assert row["confidence"] == pytest.approx(sum(m.confidence for m in masks) / len(of))
        assert row["stability"] == pytest.approx(sum(m.stability for m in masks) / len(of))
        assert row["supported"] == sum(one.claims_supported for one in of)


def test_regions_evidence_and_claims_are_counted_as_a_loop_counts_them(tables, rows):
    regions = Counter(region.name for row in rows for region in row.regions)
    found = {row["region"]: row["frames"] for row in lines(tables["regions"], by="all")}
    assert found == regions
    every = [(e, (e.category_id, e.kind.value, e.direction)) for row in rows for e in row.evidence]
    measured = Counter(key for _, key in every)
    beyond = Counter(key for one, key in every if one.significant)
    told = lines(tables["evidence"], by="all")
    assert len(told) == len(measured)
    for row in told:
        key = row["category_id"], row["kind"], row["direction"]
        assert (row["measured"], row["significant"]) == (measured[key], beyond[key])
    claims = Counter(
        (c.category_id, c.kind.value, c.direction, c.verdict) for row in rows for c in row.claims
    )
    keys = ("category_id", "kind", "direction", "verdict")
    said = lines(tables["claims"], by="all")
    assert {tuple(r[key] for key in keys): r["claims"] for r in said} == claims


def test_rejects_and_histograms_lose_nothing(tables, annotated, rows):
    _, summary = annotated
    assert sum(row["rejects"] for row in tables["rejects"].to_pylist()) == summary.rejects.total()
    for figure in ("confidence", "stability", "mask share"):
        assert sum(r["frames"] for r in lines(tables["histograms"], figure=figure)) == len(rows)


def test_costs_are_summed_by_the_hour(write_source, rows, tmp_path):
    source = write_source(tmp_path, rows[:1])
    cost = Cost(
        request="r", subject="s", step="ask", recipe="fifa", server="u", model="m", sent_at=0.0,
        latency_s=2.0, attempts=1, outcome="answered", prompt_tokens=10, completion_tokens=None,
        cost=0.5,
    )  # fmt: skip
    sent = [60.0, 3599.0, 3600.0]
    made = [cost.model_copy(update={"sent_at": at, "latency_s": at / 60}) for at in sent]
    made[2] = made[2].model_copy(update={"subject": rows[0].id})
    write_records(source.costs, made, Cost)
    found = pq.read_table(write_tables(source, tmp_path / "t") / "costs.parquet").to_pylist()
    assert [row["hour"] for row in found] == [datetime(1970, 1, 1, 0), datetime(1970, 1, 1, 1)]
    assert [row["requests"] for row in found] == [2, 1]
    assert [row["method"] for row in found] == ["", rows[0].method]
    assert [row["cost"] for row in found] == [1.0, 0.5]
    assert found[0]["latency_s"] == pytest.approx((1 + 3599 / 60) / 2)
    assert found[0]["completion_tokens"] is None


def test_an_empty_dataset_has_empty_tables(write_source, tmp_path):
    folder = write_tables(write_source(tmp_path, []), tmp_path / "t")
    frames = pq.read_table(folder / "frames.parquet").to_pylist()
    assert [row["frames"] for row in frames] in ([], [0])
    assert pq.read_table(folder / "regions.parquet").num_rows == 0


def test_a_folder_with_an_apostrophe_is_read(write_source, rows, tmp_path):
    folder = write_tables(write_source(tmp_path / "it's; --", rows), tmp_path / "t")
    assert lines(pq.read_table(folder / "frames.parquet"), by="all")[0]["frames"] == len(rows)


def test_a_truncated_shard_is_named(write_source, rows, tmp_path):
    source = write_source(tmp_path, rows)
    shard = source.shards[0]
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(OutputError, match=r"a\.parquet cannot be read as Parquet"):
        write_tables(source, tmp_path / "t")


def test_a_shard_of_another_format_is_named_with_what_differs(write_source, rows, tmp_path):
    source = write_source(tmp_path, rows)
    table = pq.read_table(source.shards[0])
    old = table.drop_columns(["yaw"]).append_column("tilt", table["yaw"])
    pq.write_table(old, source.shards[0])
    with pytest.raises(OutputError, match=r"a\.parquet .*AnnotatedFrame.*\['tilt', 'yaw'\]"):
        write_tables(source, tmp_path / "t")
    assert json.loads(table.schema.metadata[METADATA_KEY])["record"] == AnnotatedFrame.__name__
