"""Sends requests through the Batch API: gathered into files, answered within a day.

Which request is in which batch is on disk: a run that was stopped asks for its batches again and
pays nothing twice. What a batch did not answer is asked by the next run.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from annotators.explain import NoAnswer
from annotators.mllm.dialect import Dialect
from annotators.mllm.direct import Bill
from annotators.mllm.jobs import Ended, Jobs
from annotators.mllm.request import Request
from annotators.mllm.store import AnswerStore
from schemas.errors import FacextError
from schemas.explaining import Mllm

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
        self._jobs = Jobs(settings, key)
        self._dialect = Dialect(settings.structured)
        self._answers: dict[str, asyncio.Future[bytes]] = {}
        self._lines: dict[str, bytes] = {}
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._submitting: dict[asyncio.Task[None], dict[str, bytes]] = {}
        self._following: dict[str, asyncio.Task[None]] = {}
        self._ended: dict[str, Ended] = {}
        self._stopped: FacextError | None = None

    def stop(self, error: FacextError) -> None:
        """Sends nothing more, and waits for nothing; the batches go on at the server."""
        self._stopped = self._stopped or error
        self._lines, self._size = {}, 0
        on_the_way = {one for lines in self._submitting.values() for one in lines}
        self._fail(set(self._answers) - on_the_way, self._stopped)

    async def close(self) -> None:
        """Stops waiting; the batches go on at the server, and the next run finds them."""
        if self._timer:
            self._timer.cancel()
        await asyncio.gather(*self._submitting, return_exceptions=True)
        for task in self._following.values():
            task.cancel()
        await asyncio.gather(*self._following.values(), return_exceptions=True)
        await self._jobs.close()

    def used(self, request: Request, tokens: int) -> None:
        """Does nothing: a batch has no limit of tokens a minute."""

    async def send(self, request: Request, bill: Bill) -> bytes:
        """Puts a request into the next batch, unless one holds it, and waits for the answer.

        Raises:
            NoAnswer: The batch did not answer it.
            BackendUnavailable: The server takes no batches, or is not there any more.
        """
        if self._stopped:
            raise self._stopped
        bill.attempts = 1
        answer = self._answers[request.hash] = asyncio.get_running_loop().create_future()
        try:
            if batch := self._store.batch_of(request.hash):
                self._wait_for(batch, request.hash)
            else:
                self._add(request)
            body: bytes = await answer
        except _Unheard as failure:
            await bill.lost()
            raise NoAnswer(str(failure)) from None
        finally:
            del self._answers[request.hash]
        return body

    def _add(self, request: Request) -> None:
        """Puts a request into the next batch, which is sent when full or when no more comes."""
        line = self._lines[request.hash] = self._line(request)
        self._size += len(line)
        if self._timer:
            self._timer.cancel()
        if len(self._lines) >= self.settings.batch_size or self._size > MOST_FILE_BYTES:
            self._send_gathered()
        else:
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._send_gathered)

    def _line(self, request: Request) -> bytes:
        body = self._dialect.body(request)
        body |= body.pop("extra_body") or {}
        line = {
            "custom_id": request.hash,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": body,
        }
        return json.dumps(line).encode() + b"\n"

    def _send_gathered(self) -> None:
        lines, self._lines, self._size = self._lines, {}, 0
        if lines:
            task = asyncio.ensure_future(self._guarded(self._submit(lines), lambda: lines))
            self._submitting[task] = lines
            task.add_done_callback(self._submitting.pop)

    async def _submit(self, lines: dict[str, bytes]) -> None:
        batch = await self._jobs.submit(b"".join(lines.values()))
        self._store.remember_batch(batch, lines)
        if self._stopped:
            raise self._stopped
        self._follow(batch)

    def _wait_for(self, batch: str, request: str) -> None:
        """Follows a batch that an earlier run sent; it may have ended before this was asked."""
        if batch in self._ended:
            self._hand_out(batch, [request])
        else:
            self._follow(batch)

    def _follow(self, batch: str) -> None:
        task = self._following.get(batch)
        if task is None or task.done():
            work = self._guarded(self._finish(batch), lambda: self._held_by(batch))
            self._following[batch] = asyncio.ensure_future(work)

    async def _finish(self, batch: str) -> None:
        self._ended[batch] = await self._jobs.ended(batch)
        self._hand_out(batch, self._held_by(batch))

    def _held_by(self, batch: str) -> list[str]:
        return [one for one in self._answers if self._store.batch_of(one) == batch]

    def _hand_out(self, batch: str, requests: Iterable[str]) -> None:
        """Hands out what an ended batch holds, each answer once."""
        ended = self._ended[batch]
        for request in requests:
            answer = self._answers[request]
            if answer.done():
                continue
            body = ended.bodies.pop(request, None)
            if body is not None:
                answer.set_result(body)
                continue
            self._store.forget_batch_of(request)
            failed = f"server_error: {ended.failures.get(request, ended.status)} in the batch"
            was_billed = ended.is_complete and request not in ended.failures
            answer.set_exception(_Unheard(failed) if was_billed else NoAnswer(failed))

    async def _guarded(
        self, work: Coroutine[Any, Any, None], waiting: Callable[[], Iterable[str]]
    ) -> None:
        """Lets those who wait know of a failure, whatever it is: they would wait for ever."""
        try:
            await work
        except Exception as error:
            self._fail(waiting(), error)

    def _fail(self, requests: Iterable[str], error: Exception) -> None:
        """Ends the waiting. Which batch holds a request stays known: the next run waits again."""
        for request in requests:
            answer = self._answers.get(request)
            if answer and not answer.done():
                answer.set_exception(error)


class _Unheard(Exception):
    """A batch is complete without an answer that may have been billed."""
