"""Sends requests through the Batch API: gathered into files, answered within a day.

Which request is in which batch is on disk: a run that was stopped asks for its batches again and
pays nothing twice. What a batch did not answer is asked by the next run.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterable
from typing import Any

import openai

from annotators.explain import NoAnswer
from annotators.mllm.dialect import Dialect
from annotators.mllm.direct import Bill, connect
from annotators.mllm.request import Request
from annotators.mllm.store import AnswerStore
from schemas.errors import BackendUnavailable
from schemas.explaining import Mllm

ENDED = ("completed", "failed", "expired", "cancelled")
MOST_FILE_BYTES = 90_000_000
"""Servers take files of 100 to 200 MB."""
GATHER_S = 1.0
"""A batch is sent when no request has come for so long."""


class Batch:
    """Sends the requests of many conversations together.

    Args:
        settings: The server.
        key: Its key; never shown.
        store: Knows which batch holds a request.
    """

    def __init__(self, settings: Mllm, key: str, store: AnswerStore) -> None:
        self.settings, self._store = settings, store
        self._client = connect(settings, key).with_options(max_retries=settings.retries)
        self._dialect = Dialect(settings.structured)
        self._answers: dict[str, asyncio.Future[bytes]] = {}
        self._lines: dict[str, bytes] = {}
        self._batches: dict[str, asyncio.Task[None]] = {}
        self._gathering: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Stops waiting; the batches go on at the server, and the next run finds them."""
        waiting = [*self._batches.values(), *([self._gathering] if self._gathering else [])]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await self._client.close()

    def used(self, request: Request, tokens: int) -> None:
        """Does nothing: a batch has no limit of tokens a minute."""

    async def send(self, request: Request, bill: Bill) -> bytes:
        """Puts a request into the next batch, unless one holds it, and waits for the answer.

        Raises:
            NoAnswer: The batch did not answer it.
            BackendUnavailable: The server takes no batches.
        """
        bill.attempts = 1
        answer = self._answers[request.hash] = asyncio.get_running_loop().create_future()
        batch = self._store.batch_of(request.hash)
        if batch:
            self._watch(batch)
        else:
            self._lines[request.hash] = self._line(request)
            if self._is_full():
                self._send_gathered()
            else:
                self._gather()
        try:
            body: bytes = await answer
            return body
        finally:
            self._answers.pop(request.hash, None)

    def _line(self, request: Request) -> bytes:
        body = self._dialect.body(request)
        line = {
            "custom_id": request.hash,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": body,
        }
        return json.dumps(line).encode() + b"\n"

    def _is_full(self) -> bool:
        size = sum(len(line) for line in self._lines.values())
        return len(self._lines) >= self.settings.batch_size or size > MOST_FILE_BYTES

    def _gather(self) -> None:
        """Sends what was gathered once no more comes for a moment."""
        if self._gathering:
            self._gathering.cancel()
        self._gathering = asyncio.ensure_future(self._when_quiet())

    async def _when_quiet(self) -> None:
        await asyncio.sleep(GATHER_S)
        self._send_gathered()

    def _send_gathered(self) -> None:
        lines, self._lines = self._lines, {}
        if lines:
            task = asyncio.ensure_future(self._guarded(lines, self._submit(lines)))
            self._batches[f"unsent {id(lines)}"] = task

    async def _submit(self, lines: dict[str, bytes]) -> None:
        file = io.BytesIO(b"".join(lines.values()))
        uploaded = await self._client.files.create(file=("requests.jsonl", file), purpose="batch")
        batch = await self._client.batches.create(
            input_file_id=uploaded.id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
        )
        self._store.remember_batch(batch.id, lines)
        await self._follow(batch.id)

    def _watch(self, batch: str) -> None:
        """Follows a batch that an earlier run sent."""
        if batch not in self._batches:
            self._batches[batch] = asyncio.ensure_future(self._guarded((), self._follow(batch)))

    async def _guarded(self, requests: Iterable[str], work: Any) -> None:
        """Lets those who wait know of a failure."""
        try:
            await work
        except openai.APIStatusError as error:
            server = self.settings.base_url
            told = BackendUnavailable(f"{server} takes no batches (HTTP {error.status_code})")
            self._fail(requests or list(self._answers), told)
        except openai.OpenAIError as error:
            self._fail(
                requests or list(self._answers), NoAnswer(f"server_error: {type(error).__name__}")
            )

    async def _follow(self, batch_id: str) -> None:
        """Looks at a batch until it ended, then hands out its answers."""
        while True:
            batch = await self._client.batches.retrieve(batch_id)
            if batch.status in ENDED:
                break
            await asyncio.sleep(self.settings.batch_poll_s)
        for file in (batch.output_file_id, batch.error_file_id):
            if file:
                content = await self._client.files.content(file)
                for line in content.content.splitlines():
                    self._deliver(line)
        held = [one for one in self._answers if self._store.batch_of(one) == batch_id]
        self._fail(held, NoAnswer(f"server_error: the batch is {batch.status} without an answer"))

    def _deliver(self, line: bytes) -> None:
        """Hands out one line of a result file."""
        try:
            told = json.loads(line)
            request, response = str(told["custom_id"]), told.get("response") or {}
        except (ValueError, TypeError, KeyError, AttributeError):
            return
        if response.get("status_code") == 200:
            answer = self._answers.get(request)
            if answer and not answer.done():
                answer.set_result(json.dumps(response.get("body")).encode())
            return
        status = response.get("status_code", "no response")
        self._fail([request], NoAnswer(f"server_error: {status} in the batch"))

    def _fail(self, requests: Iterable[str], error: Exception) -> None:
        for request in requests:
            answer = self._answers.get(request)
            if answer and not answer.done():
                self._store.forget_batch_of(request)
                answer.set_exception(error)
