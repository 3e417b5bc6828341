"""Sends requests at once, within the server's limits, and again where it fails.

A 429 waits and never gives a request up; other failures have a budget of retries; a refused key, an
unknown model or an empty account stop the run, since every further request would fail too.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any, Protocol

import httpx2
import openai

from annotators.explain import NoAnswer
from annotators.mllm.dialect import Dialect
from annotators.mllm.limits import Limiter, Patience
from annotators.mllm.reply import MOST_BYTES
from annotators.mllm.request import Request
from annotators.mllm.waiting import retry_after
from schemas.errors import BackendUnavailable
from schemas.explaining import Mllm

FATAL = {
    401: "refused the key in {key}",
    402: "asks for payment",
    403: "refused the key in {key}",
    404: "does not know the model '{model}' or this address",
}
TRANSIENT = (408, 409, 425)
FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 60.0
MOST_TOLD = 200
"""Letters of a server's own message that are passed on."""


class Bill(Protocol):
    """What one request took so far."""

    attempts: int

    async def lost(self) -> None:
        """Notes an attempt that may have been billed though no answer came."""


class _Failed(Exception):
    """One attempt brought no answer, and another may.

    Args:
        what: What happened.
        wait: Seconds that the server asks for; `None` where it asks for none.
        is_throttled: The server has too much to do: it does not count as a failure of the request.
        may_be_billed: The server may have answered, but the answer did not arrive.
    """

    def __init__(
        self,
        what: str,
        wait: float | None = None,
        *,
        is_throttled: bool = False,
        may_be_billed: bool = False,
    ) -> None:
        super().__init__(what)
        self.wait, self.is_throttled, self.may_be_billed = wait, is_throttled, may_be_billed


class Direct:
    """Sends requests to one server.

    Args:
        settings: The server.
        key: Its key; never shown.
    """

    def __init__(self, settings: Mllm, key: str) -> None:
        self.settings, self._key = settings, key
        self._limiter = Limiter(settings.requests_per_minute, settings.tokens_per_minute)
        self._patience = Patience(settings.base_url, settings.patience_s)
        self._dialect = Dialect(settings.structured)
        self._client = connect(settings, key)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    def used(self, request: Request, tokens: int) -> None:
        """Corrects the limit of tokens a minute to what the server counted."""
        self._limiter.settle(request.expected_tokens, tokens)

    async def send(self, request: Request, bill: Bill) -> bytes:
        """Sends a request until an answer comes; gives the body as it came.

        Raises:
            NoAnswer: The server failed too often, or refuses this one request.
            BackendUnavailable: Every further request would fail too.
        """
        failures = 0
        for bill.attempts in itertools.count(1):
            await self._limiter.admit(request.expected_tokens)
            try:
                body = await self._once(request)
            except _Failed as failure:
                self._patience.failed(str(failure), failure.wait or 0.0)
                failures += not failure.is_throttled
                if failure.may_be_billed:
                    await bill.lost()
                if failures > self.settings.retries:
                    raise NoAnswer(f"server_error: {failure}") from failure
                await self._back_off(failure, bill.attempts)
            else:
                self._patience.answered()
                return body
        raise AssertionError  # the count has no end

    async def _back_off(self, failure: _Failed, attempts: int) -> None:
        """Waits as the server asks, else twice as long each time; jitter parts the crowd."""
        longest = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(attempts - 1, 10))
        if failure.wait is not None:
            self._limiter.pause(failure.wait)
            longest = min(longest, failure.wait)
        await asyncio.sleep((failure.wait or 0.0) + longest * random.uniform(0.25, 1))  # noqa: S311 - no secret

    async def _once(self, request: Request) -> bytes:
        """Sends a request once, in the form that the server understands."""
        while True:
            body = self._dialect.body(request)
            try:
                return await self._body(body)
            except openai.APIStatusError as error:
                if not self._dialect.learns_from(error, body):
                    raise self._judged(error) from error
            except (
                openai.APIConnectionError,
                httpx2.TransportError,
                httpx2.DecodingError,
            ) as error:
                refused = isinstance(error.__cause__, httpx2.ConnectError)
                raise _Failed(type(error).__name__, may_be_billed=not refused) from error

    async def _body(self, body: dict[str, Any]) -> bytes:
        """Posts a body and reads the answer's, at most `MOST_BYTES` of it."""
        completions = self._client.chat.completions.with_streaming_response
        parts, size = [], 0
        # all of it as extra: openai takes a millisecond to look for its own types in messages
        sent = completions.create(model=body["model"], messages=(), extra_body=body)
        async with sent as response:
            async for part in response.iter_bytes():
                parts.append(part)
                size += len(part)
                if size >= MOST_BYTES:
                    break
        return b"".join(parts)[:MOST_BYTES]

    def _judged(self, error: openai.APIStatusError) -> Exception:
        """Tells what a status means for this request, or for all."""
        status, server = error.status_code, self.settings.base_url
        told = self._told(error)
        if status in FATAL or is_out_of_money(error):
            what = FATAL.get(status, "has no quota left")
            what = what.format(key=self.settings.api_key_env, model=self.settings.model)
            return BackendUnavailable(f"{server} {what} (HTTP {status}){told}")
        if status == 429:
            return _Failed(
                f"HTTP 429{told}", retry_after(error.response.headers), is_throttled=True
            )
        if status >= 500 or status in TRANSIENT:
            return _Failed(f"HTTP {status}{told}", retry_after(error.response.headers))
        return NoAnswer(f"refused_request: HTTP {status}{told}")

    def _told(self, error: openai.APIStatusError) -> str:
        """Gives the server's own message, short, printable, and without the key."""
        body = error.body if isinstance(error.body, dict) else {}
        message = str(body.get("message") or "")[: 10 * MOST_TOLD]
        if self._key:
            message = message.replace(self._key, "[key]")
        printable = "".join(c if c.isprintable() else " " for c in message)[:MOST_TOLD].strip()
        return f": {printable}" if printable else ""


def connect(settings: Mllm, key: str) -> openai.AsyncOpenAI:
    """Gives the client of a server; retries are ours."""
    return openai.AsyncOpenAI(
        api_key=key or "none",
        base_url=settings.base_url,
        timeout=settings.timeout_s,
        max_retries=0,
    )


def is_out_of_money(error: openai.APIStatusError) -> bool:
    """Tells whether a status means that the account is empty, not that it is busy."""
    return error.code == "insufficient_quota"
