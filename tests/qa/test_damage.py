"""Damage inside a file, behind a whole footer: one error that says what, where, what to do."""

import pyarrow.parquet as pq
import pytest

from qa.index import prepare
from qa.report import write_report
from schemas.errors import OutputError, RejectReason
from schemas.records import Cost, Reject
from schemas.shards import write_records
from tests.conftest import spoil

COST = Cost(
    request="0", subject="toy", step="ask", recipe="fifa", server="http://a", model="m",
    sent_at=0.0, latency_s=1.0, attempts=1, outcome="answered", prompt_tokens=1,
    completion_tokens=1, cost=0.5,
)  # fmt: skip
REJECT = Reject(
    id="toy/a", dataset="toy", method="LipRecolour", compression="c23", pair="a", frame_index=None,
    stage="plan", reason=RejectReason.NO_FACE, detail="none was found",
)  # fmt: skip


@pytest.fixture
def files(tmp_path, rows, write_source):
    """A dataset of its own, with rejects and costs."""
    made = write_source(tmp_path, rows[:2], [REJECT] * 3)
    write_records(made.costs, [COST] * 3, Cost)
    return made


@pytest.mark.parametrize("use", [write_report, prepare])
@pytest.mark.parametrize(
    ("of", "column"),
    [("rejects", "detail"), ("costs", "outcome"), ("shards", "method"), ("shards", "explainer")],
)
def test_a_file_that_is_damaged_inside_is_named_with_what_to_do(files, tmp_path, use, of, column):
    damaged = files.shards[0] if of == "shards" else getattr(files, of)
    use(files, tmp_path / "whole")
    spoil(damaged, column)
    assert pq.read_schema(damaged)
    with pytest.raises(OutputError, match=rf"{damaged.name} is damaged: .*; remove it and run:"):
        use(files, tmp_path / "qa")


def test_text_that_is_no_text_is_damage_too(files, tmp_path):
    """Nothing in the file says so: no page and no length is wrong."""
    table = pq.read_table(files.rejects)
    whole = files.rejects.read_bytes()
    pq.write_table(table, files.rejects, compression="none", use_dictionary=False)
    plain = files.rejects.read_bytes()
    files.rejects.write_bytes(plain.replace(b"none was found", b"none \xff\xfes found"))
    with pytest.raises(OutputError, match="UTF8"):
        prepare(files, tmp_path / "qa")
    files.rejects.write_bytes(whole)
    prepare(files, tmp_path / "qa")
