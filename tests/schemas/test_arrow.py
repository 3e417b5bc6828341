import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.arrow import arrow_schema, arrow_type, from_table, to_table
from schemas.records import DIRECTIONS, AnnotatedFrame, EvidenceKind, MeasuredFrame, Pair, Reject

RECORDS = [AnnotatedFrame, MeasuredFrame, Reject, Pair]

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
rejects = st.builds(
    Reject,
    id=text, dataset=text, method=text, compression=text, pair=text,
    frame_index=st.none() | st.integers(0, 2**31 - 1),
    stage=text, reason=text, detail=text,
)  # fmt: skip


@pytest.mark.parametrize("record", RECORDS)
def test_every_field_is_described(record):
    for field in arrow_schema(record):
        assert field.metadata[b"description"].endswith(b"."), field.name


@pytest.mark.parametrize("record", RECORDS)
def test_an_empty_table_has_the_full_schema(record):
    assert to_table([], record).schema.equals(arrow_schema(record))


@given(st.lists(rejects, max_size=5))
def test_round_trip_gives_the_records_back(rows):
    assert from_table(to_table(rows, Reject), Reject) == rows


def test_types_are_the_explicit_ones():
    schema = arrow_schema(AnnotatedFrame)
    assert schema.field("frame_index").type == pa.int32()
    assert schema.field("timestamp_s").type == pa.float64()
    assert schema.field("real").type == pa.struct({"bytes": pa.binary(), "path": pa.string()})


def test_labels_are_strings():
    question = arrow_schema(AnnotatedFrame).field("questions").type.value_type
    assert question.field("image").type == pa.string()
    assert question.field("answer").type == pa.string()


def test_an_unknown_type_is_refused():
    with pytest.raises(TypeError, match="no Arrow type for"):
        arrow_type(set)


def test_every_evidence_kind_has_directions():
    assert set(DIRECTIONS) == set(EvidenceKind)
    assert all(DIRECTIONS.values())
