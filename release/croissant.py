"""Croissant metadata (`croissant.json`): files with their hashes, and the columns of the rows.

Source: https://docs.mlcommons.org/croissant/docs/croissant-spec.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from release.released import Released
from schemas.arrow import arrow_schema
from schemas.releasing import ReleasedFrame

ROWS = "frames"
CONTEXT = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs",
    "column": "cr:column", "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract", "field": "cr:field", "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject", "fileSet": "cr:fileSet", "format": "cr:format",
    "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath",
    "key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path",
    "recordSet": "cr:recordSet", "references": "cr:references", "regex": "cr:regex",
    "repeated": "cr:repeated", "replace": "cr:replace", "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField",
    "transform": "cr:transform",
}  # fmt: skip
"""The context of Croissant 1.0, without which a reader would not know the words below."""
TYPES = {
    pa.string(): "sc:Text", pa.int32(): "sc:Integer", pa.float64(): "sc:Float",
    pa.bool_(): "sc:Boolean",
}  # fmt: skip
PICTURES = ("real", "fake", "label_map")


def write(released: Released, hashes: Mapping[str, str]) -> None:
    """Writes `croissant.json` into a release.

    Args:
        released: The release.
        hashes: sha256 of each Parquet file, by its path below the release.
    """
    text = json.dumps(_metadata(released, hashes), indent=1, ensure_ascii=False)
    (released.folder / "croissant.json").write_text(text + "\n", encoding="utf-8")


def _metadata(released: Released, hashes: Mapping[str, str]) -> dict[str, Any]:
    facts = released.facts
    licence = facts["licence"]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": f"{facts['dataset']}-facext",
        "description": f"{facts['title']}: frame pairs with artifact masks, facial regions, "
        "measured evidence, checked explanations and questions. Nested columns (regions, evidence, "
        "claims, questions) are described in README.md and in the Parquet schema.",
        "license": licence["url"] or licence["name"],
        "version": facts["release"]["version"],
        **({"url": licence["url"]} if licence["url"] else {}),
        "rai:personalSensitiveInformation": "Faces of people; see README.md.",
        "rai:dataUseCases": "Training and testing of explainable forgery detection.",
        "distribution": [*_files(released, hashes), _file_set()],
        "recordSet": [_records(released)],
    }


def _files(released: Released, hashes: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for path in released.files:
        name = path.relative_to(released.folder).as_posix()
        yield {
            "@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": name,
            "contentSize": f"{path.stat().st_size} B",
            "encodingFormat": "application/x-parquet", "sha256": hashes[name],
        }  # fmt: skip


def _file_set() -> dict[str, Any]:
    return {
        "@type": "cr:FileSet", "@id": "rows", "name": "rows", "includes": "data/*/*.parquet",
        "encodingFormat": "application/x-parquet",
    }  # fmt: skip


def _records(released: Released) -> dict[str, Any]:
    fields = [
        field for column in arrow_schema(ReleasedFrame) if (field := _field(column, released))
    ]
    return {
        "@type": "cr:RecordSet", "@id": ROWS, "name": ROWS, "key": {"@id": f"{ROWS}/id"},
        "description": ReleasedFrame.__doc__ and ReleasedFrame.__doc__.splitlines()[0],
        "field": fields,
    }  # fmt: skip


def _field(column: pa.Field[Any], released: Released) -> dict[str, Any] | None:
    """Gives the field of a plain column, a list of plain values, or a picture; else None."""
    source: dict[str, Any] = {"fileSet": {"@id": "rows"}, "extract": {"column": column.name}}
    listed = pa.types.is_list(column.type)
    kind = TYPES.get(column.type.value_type if listed else column.type)
    if column.name in PICTURES:
        if column.name != "label_map" and not released.with_pixels:
            return None
        kind, source["transform"] = "sc:ImageObject", {"jsonPath": "bytes"}
    if kind is None:
        return None
    name = f"{ROWS}/{column.name}"
    described = (column.metadata or {}).get(b"description", b"").decode()
    field = {"@type": "cr:Field", "@id": name, "name": name, "description": described}
    return field | {"dataType": kind, "source": source} | ({"repeated": True} if listed else {})
