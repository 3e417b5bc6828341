"""Requests for the tests of the captioning client, and what a server billed for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from annotators.explain import NoAnswer
from annotators.mllm.client import Client
from annotators.mllm.request import Request, user
from annotators.mllm.store import AnswerStore
from benchmarks.captioner import Captioner
from schemas.explaining import Mllm

PRICES = {"price_in": 1.0, "price_out": 4.0}
PIXEL = "data:image/png;base64,AAAA"
SCHEMA = {"type": "object", "properties": {"cannot_tell": {"type": "boolean"}}}

T = TypeVar("T")


def server(url: str, **changes: Any) -> Mllm:
    return Mllm(**({"base_url": url, "model": "m"} | changes))


def question(settings: Mllm, number: object = 0, **changes: Any) -> Request:
    facts = {
        "messages": (user(f"What is odd in picture {number}?", [PIXEL, PIXEL]),),
        "schema": SCHEMA,
        "subject": f"frame {number}",
        "step": "ask",
        "recipe": "fifa",
        "settings": settings,
    }
    return Request(**(facts | changes))


def run(work: Awaitable[T], seconds: float = 20.0) -> T:
    """Runs to the end; a hang is a failure."""

    async def bounded() -> T:
        async with asyncio.timeout(seconds):
            return await work

    return asyncio.run(bounded())


async def ask_all(
    settings: Mllm, store: AnswerStore, numbers: Any, max_cost: float | None = None
) -> list[Any]:
    """Asks questions at once, `in_flight` of them; gives answers and errors in order."""
    turn = asyncio.Semaphore(settings.in_flight)

    async def one(client: Client, number: object) -> bytes:
        async with turn:
            return await client.ask(question(settings, number))

    async with Client(settings, store, max_cost) as client:
        return await asyncio.gather(
            *(one(client, number) for number in numbers), return_exceptions=True
        )


def billed(captioner: Captioner, settings: Mllm) -> float:
    """Gives what the server's journal says is to be paid."""
    return sum(
        settings.price(entry.prompt_tokens, entry.completion_tokens)
        for entry in captioner.journal()
        if entry.billed
    )


def is_expected(end: object) -> bool:
    return isinstance(end, bytes | NoAnswer)


class Bill:
    """Counts what happens to one request."""

    def __init__(self) -> None:
        self.attempts = self.losses = 0

    async def lost(self) -> None:
        self.losses += 1

    async def again(self) -> None:
        pass


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_server(reply: Handler, port: int = 0) -> AsyncIterator[str]:
    """Serves each request by writing to the wire; gives the address."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                await reply(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(connected, "127.0.0.1", port)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
