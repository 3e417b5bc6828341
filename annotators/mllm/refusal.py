"""What a failed attempt means: for the request, for every further one, for the bill."""

from __future__ import annotations

import openai

from annotators.explain import NoAnswer
from annotators.mllm.waiting import retry_after
from annotators.mllm.wire import redacted
from schemas.errors import BackendUnavailable
from schemas.explaining import Mllm

FATAL = {
    401: "refused the key in {key}",
    402: "asks for payment",
    403: "refused the key in {key}",
    404: "does not know the model '{model}' or this address",
}
TRANSIENT = (408, 409, 425)
CUT_OFF = (408, 502, 504, 524)
"""Somebody on the way lost patience: the model may have answered, and been paid."""
MOST_TOLD = 200
"""Letters of a server's own message that are passed on."""


class Learned(Exception):
    """The server refused the words of a request; others may pass."""


class Failed(Exception):
    """One attempt brought no answer, and another may.

    Args:
        what: What happened.
        wait: Seconds that the server asks for; `None` where it asks for none.
        is_throttled: The server has too much to do: it does not count as a failure of the request.
        is_reached: The server was there; else it does not count as a failure of the request.
        may_be_billed: The server may have answered, but the answer did not arrive.
    """

    def __init__(
        self,
        what: str,
        wait: float | None = None,
        *,
        is_throttled: bool = False,
        is_reached: bool = True,
        may_be_billed: bool = False,
    ) -> None:
        super().__init__(what)
        self.wait, self.is_reached, self.may_be_billed = wait, is_reached, may_be_billed
        self.counts = is_reached and not is_throttled


def judged(error: openai.APIStatusError, settings: Mllm, key: str) -> Exception:
    """Tells what a status means.

    Args:
        error: The status.
        settings: The server.
        key: What must not be quoted.

    Returns:
        `Failed` where another attempt may succeed, `NoAnswer` where this request is refused,
        `BackendUnavailable` where every request would be.
    """
    status, told = error.status_code, _told(error, key)
    if reason := reason_to_stop(error, settings):
        return BackendUnavailable(f"{settings.base_url} {reason} (HTTP {status}){told}")
    wait = retry_after(error.response.headers)
    if status == 429:
        return Failed(f"HTTP 429{told}", wait, is_throttled=True)
    if status >= 500 or status in TRANSIENT:
        return Failed(f"HTTP {status}{told}", wait, may_be_billed=status in CUT_OFF)
    return NoAnswer(f"refused_request: HTTP {status}{told}")


def reason_to_stop(error: openai.APIStatusError, settings: Mllm) -> str:
    """Tells why every further request would fail, too; empty: it would not."""
    if "insufficient_quota" in (error.code, error.type):  # not busy, as another 429
        return "has no quota left"
    what = FATAL.get(error.status_code, "")
    return what.format(key=settings.api_key_env, model=settings.model)


def _told(error: openai.APIStatusError, key: str) -> str:
    """Gives the server's own message, short, printable, and without the key."""
    body = error.body
    said = (body.get("message") or "") if isinstance(body, dict) else (body or "")
    message = redacted(str(said).encode(errors="replace"), key).decode()[:MOST_TOLD]
    printable = "".join(c if c.isprintable() else " " for c in message).strip()
    return f": {printable}" if printable else ""
