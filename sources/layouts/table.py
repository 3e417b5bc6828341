"""The layout `csv`: a list with one row a pair.

Columns real, fake, method, compression, split, identity_real, identity_fake, mask and edited, of
which real and fake are needed; other columns are ignored. UTF-8, with or without a byte order
mark, separated by commas, semicolons or tabs. Paths are relative to the dataset's root.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from schemas.errors import SourceMissing, UsageError
from schemas.records import Pair, Reject
from sources.layouts.patterns import edited_parts, natural
from sources.layouts.place import Candidate, Place, bad_entry, flat_name, trouble_with

NEEDED = ("real", "fake")
COLUMNS = (
    *NEEDED, "method", "compression", "split", "identity_real", "identity_fake", "mask", "edited",
)  # fmt: skip
Row = dict[str, str]


def by_table(place: Place) -> Iterator[Candidate | Reject]:
    """Gives the pairs of the list's rows; a row that names none is a reject.

    Raises:
        SourceMissing: There is no list.
        UsageError: A list is no table, or lacks a column.
    """
    for path in lists_of(place):
        label = path.relative_to(place.root).as_posix()
        for number, row in _rows(path):
            yield _candidate(place, f"{label}:{number}", row)


def lists_of(place: Place) -> list[Path]:
    """Finds the list files of a dataset.

    Raises:
        SourceMissing: There is none.
    """
    patterns = _depths(place.dataset.list_glob)
    found = [path for one in patterns for path in place.root.glob(one) if path.is_file()]
    if not found:
        raise SourceMissing(
            f"dataset '{place.name}' has no list {place.dataset.list_glob} below {place.root}; "
            f"docs/datasets.md says what it holds"
        )
    return sorted(found, key=lambda path: natural(path.as_posix()))


def _depths(pattern: str) -> list[str]:
    """Writes out `**/` for up to two folders, since the wildcard would not go through links."""
    if not pattern.startswith("**/"):
        return [pattern]
    return [depth + pattern.removeprefix("**/") for depth in ("", "*/", "*/*/")]


def read_list(path: Path) -> str:
    """Reads a list's text.

    Raises:
        UsageError: It cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"the list {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the list {path} is not UTF-8 text: save it as UTF-8") from error


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Gives the rows with the line that each ends on."""
    text = read_list(path)
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [name.strip().lower() for name in next(reader, [])]
        _check_columns(path, columns)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, _row(columns, cells)
    except csv.Error as error:
        raise UsageError(f"the list {path} is no table: line {reader.line_num}: {error}") from error


def _row(columns: list[str], cells: list[str]) -> Row:
    row = {name: cell.strip() for name, cell in zip(columns, cells, strict=False)}
    if len(cells) != len(columns):
        row[""] = f"has {len(cells)} cells, the heading has {len(columns)}"
    return row


def _check_columns(path: Path, columns: list[str]) -> None:
    absent = [name for name in NEEDED if name not in columns]
    if absent:
        raise UsageError(
            f"the list {path} has no column '{absent[0]}'; its first line must name the columns "
            f"{', '.join(NEEDED)}, and may name {', '.join(COLUMNS[2:])}. It is: "
            f"{', '.join(columns)[:200] or 'empty'}"
        )
    twice = [name for name in COLUMNS if columns.count(name) > 1]
    if twice:
        raise UsageError(f"the list {path} has two columns '{twice[0]}'; keep one")


def _candidate(place: Place, label: str, row: Row) -> Candidate | Reject:
    method = row.get("method") or _only(tuple(place.dataset.methods))
    if wrong := row.get("") or _wrong(place, row, method):
        return bad_entry(place, label, f"{label} {wrong}", method)
    level = row.get("compression") or _only(place.dataset.compressions)
    people = tuple(filter(None, (row.get("identity_real", ""), row.get("identity_fake", ""))))
    pair = Pair(
        dataset=place.name,
        method=place.dataset.plain(method),
        compression=place.dataset.plain(level),
        pair=flat_name(row["fake"]),
        split=place.dataset.plain(row.get("split", "")),
        real_path=row["real"],
        fake_path=row["fake"],
        mask_path=row.get("mask", ""),
        identities=people,
        edited=edited_parts(row.get("edited", ""), place.dataset.edited_names),
    )
    return Candidate(pair, frozenset(people), row["real"])


def _wrong(place: Place, row: Row, method: str) -> str:
    """Says what is wrong with a row; empty: nothing."""
    for column in ("real", "fake", "mask"):
        path = row.get(column, "")
        if (trouble := trouble_with(path)) and (path or column != "mask"):
            return f"cannot be used: the path of {column} {trouble}: {path!r:.80}"
    if row.get("mask") and not (place.root / row["mask"]).exists():
        return f"names a mask that is not there: {row['mask']}"
    if not method:
        return f"names no method, and the manifest has several: {', '.join(place.dataset.methods)}"
    return ""


def _only(values: tuple[str, ...]) -> str:
    """Gives the only value of a list, else nothing."""
    return values[0] if len(values) == 1 else ""
