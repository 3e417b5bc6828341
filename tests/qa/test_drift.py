import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa.drift import compare_counts, drift, judged, write_drift
from qa.statistics import write_text_tables
from qa.tables import write_tables
from schemas.errors import OutputError
from schemas.shards import read_records

COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10_000), min_size=1)


def test_a_dataset_has_not_drifted_from_itself(annotated):
    run, _ = annotated
    tables = run.output / "qa" / "tables"
    rows = drift(tables, tables)
    assert {row.distribution for row in rows} >= {"method", "region", "evidence", "confidence"}
    assert {(row.psi, row.z, row.p) for row in rows} == {(0.0, 0.0, 1.0)}


def test_a_dataset_of_one_method_differs(annotated, write_source, rows, tmp_path):
    run, _ = annotated
    few = [row for row in rows if row.method == "LipRecolour"]
    other = write_tables(write_source(tmp_path, few), tmp_path / "t")
    write_text_tables(write_source(tmp_path, few).shards, other)
    found, text = write_drift(run.output / "qa" / "tables", other, tmp_path, "few")
    method = [row for row in found if row.distribution == "method"]
    assert {row.category: row.share_b for row in method}["LipRecolour"] == 1.0
    assert judged(method[0].psi) == "different"
    verdicts = {row.category: row for row in found if row.distribution == "verdict"}
    assert verdicts["supported"].count_a == sum(row.claims_supported for row in rows)
    assert verdicts["supported"].count_b == sum(row.claims_supported for row in few)
    assert [row.category for row in found if row.distribution == "writer"] == ["evidence"]
    assert ("evidence", "rows", len(rows), len(few)) in [astuple_of(one) for one in text]
    assert read_records(tmp_path / "drift-few.parquet", type(found[0])) == found
    assert read_records(tmp_path / "drift-text-few.parquet", type(text[0])) == text


def astuple_of(one):
    return one.writer, one.figure, one.a, one.b


def test_figures_of_a_known_case():
    """Shares 0.5 and 0.25 of 400: z and p by hand, PSI nearly (b - a) ln(b / a)."""
    rows = {
        row.category: row for row in compare_counts("x", {"a": 200, "b": 200}, {"a": 100, "b": 300})
    }
    pooled = 300 / 800
    z = (0.25 - 0.5) / math.sqrt(pooled * (1 - pooled) * 2 / 400)
    assert rows["a"].z == pytest.approx(z)
    assert rows["b"].z == pytest.approx(-z)
    assert rows["a"].p < 1e-10
    assert rows["a"].psi == pytest.approx(0.25 * math.log(2) + 0.25 * math.log(1.5), rel=0.02)


@given(COUNTS, COUNTS)
def test_the_index_is_symmetric_and_never_negative(a, b):
    one, other = compare_counts("x", a, b), compare_counts("x", b, a)
    assert one[0].psi == pytest.approx(other[0].psi)
    assert one[0].psi >= 0
    assert sum(row.share_a for row in one) == pytest.approx(1)
    assert all(0 <= row.p <= 1 for row in one)


def test_nothing_against_something_has_no_test():
    rows = compare_counts("x", {}, {"a": 5})
    assert (rows[0].share_a, rows[0].share_b, rows[0].z, rows[0].p) == (0, 1, 0, 1)
    assert compare_counts("x", {}, {}) == []


def test_an_absent_table_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"frames\.parquet cannot be compared"):
        drift(tmp_path, tmp_path)
