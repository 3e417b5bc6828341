"""How long a server asks to be left alone."""

from __future__ import annotations

import datetime
import email.utils
import math
from collections.abc import Mapping


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Reads `retry-after-ms` or `Retry-After` (seconds or an HTTP date), in seconds from now.

    Returns:
        `None` where the server says nothing that can be understood.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    said = headers.get("retry-after", "")
    seconds = _number(said)
    return _until(said) if seconds is None else seconds


def _number(said: str) -> float | None:
    try:
        number = float(said)
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _until(date: str) -> float | None:
    try:
        then = email.utils.parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=datetime.UTC)
    return max(0.0, (then - datetime.datetime.now(datetime.UTC)).total_seconds())
