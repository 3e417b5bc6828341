"""How servers differ in what a request may hold; learned from their refusals.

Newer models want `max_completion_tokens`, some take no temperature, and many servers know no
`json_schema`. A refused key is left out or renamed for the rest of the run.
"""

from __future__ import annotations

from typing import Any

import openai

from annotators.mllm.request import Request, response_format

LESSER = {"json_schema": "json_object", "json_object": "none"}
FORM_WORDS = ("response_format", "json_schema", "json_object", "structured", "grammar", "guided")


class Dialect:
    """What one server understands.

    Args:
        structured: The best form of answer to ask for.
    """

    def __init__(self, structured: str) -> None:
        self._structured = structured
        self._takes_temperature = True
        self._tokens_key = "max_tokens"

    def body(self, request: Request) -> dict[str, Any]:
        """Gives a request's body as the server understands it."""
        body = dict(request.body)
        if self._tokens_key != "max_tokens":
            body[self._tokens_key] = body.pop("max_tokens")
        if not self._takes_temperature:
            body.pop("temperature", None)
        form = response_format(request.schema, self._structured)
        if form is not None:
            body["response_format"] = form
        return body

    def learns_from(self, error: openai.APIStatusError, sent: dict[str, Any]) -> bool:
        """Tells whether the same request may pass now, in other words.

        Args:
            error: The server's refusal.
            sent: The body that it refused.
        """
        if error.status_code not in (400, 422):
            return False
        said = f"{error.message} {error.param} {error.body}".lower()
        if "max_completion_tokens" in said and "max_tokens" in sent:
            self._tokens_key = "max_completion_tokens"
            return True
        if "temperature" in said and "temperature" in sent:
            self._takes_temperature = False
            return True
        if "response_format" in sent and any(word in said for word in FORM_WORDS):
            if sent["response_format"]["type"] == self._structured:  # else another one learned it
                self._structured = LESSER[self._structured]
            return True
        return False
