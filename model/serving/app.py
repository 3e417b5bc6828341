"""The server: one model, one request at a time, a bounded queue before it.

It binds to loopback only and takes requests that name loopback as their host: a page in a browser
cannot reach it under another name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import Response

from model.answer import Answer, Answers
from model.serving.errors import Refused, as_response
from model.serving.pictures import decode, prompt
from model.serving.wire import ChatRequest, chunks, completion, models
from schemas.errors import UsageError

LOOPBACK = "127.0.0.1"
EVENTS = "text/event-stream"
HOSTS = [LOOPBACK, "localhost"]
MOST_BYTES = 32 * 2**20
"""Of a request."""


class Line:
    """Lets requests to the model one by one, in a thread of its own.

    Args:
        queue: Requests that may wait; more are refused.
    """

    def __init__(self, queue: int) -> None:
        self._queue, self._there = queue, 0
        self._thread = ThreadPoolExecutor(1)

    async def work(self, task: Callable[[], Answer]) -> Answer:
        """Does a task when its turn comes.

        Raises:
            Refused: Too many wait already.
        """
        if self._there > self._queue:
            raise Refused(429, f"{self._there} requests are here already", "queue_full")
        self._there += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, task)
        finally:
            self._there -= 1


def make_app(model: Answers, name: str, queue: int = 64) -> FastAPI:
    """Makes the server.

    Args:
        model: What answers.
        name: Its name.
        queue: Requests that may wait.
    """
    app = FastAPI(title=name, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)
    app.add_exception_handler(Refused, as_response)
    app.add_exception_handler(HTTPException, _other)
    app.add_exception_handler(Exception, _other)
    line = Line(queue)

    @app.get("/v1/models")
    async def list_models() -> JSONResponse:
        return JSONResponse(models(name))

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        asked = _read(await _body(request), name)
        question, url = asked.question(), asked.picture()
        answer = await line.work(partial(_answer, model, asked, question, url))
        if asked.stream:
            return StreamingResponse(iter(list(chunks(answer, name))), media_type=EVENTS)
        return JSONResponse(completion(answer, name))

    return app


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            raise Refused(413, f"the request is longer than {MOST_BYTES} bytes", "too_large")
    return b"".join(parts)


def _read(body: bytes, name: str) -> ChatRequest:
    try:
        asked = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise Refused(400, f"{where}: {first['msg']}", "invalid_request", where) from None
    if asked.model != name:
        raise Refused(404, f"there is one model here: {name}", "model_not_found", "model")
    if asked.n not in (None, 1):
        raise Refused(400, "n must be 1", "invalid_request", "n")
    return asked


def _answer(model: Answers, asked: ChatRequest, question: str, url: str) -> Answer:
    image = decode(url)
    try:
        return model.answer(image, [prompt(question, asked.query, image)])[0]
    except UsageError as error:
        raise Refused(400, str(error), "invalid_request", "query") from error


async def _other(request: Request, error: Exception) -> JSONResponse:
    """Answers what the framework refuses, and our own faults, in the same form."""
    if isinstance(error, HTTPException):
        refused = Refused(error.status_code, str(error.detail), "not_found")
    else:
        refused = Refused(500, "the model failed; the server's log says why", "model_failed")
    return JSONResponse(refused.body, refused.status)


def run(model: Answers, name: str, port: int, queue: int) -> None:
    """Serves on loopback until it is interrupted; port 0 takes a free one, which is printed."""
    app = make_app(model, name, queue)
    uvicorn.run(app, host=LOOPBACK, port=port, log_level="info", access_log=False)
