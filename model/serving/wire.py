"""What a request may hold and what an answer holds: chat completions, and ours beside them.

Ours are `query` of a request (a box, a mask or a FICT node, which `<box>` or `<region>` in the
question stands for) and `masks` of the answer's message (COCO run lengths, one for each `[SEG]`).
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from model.answer import Answer
from model.serving.errors import Refused
from schemas import rle
from schemas.records import SEG, Segmentation

MOST_LETTERS = 4000
"""Of a question."""
MOST_MESSAGES = 64


class Wire(BaseModel):
    """Base: clients send keys that are not known here, and mean no harm."""

    model_config = ConfigDict(extra="ignore")


class Url(Wire):
    """Where a picture is; a data URL."""

    url: str


class Part(Wire):
    """A part of a message."""

    type: Literal["text", "image_url"]
    text: str = ""
    image_url: Url | None = None


class Message(Wire):
    """One message."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        """Its text."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content or [] if part.type == "text")

    @property
    def pictures(self) -> list[str]:
        """The addresses of its pictures."""
        parts = self.content if isinstance(self.content, list) else []
        return [part.image_url.url for part in parts if part.image_url]


class Query(Wire):
    """What a question points at; one of the three, or a mask with its node."""

    box_xyxy: tuple[float, float, float, float] | None = Field(
        None, description="left, top, right, bottom in pixels of the picture"
    )
    segmentation: Segmentation | None = Field(None, description="mask as COCO run lengths")
    category_id: int | None = Field(None, description="FICT node")


class ChatRequest(Wire):
    """A request for a completion."""

    model: str
    messages: list[Message] = Field(min_length=1, max_length=MOST_MESSAGES)
    stream: bool = False
    n: int | None = 1
    query: Query | None = None

    def question(self) -> str:
        """Gives the text of the last message, which must be a user's.

        Raises:
            Refused: There is none, or it is too long.
        """
        last = self.messages[-1]
        text = last.text.strip()
        if last.role != "user" or not text:
            raise Refused(400, "the last message must be a user's question", "no_question")
        if len(text) > MOST_LETTERS:
            told = f"the question has {len(text)} letters, more than {MOST_LETTERS}"
            raise Refused(400, told, "question_too_long", "messages")
        return text

    def picture(self) -> str:
        """Gives the address of the latest picture.

        Raises:
            Refused: No message has one, or the latest message with one has several.
        """
        for message in reversed(self.messages):
            if len(message.pictures) == 1:
                return message.pictures[0]
            if message.pictures:
                raise Refused(400, "one picture at a time", "several_pictures", "messages")
        raise Refused(400, "the messages hold no picture (image_url)", "no_picture", "messages")


def message_of(answer: Answer) -> dict[str, Any]:
    """Gives the message of an answer.

    Raises:
        Refused: The model gave not one mask for each `[SEG]`; nothing is sent then.
    """
    if answer.text.count(SEG) != len(answer.masks) or answer.masks.dtype != torch.bool:
        raise Refused(500, f"the model gave not one mask for each {SEG}", "broken_answer")
    masks = [rle.encode(mask).model_dump() for mask in answer.masks.cpu().numpy()]
    return {"role": "assistant", "content": answer.text, "refusal": None, "masks": masks}


def completion(answer: Answer, model: str) -> dict[str, Any]:
    """Gives the body of a plain answer. Tokens are not counted, so `usage` is null."""
    choice = {"index": 0, "message": message_of(answer), "finish_reason": _reason(answer)}
    return _head(model, "chat.completion") | {"choices": [choice], "usage": None}


def chunks(answer: Answer, model: str) -> Iterator[str]:
    """Gives the events of a streamed answer, word by word; the masks come with the last word.

    The masks need the whole text, so that nothing is sent before the model has ended.
    """
    message = message_of(answer)
    head = _head(model, "chat.completion.chunk")
    words = answer.text.split(" ")
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": (" " if n else "") + word} for n, word in enumerate(words)]
    deltas[-1]["masks"] = message["masks"]
    for delta in deltas:
        yield _event(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    end = {"index": 0, "delta": {}, "finish_reason": _reason(answer)}
    yield _event(head | {"choices": [end]})
    yield "data: [DONE]\n\n"


def models(name: str) -> dict[str, Any]:
    """Gives the list of the one model."""
    one = {"id": name, "object": "model", "created": 0, "owned_by": "facext"}
    return {"object": "list", "data": [one]}


def _head(model: str, kind: str) -> dict[str, Any]:
    number = f"chatcmpl-{uuid.uuid4().hex}"
    return {"id": number, "object": kind, "created": int(time.time()), "model": model}


def _event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content)}\n\n"


def _reason(answer: Answer) -> str:
    return "length" if answer.truncated else "stop"
