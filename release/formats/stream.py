"""JSON files that are written item by item, so that no memory holds them whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any


@dataclass(frozen=True)
class Pairs:
    """An object inside an object, whose keys and values come one after the other."""

    items: Iterable[tuple[str, Any]]


@contextmanager
def object_file(path: Path) -> Iterator[Callable[[str, Any], None]]:
    """Opens a JSON object and gives what adds a key and its value, for files written in turn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file, _opened(file) as add:
        yield add


def write_array(path: Path, items: Iterable[Any]) -> None:
    """Writes a JSON array, an item a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        _array(file, items)


def write_object(path: Path, parts: Iterable[tuple[str, Any]]) -> None:
    """Writes a JSON object of keys and values; iterators and `Pairs` are written item by item."""
    with object_file(path) as add:
        for key, value in parts:
            add(key, value)


@contextmanager
def _opened(file: IO[str]) -> Iterator[Callable[[str, Any], None]]:
    mark = "{"

    def add(key: str, value: Any) -> None:
        nonlocal mark
        file.write(f"{mark}\n{json.dumps(key, ensure_ascii=False)}: ")
        _value(file, value)
        mark = ","

    yield add
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
        with _opened(file) as add:
            for key, one in value.items:
                add(key, one)
    elif isinstance(value, Iterator):
        _array(file, value)
    else:
        file.write(json.dumps(value, ensure_ascii=False))
