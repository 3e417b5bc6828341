"""Writes docs/format.md from the records: `python -m schemas.handbook`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from schemas.arrow import FORMAT_VERSION, arrow_type
from schemas.errors import RejectReason
from schemas.records import DIRECTIONS, AnnotatedFrame, Cost, Record, Reject
from schemas.reviews import Review

PAGE = Path(__file__).resolve().parent.parent / "docs" / "format.md"

INTRODUCTION = f"""# The format of a shard

Format {FORMAT_VERSION}. This page is made from the records in `schemas/records.py` by
`python -m schemas.handbook`; a test compares the two.

    out/<dataset>/annotations/*.parquet   one row per annotated frame pair (`AnnotatedFrame`)
    out/<dataset>/rejects/*.parquet       one row per pair or frame without annotation (`Reject`)
    out/<dataset>/plan.parquet            the pairs of the last run and their units of work
    out/<dataset>/costs.parquet           one row per request to a captioning model (`Cost`)
    out/<dataset>/answers.sqlite          its answers as they came
    out/<dataset>/qa/index.html           the report
    out/<dataset>/qa/tables/*.parquet     the statistics; see docs/qa.md
    out/<dataset>/reviews.parquet         what people decided of rows (`Review`)
    out/<dataset>/reviews.sqlite          the same, as the dashboard writes it
    out/<dataset>/releases/<version>/     what others get (docs/releases.md)

Parquet, zstd, row groups of 100 rows. Masks are COCO run lengths with string counts; pycocotools
decodes `{{"size": [h, w], "counts": "..."}}` as it stands. Pictures are `struct<bytes, path>`,
which Hugging Face `datasets` shows as images. Labels are strings (`real`, `fake`). The key
`facext` of the file's metadata is JSON: format, dataset, licence, FICT version and categories
(112 of them `atomic`), code version and settings.

    import json, pyarrow.parquet as pq
    from pycocotools import mask
    table = pq.read_table("out/toy/annotations/toy-00000.parquet")
    row = table.slice(0, 1).to_pylist()[0]
    changed = mask.decode(row["artifact"]["segmentation"])          # (512, 512) uint8
    fict = json.loads(table.schema.metadata[b"facext"])["fict"]["categories"]

Left and right are the subject's. `frame` pixels are those of the decoded video, `crop` pixels
those of the square face crop; `affine` maps the first to the second. Boxes are COCO
`x, y, width, height`.
"""


def page() -> str:
    """Gives the whole page."""
    records: list[type[Record]] = [AnnotatedFrame, *_nested(AnnotatedFrame), Reject, Cost, Review]
    parts = [INTRODUCTION, *(_table(record) for record in dict.fromkeys(records))]
    parts.append("## Evidence kinds and directions\n\n| kind | directions |\n|---|---|")
    parts[-1] += "".join(f"\n| {kind} | {', '.join(words)} |" for kind, words in DIRECTIONS.items())
    reasons = "".join(f"\n- `{reason}`" for reason in RejectReason)
    parts.append(f"## Reject reasons\n{reasons}")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _nested(record: type[Record]) -> list[type[Record]]:
    """Gives the records inside a record, outer ones first."""
    found: list[type[Record]] = []
    for info in record.model_fields.values():
        for inner in _records_in(info.annotation):
            found += [inner, *_nested(inner)]
    return found


def _records_in(annotation: Any) -> list[type[Record]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]  # type: ignore[list-item]
    return [r for arg in get_args(annotation) for r in _records_in(arg)]


def _table(record: type[Record]) -> str:
    lines = [f"## {record.__name__}", "", (record.__doc__ or "").strip(), ""]
    lines += ["| field | type | what it is |", "|---|---|---|"]
    for name, info in record.model_fields.items():
        kind = _name(info.annotation).replace("|", "\\|")
        lines.append(
            f"| `{name}` | {kind} | {(info.description or '').replace('|', chr(92) + '|')} |"
        )
    return "\n".join(lines)


def _name(annotation: Any) -> str:
    inner = _records_in(annotation)
    if inner:
        listed = get_origin(annotation) is tuple
        return f"list of {inner[0].__name__}" if listed else inner[0].__name__
    missing = ", may be null" if type(None) in get_args(annotation) else ""
    return str(arrow_type(annotation)).replace("element: ", "").replace("item: ", "") + missing


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
