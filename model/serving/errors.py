"""Refusals in the form of OpenAI's errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse


class Refused(Exception):
    """A request that is not answered.

    Args:
        status: HTTP status.
        message: What is wrong and what to do, without anything that the client sent.
        code: Short name, for programs.
        param: The field that is wrong.
    """

    def __init__(self, status: int, message: str, code: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param

    @property
    def body(self) -> dict[str, Any]:
        """The body of the answer."""
        kinds = {429: "rate_limit_error", 500: "server_error"}
        kind = kinds.get(self.status, "invalid_request_error")
        facts = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": facts}

    @property
    def headers(self) -> Mapping[str, str]:
        """When to come again, where waiting helps."""
        return {"Retry-After": "1"} if self.status == 429 else {}


async def as_response(request: Request, error: Exception) -> JSONResponse:
    """Answers a request with its refusal."""
    if not isinstance(error, Refused):
        raise error
    return JSONResponse(error.body, error.status, dict(error.headers))
