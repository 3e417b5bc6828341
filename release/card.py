"""The card of a release (`README.md`), made from its own files and facts: no clock, no memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2
import yaml

from release import figures
from release.formats import FORMATS
from release.released import Released

TEMPLATES = Path(__file__).parent / "templates"
SIZES = (("n<1K", 1_000), ("1K<n<10K", 10_000), ("10K<n<100K", 100_000), ("100K<n<1M", 1_000_000))
TRUTH = (
    "mask_iou.calibrated.", "false_mask_rate.c", "region_f1.4.", "region_f1.112.",
    "claim_precision.c", "claim_recall.c",
)  # fmt: skip
"""Beginnings of the figures of the truth bench that a card tells, besides those with a bound."""
SINGLE = ("false_claims_caught", "true_claims_refused")
"""Figures of it that have no level."""
MOST_REGIONS = 40
"""Regions that a card lists; the others are in the files."""


def page(released: Released) -> str:
    """Gives the card of a release."""
    tables = figures.count(released.folder)
    facts = released.facts
    environment = jinja2.Environment(  # noqa: S701 - Markdown, and cells are escaped by `cell`
        loader=jinja2.FileSystemLoader(TEMPLATES),
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.globals["table"] = table
    return environment.get_template("card.md").render(
        header=_header(released, tables),
        facts=facts,
        release=facts["release"],
        licence=facts["licence"],
        tables=tables,
        rows=sum(one["rows"] for one in tables["splits"]),
        splits=[one["split"] for one in tables["splits"]],
        text=_text(facts["text"]),
        other_settings=any(
            not one["config_hash"].startswith(facts["bench"]["settings"])
            for one in tables["writers"]
        ),
        truth=_truth(facts),
        formats={name: FORMATS[name] for name in facts["formats"]},
        most_regions=MOST_REGIONS,
    )


def _header(released: Released, tables: Mapping[str, figures.Table]) -> str:
    """Gives the YAML that Hugging Face reads: what the dataset is and where its files are."""
    facts = released.facts
    rows = sum(one["rows"] for one in tables["splits"])
    licence = facts["licence"]
    files = [{"split": name, "path": f"data/{name}/*.parquet"} for name in released.splits]
    configs = [{"config_name": "frames", "default": True, "data_files": files}]
    if tables["rejects"]:  # `datasets` cannot load a table without rows
        rejects = [{"split": "rejects", "path": "rejects.parquet"}]
        configs.append({"config_name": "rejects", "data_files": rejects})
    if "instructions" in facts["formats"]:
        asked = [
            {"split": name, "path": f"instructions/{name}/*.parquet"} for name in released.splits
        ]
        configs.append({"config_name": "instructions", "data_files": asked})
    return yaml.safe_dump(
        {
            "pretty_name": f"{facts['title']}, explained",
            "license": "other",
            "license_name": _slug(licence["name"]),
            **({"license_link": licence["url"]} if licence["url"] else {}),
            "language": ["en"],
            "annotations_creators": ["machine-generated"],
            "task_categories": ["image-segmentation", "visual-question-answering"],
            "tags": ["deepfake-detection", "explainability", "face", "croissant"],
            "size_categories": [next((n for n, most in SIZES if rows < most), "n>1M")],
            "configs": configs,
        },
        sort_keys=False, allow_unicode=True,
    )  # fmt: skip


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _text(figures_of_text: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    """Turns figures by writer into a table with a row for each figure."""
    names = dict.fromkeys(name for of_writer in figures_of_text.values() for name in of_writer)
    return [
        {"figure": name} | {writer: of.get(name) for writer, of in figures_of_text.items()}
        for name in names
    ]


def _truth(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Gives the truth bench's figures that matter, with their bounds."""
    bounds = facts["bounds"]["truth"]
    told = [name for name in facts["truth"] if name.startswith(TRUTH) or name in (*SINGLE, *bounds)]
    return [
        {"figure": name, "value": facts["truth"][name], "bound": _bound(bounds.get(name, {}))}
        for name in told
    ]


def _bound(bound: Mapping[str, float | None]) -> str:
    signs = {"at_least": ">=", "at_most": "<="}
    return ", ".join(f"{signs[key]} {value:g}" for key, value in bound.items() if value is not None)


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Gives records as a Markdown table."""
    rows = list(rows)
    if not rows:
        return "(none)"
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *([cell(row[head]) for head in heads] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: Any) -> str:
    """Gives a value as the text of a Markdown cell, in which nothing is markup."""
    if value is None:
        return ""
    if isinstance(value, float):
        return "" if value != value else _short(value)
    plain = " ".join(str(value).split())
    return re.sub(r"([|<>\\`*_\[\]])", r"\\\1", plain)


def _short(value: float) -> str:
    """Gives four digits of a figure; more where they would round what is not one to one."""
    told = f"{value:.4g}"
    return f"{value:.9g}" if told == "1" else told
