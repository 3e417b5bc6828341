"""How long a server asks to be left alone."""

from __future__ import annotations

import datetime
import email.utils
from collections.abc import Mapping


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Reads `retry-after-ms` or `Retry-After` (seconds or an HTTP date), in seconds from now.

    Returns:
        `None` where the server says nothing that can be understood.
    """
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        return max(0.0, float(headers["retry-after"]))
    except KeyError:
        return None
    except ValueError:
        return _until(headers["retry-after"])


def _until(date: str) -> float | None:
    try:
        then = email.utils.parsedate_to_datetime(date)
    except ValueError:
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=datetime.UTC)
    return max(0.0, (then - datetime.datetime.now(datetime.UTC)).total_seconds())
