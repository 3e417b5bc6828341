"""The connection to a captioning server: how long it may take, and what may come back over it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator

import anyio
import httpx2
import openai

from schemas.explaining import Mllm

CONNECT_S = 10.0
MOST_ERROR_BYTES = 2**16
"""Of the body of an error; what a server sends beyond is not read."""
SECRET_LETTERS = 8
"""A shorter key (`EMPTY`, `none`) is no secret, and stands in too many words to be taken out."""
TROUBLE = (
    openai.OpenAIError,
    httpx2.RequestError,
    httpx2.StreamError,
    ssl.SSLError,
    anyio.EndOfStream,
    TimeoutError,
)
"""Whatever goes wrong on the way there and back."""
UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
"""Trouble before anything was sent."""


def connect(settings: Mllm, key: str) -> openai.AsyncOpenAI:
    """Gives the client of a server; retries are ours."""
    return openai.AsyncOpenAI(
        api_key=key or "none",
        base_url=settings.base_url,
        timeout=httpx2.Timeout(settings.timeout_s, connect=min(CONNECT_S, settings.timeout_s)),
        max_retries=0,
        http_client=openai.DefaultAsyncHttpxClient(
            limits=httpx2.Limits(max_keepalive_connections=settings.in_flight),
            event_hooks={"response": [_shorten]},
        ),
    )


def is_unsent(error: BaseException) -> bool:
    """Tells whether trouble came before anything was sent, so that nothing can be billed."""
    return isinstance(error, UNSENT) or isinstance(error.__cause__, UNSENT)


def redacted(said: bytes, key: str) -> bytes:
    """Takes the key out of what a server sent, also as JSON may spell it."""
    if len(key) >= SECRET_LETTERS:
        for spelt in (key, key.replace("/", r"\/")):
            said = said.replace(spelt.encode(), b"[key]")
    return said


class _Short(httpx2.AsyncByteStream):
    """The beginning of a body."""

    def __init__(self, whole: httpx2.AsyncByteStream) -> None:
        self._whole = whole

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts, size = aiter(self._whole), 0
        try:
            async for part in parts:
                yield part
                size += len(part)
                if size >= MOST_ERROR_BYTES:
                    return
        finally:
            if isinstance(parts, AsyncGenerator):
                await parts.aclose()

    async def aclose(self) -> None:
        await self._whole.aclose()


async def _shorten(response: httpx2.Response) -> None:
    """Bounds the body of an error, which the library reads whole, in whatever charset it claims."""
    if not response.is_success and isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _Short(response.stream)
        response.encoding = "utf-8"
