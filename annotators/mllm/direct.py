"""Sends requests at once, within the server's limits, and again where it fails.

A 429 waits and never gives a request up, nor does a server that cannot be reached; other failures
have a budget of retries; a refused key, an unknown model or an empty account stop the run, since
every further request would fail too.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from typing import Any, Protocol

import httpx2
import openai
from pydantic_core import to_json

from annotators.explain import NoAnswer
from annotators.mllm.dialect import Dialect
from annotators.mllm.limits import Limiter, Patience
from annotators.mllm.refusal import Failed, Learned, judged
from annotators.mllm.reply import MOST_BYTES
from annotators.mllm.request import Request
from annotators.mllm.wire import TROUBLE, connect, is_unsent
from schemas.errors import FacextError
from schemas.explaining import Mllm

FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 60.0


class Bill(Protocol):
    """What one request took so far."""

    attempts: int

    async def lost(self) -> None:
        """Notes an attempt that may have been billed though no answer came."""

    async def again(self) -> None:
        """Asks for another attempt, which costs, too."""


class Direct:
    """Sends requests to one server.

    Args:
        settings: The server.
        key: Its key; never shown.
    """

    def __init__(self, settings: Mllm, key: str) -> None:
        self.settings, self._key = settings, key
        limits = settings.requests_per_minute, settings.tokens_per_minute
        self._limiter = Limiter(*limits, sleep=self._sleep)
        self._patience = Patience(settings.base_url, settings.patience_s)
        self._dialect = Dialect(settings.structured)
        self._client = connect(settings, key)
        self._stopping = asyncio.Event()
        self._stopped: FacextError | None = None

    def stop(self, error: FacextError) -> None:
        """Sends nothing more; what waits for its turn ends with the error."""
        self._stopped = self._stopped or error
        self._stopping.set()

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
        for attempt in itertools.count(1):
            await self._limiter.admit(request.expected_tokens)
            self._go_on()
            bill.attempts = attempt
            try:
                body = await self._once(request)
            except Learned:
                continue
            except Failed as failure:
                if failure.may_be_billed:
                    await bill.lost()
                self._patience.failed(
                    str(failure), failure.wait or 0.0, is_reached=failure.is_reached
                )
                failures += failure.counts
                if failures > self.settings.retries:
                    raise NoAnswer(f"server_error: {failure}") from None
                await self._back_off(failure, attempt)
                await bill.again()
            else:
                self._patience.answered()
                return body
        raise AssertionError  # the count has no end

    async def _back_off(self, failure: Failed, attempts: int) -> None:
        """Waits as the server asks, else twice as long each time; jitter parts the crowd."""
        longest = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(attempts - 1, 10))
        if failure.wait is not None:
            self._limiter.pause(failure.wait)
            longest = min(longest, max(failure.wait, FIRST_BACKOFF_S))  # it may ask for 0 s
        await self._sleep((failure.wait or 0.0) + longest * random.uniform(0.25, 1))  # noqa: S311 - no secret

    async def _sleep(self, seconds: float) -> None:
        """Sleeps, unless the run stops meanwhile."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        self._go_on()

    def _go_on(self) -> None:
        if self._stopped:
            raise self._stopped

    async def _once(self, request: Request) -> bytes:
        """Sends a request once, in the form that the server understands."""
        body = self._dialect.body(request)
        problem: Exception
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                answer = await self._body(body)
            if answer.lstrip()[:1] == b"{":
                return answer
            # a gateway's page: not the model's answer, so it is not kept as one
            problem = Failed("no JSON came", may_be_billed=True)
        except openai.APIStatusError as error:
            learned = self._dialect.learns_from(error, body)
            problem = Learned() if learned else judged(error, self.settings, self._key)
        except TROUBLE as error:
            what = type(error.__cause__ or error).__name__
            was_sent = not is_unsent(error)
            problem = Failed(what, is_reached=was_sent, may_be_billed=was_sent)
        raise problem  # out here without its cause: libraries and servers may quote the key

    async def _body(self, body: dict[str, Any]) -> bytes:
        """Posts a body and reads the answer's, at most `MOST_BYTES` of it."""
        # written here: openai takes longer to walk through the pictures than all else does
        response = await self._client.post(
            "/chat/completions", content=to_json(body), cast_to=httpx2.Response, stream=True
        )
        parts, size = [], 0
        try:
            async with contextlib.aclosing(response.aiter_bytes()) as coming:
                async for part in coming:
                    parts.append(part)
                    size += len(part)
                    if size >= MOST_BYTES:
                        break
        finally:
            await response.aclose()
        return b"".join(parts)[:MOST_BYTES]
