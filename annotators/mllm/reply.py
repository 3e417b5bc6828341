"""What a captioning server sent, read leniently: servers differ, and some send anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

MOST_TOKENS = 2**31
MOST_BYTES = 2 * 2**20
"""No explanation is longer; what a server sends beyond is not read."""


class Invalid(Exception):
    """An answer cannot be used.

    Args:
        reason: Short name, the first word of a fallback's reason.
        problem: What is wrong, in our own words, for the model and for people.
    """

    def __init__(self, reason: str, problem: str) -> None:
        super().__init__(reason, problem)
        self.reason, self.problem = reason, problem


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")

    text: str = ""


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore")

    content: str | list[_Part] | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    model_config = ConfigDict(extra="ignore")

    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    model_config = ConfigDict(extra="ignore")

    prompt_tokens: int
    completion_tokens: int


class _Completion(BaseModel):
    model_config = ConfigDict(extra="ignore")

    choices: list[_Choice] = []
    usage: Any = None


@dataclass(frozen=True)
class Reply:
    """The text of an answer.

    Attributes:
        text: What the model wrote.
        was_cut: It hit the limit of tokens.
    """

    text: str
    was_cut: bool


def read(body: bytes) -> Reply:
    """Reads a stored answer.

    Raises:
        Invalid: It holds no text of a model.
    """
    if len(body) >= MOST_BYTES:
        raise Invalid("huge_answer", f"the answer is longer than {MOST_BYTES} bytes")
    try:
        completion = _Completion.model_validate_json(body)
    except ValidationError as error:
        raise Invalid("broken_answer", "the server sent no chat completion") from error
    if not completion.choices:
        raise Invalid("empty_answer", "the server sent no choice")
    message = completion.choices[0].message
    content = message.content
    text = content if isinstance(content, str) else "".join(p.text for p in content or [])
    if message.refusal:
        raise Invalid("refusal", "the model refused to answer")
    if not text.strip():
        raise Invalid("empty_answer", "the answer is empty")
    return Reply(text, completion.choices[0].finish_reason == "length")


def usage(body: bytes) -> tuple[int, int] | None:
    """Gives the prompt and completion tokens that the server counted; `None` where it did not."""
    try:
        counted = _Usage.model_validate(_Completion.model_validate_json(body).usage)
    except ValidationError:
        return None
    tokens = (counted.prompt_tokens, counted.completion_tokens)
    return tokens if min(tokens) >= 0 and 0 < max(tokens) < MOST_TOKENS else None
