"""How a row's explanation is shown: who wrote it, and its phrases in the colours of their masks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import markupsafe

from qa.pictures import colour
from schemas.records import SEG, AnnotatedFrame, Claim

FALLBACK = "evidence (fallback)"
"""The writer of rows that another one was asked for."""
_PHRASE = re.compile(r"<p>(.*?)</p>(?: \[SEG\])?", re.DOTALL)
_MARK = markupsafe.Markup('<mark style="--c:{}">{}</mark>')
_LIT = markupsafe.Markup('<mark tabindex="0" data-lights="{}" style="--c:{}">{}</mark>')


def writer_of(row: AnnotatedFrame) -> str:
    """Gives who wrote a row's explanation, named as in the tables and the index."""
    if row.fallback_reason is not None:
        return FALLBACK
    return row.recipe or "mllm" if row.explainer == "mllm" else row.explainer


def colours(claims: Sequence[Claim], row: AnnotatedFrame) -> list[tuple[int, int, int]]:
    """Gives the colour of each region in the order in which the claims first name it."""
    return [colour(number) for number in _told(claims, row)]


def marked(text: str, colours_in_order: Iterable[tuple[int, int, int]]) -> markupsafe.Markup:
    """Turns `<p>phrase</p> [SEG]` into a phrase in its mask's colour; all else is escaped."""
    return _marked(text, ((_MARK, (css(rgb),)) for rgb in colours_in_order))


def lit(row: AnnotatedFrame) -> markupsafe.Markup:
    """Gives a row's explanation; each phrase names the place of its region in `data-lights`."""
    places = _told(row.claims, row)
    return _marked(row.explanation, ((_LIT, (place, css(colour(place)))) for place in places))


def css(rgb: tuple[int, int, int]) -> str:
    """Writes a colour for a style."""
    return f"rgb({rgb[0]} {rgb[1]} {rgb[2]})"


def _told(claims: Sequence[Claim], row: AnnotatedFrame) -> list[int]:
    """Gives the places of the regions that the claims name, each once."""
    place = {region.category_id: n for n, region in enumerate(row.regions)}
    return list(dict.fromkeys(place[claim.category_id] for claim in claims))


def _marked(
    text: str, marks: Iterable[tuple[markupsafe.Markup, tuple[object, ...]]]
) -> markupsafe.Markup:
    parts: list[markupsafe.Markup] = []
    end = 0
    for found, (mark, values) in zip(_PHRASE.finditer(text), marks, strict=False):
        parts.append(markupsafe.escape(text[end : found.start()]))
        parts.append(mark.format(*values, found[1]))
        end = found.end()
    parts.append(markupsafe.escape(text[end:].replace(SEG, "")))
    return markupsafe.Markup("").join(parts)
