"""The explicit Arrow schema of each record, derived from the record's own types.

Nothing is inferred from data: an empty table, a table of nulls and a full one have one schema. All
fields are nullable in Arrow, since Hugging Face `datasets` takes its feature types only for such;
that a value is there is the record's check.
"""

from __future__ import annotations

import functools
import json
import types
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import pyarrow as pa
from pydantic import BaseModel

from schemas.records import Picture, Record

FORMAT_VERSION = "1.3.0"

R = TypeVar("R", bound=Record)

_SCALARS: dict[type, pa.DataType] = {
    str: pa.string(),
    int: pa.int32(),
    float: pa.float64(),
    bool: pa.bool_(),
    bytes: pa.binary(),
}


@functools.cache
def arrow_schema(record: type[Record]) -> pa.Schema:
    """Gives a record's Arrow schema; each field carries its description as metadata."""
    return pa.schema(_fields(record))


def _fields(record: type[BaseModel]) -> list[pa.Field[Any]]:
    return [
        pa.field(
            name,
            arrow_type(info.annotation),
            metadata={"description": info.description or ""},
        )
        for name, info in record.model_fields.items()
    ]


def arrow_type(annotation: Any) -> pa.DataType:
    """Gives the Arrow type of one field.

    Integers are `int32`, floats `float64`, tuples lists, records structs, closed word lists
    strings.

    Raises:
        TypeError: A type that has no place in a shard.
    """
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        inner = [arg for arg in get_args(annotation) if arg is not type(None)]
        return arrow_type(inner[0])
    if origin is tuple:
        item = get_args(annotation)[0]
        return pa.list_(arrow_type(item))
    if origin is Literal:
        return pa.string()
    if isinstance(annotation, type):
        if issubclass(annotation, BaseModel):
            return pa.struct(_fields(annotation))
        if issubclass(annotation, StrEnum):
            return pa.string()
        if annotation in _SCALARS:
            return _SCALARS[annotation]
    raise TypeError(f"no Arrow type for {annotation!r}")


def to_table(rows: Iterable[R], record: type[R]) -> pa.Table:
    """Builds a table column by column, in the record's explicit schema."""
    schema = arrow_schema(record)
    dumped = [row.model_dump() for row in rows]
    columns = [pa.array([row[field.name] for row in dumped], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def from_table(table: pa.Table, record: type[R]) -> list[R]:
    """Gives a table's rows back as records; the inverse of `to_table`."""
    return [record.model_validate(row) for row in table.to_pylist()]


def huggingface_features(record: type[Record]) -> str:
    """Gives the JSON that Hugging Face `datasets` reads its feature types from."""
    features = {
        name: _feature(info.annotation, arrow_type(info.annotation))
        for name, info in record.model_fields.items()
    }
    return json.dumps({"info": {"features": features}}, sort_keys=True)


def _feature(annotation: Any, kind: pa.DataType) -> dict[str, Any]:
    if annotation is Picture:
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return {"_type": "List", "feature": _feature(None, kind.value_type)}
    if pa.types.is_struct(kind):
        return {field.name: _feature(None, field.type) for field in kind}
    return {"_type": "Value", "dtype": _DTYPES[kind]}


_DTYPES = {
    pa.string(): "string",
    pa.int32(): "int32",
    pa.float64(): "float64",
    pa.bool_(): "bool",
    pa.binary(): "binary",
}
