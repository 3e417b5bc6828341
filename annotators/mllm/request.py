"""One request to a captioning server, as it is sent, named and bounded."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from schemas.explaining import Mllm

Message = dict[str, Any]
"""One message of the OpenAI chat format."""

TOKENS_PER_MESSAGE = 16
"""More than any chat template adds to a message."""
BYTES_PER_TOKEN = 3
"""Of usual prompts; the highest possible count is one token a byte."""


def user(text: str, pictures: Sequence[str] = ()) -> Message:
    """Gives a user's message.

    Args:
        text: The question.
        pictures: Data URLs.
    """
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}]
    parts += [{"type": "image_url", "image_url": {"url": picture}} for picture in pictures]
    return {"role": "user", "content": parts}


def assistant(text: str) -> Message:
    """Gives the model's own earlier message, in letters that can be sent."""
    return {"role": "assistant", "content": text.encode(errors="replace").decode()}


@dataclass(frozen=True)
class Request:
    """One question with all that was said before.

    Attributes:
        messages: The conversation; the last message asks.
        schema: JSON schema of the answer; `None` for free text.
        subject: Frame id or pair key, for the ledger.
        step: Place in the conversation, for the ledger.
        recipe: Who asks, for the ledger.
        settings: The server.
    """

    messages: tuple[Message, ...]
    schema: dict[str, Any] | None
    subject: str
    step: str
    recipe: str
    settings: Mllm

    @functools.cached_property
    def hash(self) -> str:
        """Names the request by everything that its answer depends on."""
        facts = self.body | {"server": self.settings.base_url, "messages": None}
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        digest.update(to_json(self.messages))  # their keys have one order; they may be large
        return digest.hexdigest()[:32]

    @functools.cached_property
    def body(self) -> dict[str, Any]:
        """The body, without the wish for a form of answer, which servers grant or not."""
        settings = self.settings
        return {
            "model": settings.model,
            "messages": list(self.messages),
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
            **settings.extra,
        }

    @property
    def expected_tokens(self) -> int:
        """Tokens that it will probably use, for the limit of tokens a minute."""
        text, pictures = self._size
        return text // BYTES_PER_TOKEN + pictures + self.settings.max_tokens

    @property
    def highest_tokens(self) -> tuple[int, int]:
        """The most prompt and answer tokens that it can use."""
        text, pictures = self._size
        return text + pictures + TOKENS_PER_MESSAGE * len(self.messages), self.settings.max_tokens

    @functools.cached_property
    def _size(self) -> tuple[int, int]:
        """Gives the bytes of all text and the most tokens of all pictures."""
        text = pictures = 0
        for message in self.messages:
            parts = message["content"]
            if isinstance(parts, str):
                text += len(parts.encode())
                continue
            for part in parts:
                if part["type"] == "text":
                    text += len(part["text"].encode())
                else:
                    pictures += self.settings.image_tokens
        return text, pictures


def response_format(schema: dict[str, Any] | None, structured: str) -> dict[str, Any] | None:
    """Gives the `response_format` of a request; `None` for none."""
    if schema is None or structured == "none":
        return None
    if structured == "json_object":
        return {"type": "json_object"}
    named = {"name": "explanation", "strict": True, "schema": schema}
    return {"type": "json_schema", "json_schema": named}
