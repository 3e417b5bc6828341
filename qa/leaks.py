"""What an explanation gives away in words: the verdict, the real side, the method.

The word lists are data (`text.yaml`). All measures are ours. They ask what a model trained on the
text could learn without looking at the picture.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from annotators.pipeline import CONTROL
from qa.wording import wording
from schemas.records import Side

_PARTS = re.compile(r"[^\W\d_]?[^\W\d_A-Z]+|[A-Z]+(?![a-z])|\d+")


def names_label(text: str) -> bool:
    """Tells whether a text names the verdict: the label leak.

    Words that describe pixels (`altered`) are none, nor is the real side as what is compared with
    (`than in the real face`), which `names_real_side` counts by itself.
    """
    rest = _reference().sub(" ", text)
    return bool(_words("fake").search(rest) or _words("real").search(rest))


def names_real_side(text: str) -> bool:
    """Tells whether a text compares with the real side, which one picture does not show."""
    return bool(_reference().search(text))


def names_method(text: str, method: str, forgery: str) -> bool:
    """Tells whether a text holds the name of the forgery method or of its class.

    `FaceSwap` is found as `face swap`, `Face-Swap` and `faceswaps` too. The class of a control,
    `none`, is no name.
    """
    names = [name for name in (method, forgery) if name != CONTROL]
    return any(found.search(text) for name in names if (found := _name(name)))


def verdict(answer: str) -> Side | None:
    """Gives the side that an answer to "real or fake?" names; None for both or neither.

    Negations are not understood: `not fake` is `fake`.
    """
    fake, real = (bool(_words(side).search(answer)) for side in ("fake", "real"))
    if fake == real:
        return None
    return "fake" if fake else "real"


@functools.cache
def _words(side: Side) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{_either(wording()[side])})\b", re.IGNORECASE)


@functools.cache
def _reference() -> re.Pattern[str]:
    words = wording()
    not_after = "".join(rf"(?<!\b{word} )" for word in words["verdict_after"])
    return re.compile(rf"{not_after}\bthe (?:{_either(words['reference'])})\b", re.IGNORECASE)


def _either(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in words)


@functools.cache
def _name(name: str) -> re.Pattern[str] | None:
    """Matches a name however its parts are joined, in singular or plural."""
    parts = _PARTS.findall(name)
    if not parts:
        return None
    joined = r"[\W_]*".join(re.escape(part) for part in parts).removesuffix("s")
    return re.compile(rf"\b{joined}s?\b", re.IGNORECASE)
