"""The word lists and the figures of a text, as data, and how a figure is written."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parent / "text.yaml"


@functools.cache
def wording() -> dict[str, Any]:
    """Gives the word lists and the meanings of the figures."""
    content: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return content


def written(value: float | None, show: str) -> str:
    """Writes a figure as a `count`, a `mean` or a `share`; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    return {"count": f"{value:,.0f}", "mean": f"{value:.1f}", "share": f"{100 * value:.1f} %"}[show]
