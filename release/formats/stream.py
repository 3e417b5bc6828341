"""JSON files that are written item by item, so that no memory holds them whole."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any


@dataclass(frozen=True)
class Pairs:
    """An object inside an object, whose keys and values come one after the other."""

    items: Iterable[tuple[str, Any]]


def write_array(path: Path, items: Iterable[Any]) -> None:
    """Writes a JSON array, an item a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        _array(file, items)


def write_object(path: Path, parts: Iterable[tuple[str, Any]]) -> None:
    """Writes a JSON object of keys and values; iterators and `Pairs` are written item by item."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        _object(file, parts)


def _object(file: IO[str], parts: Iterable[tuple[str, Any]]) -> None:
    mark = "{"
    for key, value in parts:
        file.write(f"{mark}\n{json.dumps(key, ensure_ascii=False)}: ")
        _value(file, value)
        mark = ","
    file.write("{}" if mark == "{" else "\n}")


def _array(file: IO[str], items: Iterable[Any]) -> None:
    mark = "["
    for item in items:
        file.write(f"{mark}\n")
        _value(file, item)
        mark = ","
    file.write("[]" if mark == "[" else "\n]")


def _value(file: IO[str], value: Any) -> None:
    if isinstance(value, Pairs):
        _object(file, value.items)
    elif isinstance(value, Iterator):
        _array(file, value)
    else:
        file.write(json.dumps(value, ensure_ascii=False))
