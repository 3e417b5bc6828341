"""Columns that a record would refuse, against what the record itself says of the same rows."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from release.values import strange_columns
from schemas.arrow import arrow_schema, to_table
from schemas.records import AnnotatedFrame

DAMAGES = {
    "explanation": lambda row: row.update(explanation=None),
    "frame_size": lambda row: row.update(frame_size=[1, 2, 3]),
    "artifact.area": lambda row: row["artifact"].update(area=None),
    "artifact.segmentation.size": lambda row: row["artifact"]["segmentation"].update(size=[512]),
    "regions": lambda row: row["regions"].append(None),
    "evidence.kind": lambda row: row["evidence"][0].update(kind="taste"),
    "claims.verdict": lambda row: row["claims"][0].update(verdict="perhaps"),
    "questions.task": lambda row: row["questions"][-1].update(task="Guess"),
    "questions.query_bbox": lambda row: row["questions"][0].update(query_bbox=[1.0, 2.0]),
    "questions.masks.counts": lambda row: row["questions"][0].update(
        masks=[{"size": [512, 512], "counts": None}]
    ),
}
"""Where the damage is, and what does it."""


def damaged(rows, damage):
    """A table of the rows, of which the last one is damaged."""
    table = to_table(rows, AnnotatedFrame)
    last = table.slice(len(rows) - 1).to_pylist()[0]
    DAMAGES[damage](last)
    spoilt = pa.Table.from_pylist([last], schema=arrow_schema(AnnotatedFrame))
    return pa.concat_tables([table.slice(0, len(rows) - 1), spoilt])


def test_annotated_rows_hold_nothing_strange(rows):
    assert strange_columns(to_table(rows, AnnotatedFrame), AnnotatedFrame) == []
    assert strange_columns(arrow_schema(AnnotatedFrame).empty_table(), AnnotatedFrame) == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_the_record_refuses_is_found_where_it_is(rows, damage):
    table = damaged(rows[:3], damage)
    with pytest.raises(ValidationError):
        AnnotatedFrame.model_validate(table.slice(2).to_pylist()[0])
    assert strange_columns(table, AnnotatedFrame) == [damage]


@given(st.data())
def test_nulls_are_taken_where_the_record_takes_them(rows, data):
    """Whichever column is null: both say the same."""
    table = to_table(rows[:2], AnnotatedFrame)
    name = data.draw(st.sampled_from(table.column_names))
    field = table.schema.field(name)
    place = table.schema.get_field_index(name)
    table = table.set_column(place, field, pa.nulls(2, field.type))
    try:
        AnnotatedFrame.model_validate(table.to_pylist()[0])
    except ValidationError:
        assert strange_columns(table, AnnotatedFrame) == [name]
    else:
        assert strange_columns(table, AnnotatedFrame) == []


def test_some_fields_of_a_column_are_enough(rows):
    table = pa.table({"claims": damaged(rows[:2], "claims.verdict")["claims"]})
    told = table["claims"].to_pylist()
    sentences = [[{"sentence": one["sentence"]} for one in row] for row in told]
    assert strange_columns(pa.table({"claims": pa.array(sentences)}), AnnotatedFrame) == []
    assert strange_columns(table, AnnotatedFrame) == ["claims.verdict"]
