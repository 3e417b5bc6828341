"""Turns values into HTML: the templates, and how numbers are written. All text is escaped."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2

from qa.index import Filter

FOLDER = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """Gives a template's HTML; every value is escaped."""
    return _environment().get_template(template).render(**values)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "n": number, "percent": percent, "short": short, "signed": signed, "words": words,
    }  # fmt: skip
    environment.globals |= {"address": address}
    return environment


def address(path: str, chosen: Filter | None = None, **more: Any) -> str:
    """Gives the address of a view with a filter and further keys; None takes a key away."""
    keys = (chosen.changed() if chosen else {}) | more
    given = {name: value for name, value in keys.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def number(value: float) -> str:
    """Writes a count: `12,345`."""
    return f"{value:,.0f}"


def percent(share: float, digits: int = 1) -> str:
    """Writes a share of one: `12.3 %`."""
    return f"{100 * share:.{digits}f} %"


def signed(share: float) -> str:
    """Writes a difference of shares in points of percent: `+1.2`, with a true minus."""
    return f"{100 * share:+.1f}".replace("-", "−")


def words(code: str) -> str:
    """Writes a code as words: `no_artifact` as `no artifact`."""
    return code.replace("_", " ")


def short(value: float | None, digits: int = 2) -> str:
    """Writes a figure with few digits; a dash for none."""
    return "–" if value is None else f"{value:.{digits}f}"
