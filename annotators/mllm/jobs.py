"""The Batch API: a file up, a batch made of it, its results down."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import openai

from annotators.mllm.limits import Patience
from annotators.mllm.refusal import TRANSIENT, reason_to_stop
from annotators.mllm.reply import MOST_BYTES
from annotators.mllm.waiting import retry_after
from annotators.mllm.wire import TROUBLE, connect, is_unsent
from schemas.errors import BackendUnavailable
from schemas.explaining import Mllm

ENDED = ("completed", "failed", "expired", "cancelled")
GONE = "gone"
FIRST_RETRY_S = 1.0
MOST_TOLD = 20
"""Letters of a status, which is a number unless a server is strange."""

T = TypeVar("T")


@dataclass
class Ended:
    """What a batch brought.

    Attributes:
        status: How it ended.
        bodies: Answers by request, as a server would send them one by one.
        failures: Why there is no answer, by request.
    """

    status: str
    bodies: dict[str, bytes] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Tells whether each request that is not among the failures was generated, and billed."""
        return self.status in ("completed", GONE)

    def enter(self, line: bytes) -> None:
        """Enters one line of a result file; the first of each request counts."""
        try:
            told = json.loads(line)
            request, response = str(told["custom_id"]), told.get("response") or {}
            status = response.get("status_code", "no response")
            body = json.dumps(response.get("body")).encode()[:MOST_BYTES]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return
        if status == 200:
            self.bodies.setdefault(request, body)
        else:
            self.failures.setdefault(request, str(status)[:MOST_TOLD])


class Jobs:
    """Batches of one server.

    Args:
        settings: The server.
        key: Its key; never shown.
    """

    def __init__(self, settings: Mllm, key: str) -> None:
        self._settings = settings
        self._client = connect(settings, key)
        self._patience = Patience(settings.base_url, settings.patience_s)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    async def submit(self, lines: bytes) -> str:
        """Sends requests as one batch; gives its name.

        Raises:
            BackendUnavailable: The server takes none.
        """
        file = ("requests.jsonl", lines)
        uploaded = await self._insisting(
            lambda: self._client.files.create(file=file, purpose="batch")
        )
        name, tries = self._told(uploaded, "id"), itertools.count()
        made = await self._insisting(lambda: self._made(name, is_first=next(tries) == 0))
        return self._told(made, "id")

    async def ended(self, batch: str) -> Ended:
        """Looks at a batch until it ended; gives what it brought.

        Raises:
            BackendUnavailable: The server is not there any more, or refuses the key.
        """
        try:
            while True:
                job = await self._insisting(lambda: self._client.batches.retrieve(batch))
                status = self._told(job, "status")
                if status in ENDED:
                    break
                await asyncio.sleep(self._settings.batch_poll_s)
            ended = Ended(status)
            for file in filter(None, (job.output_file_id, job.error_file_id)):
                for line in (await self._content(file)).splitlines():
                    ended.enter(line)
        except _Missing:  # deleted there: what it brought is lost
            return Ended(GONE)
        return ended

    async def _made(self, file: str, *, is_first: bool) -> Any:
        """Makes a batch of a file, unless an attempt without an answer did: it is paid for."""
        if not is_first:
            for batch in (await self._client.batches.list(limit=100)).data:
                if batch.input_file_id == file:
                    return batch
        return await self._client.batches.create(
            input_file_id=file, endpoint="/v1/chat/completions", completion_window="24h"
        )

    async def _content(self, file: str) -> bytes:
        content = await self._insisting(lambda: self._client.files.content(file))
        return bytes(content.content)

    async def _insisting(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeats a call while the server fails: a batch is worth more patience than a request."""
        for attempt in itertools.count():
            try:
                result = await call()
            except TROUBLE as error:
                wait = self._wait_after(error)
                pause = min(self._settings.batch_poll_s, FIRST_RETRY_S * 2.0 ** min(attempt, 10))
            else:
                self._patience.answered()
                return result
            await asyncio.sleep(max(wait, pause))
        raise AssertionError  # the count has no end

    def _wait_after(self, error: Exception) -> float:
        """Gives the seconds that the server asks for, if another attempt may succeed."""
        wait, server = 0.0, self._settings.base_url
        what = type(error.__cause__ or error).__name__
        if isinstance(error, openai.APIStatusError):
            what = f"HTTP {error.status_code}"
            if error.status_code == 404:
                raise _Missing(f"{server} takes no batches ({what})") from None
            if reason := reason_to_stop(error, self._settings):
                raise BackendUnavailable(f"{server} {reason} ({what})") from None
            if error.status_code < 500 and error.status_code not in (429, *TRANSIENT):
                raise BackendUnavailable(f"{server} takes no batches ({what})") from None
            wait = retry_after(error.response.headers) or 0.0
        self._patience.failed(what, wait, is_reached=not is_unsent(error))
        return wait

    def _told(self, thing: object, name: str) -> str:
        """Gives a field of what the server sent, which may be anything."""
        value = getattr(thing, name, None)
        if not isinstance(value, str) or not value:
            raise BackendUnavailable(
                f"{self._settings.base_url} takes no batches: it sent no {name} of one"
            )
        return value


class _Missing(BackendUnavailable):
    """There is no such thing at the server."""
