"""Whether rows hold only values that their record takes, found column by column.

The Arrow schema tells types alone: that a value is there, that a word is of a closed list and that
a tuple has its length is said by the record. Asking the record itself takes a millisecond a row.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Literal, Union, get_args, get_origin

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from schemas.records import Picture, Record


def strange_columns(table: pa.Table, record: type[Record]) -> list[str]:
    """Gives the columns, or fields inside them, with a value that the record would refuse.

    Args:
        table: Rows with some of the record's columns, or some of the fields inside them.
        record: Their record.
    """
    return [
        place
        for column in table.column_names
        for chunk in table[column].chunks
        for place in _strange(column, chunk, record.model_fields[column].annotation)
    ]


def _strange(place: str, values: pa.Array, annotation: Any) -> Iterator[str]:
    inner, optional = _without_none(annotation)
    if values.null_count:
        if not optional:
            yield place
        values = values.drop_null()
    if get_origin(inner) is tuple:
        item, *others = get_args(inner)
        if others != [...] and not _all(pc.equal(pc.list_value_length(values), 1 + len(others))):
            yield place
        yield from _strange(place, values.flatten(), item)
    elif words := _closed(inner):
        if not _all(pc.is_in(values, pa.array(words, pa.string()))):
            yield place
    elif isinstance(inner, type) and issubclass(inner, BaseModel):
        for field in values.type:
            kept = inner.model_fields[field.name].annotation
            yield from _strange(f"{place}.{field.name}", pc.struct_field(values, field.name), kept)


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """Gives what a value is where it is there, and whether it may be absent."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(one for one in get_args(annotation) if one is not type(None)), True
    return annotation, annotation is Picture  # a null picture is one without pixels


def _closed(annotation: Any) -> list[str]:
    """Gives the words of a closed list; none for what is no such list."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return [str(one) for one in annotation]
    return []


def _all(told: pa.Array) -> bool:
    return bool(pc.all(told, min_count=0).as_py())
