"""The `mllm` explainer: a captioning model behind any OpenAI-compatible server.

The model sees both crops, a copy with the regions outlined, and the measurements; it may only
choose among the given regions. Its answer is data: parsed, validated, bounded in length, never
evaluated. Whatever goes wrong ends as a fallback with its reason, never as a lost record.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import os
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

import cv2
import numpy as np
import openai
from numpy.typing import NDArray
from openai.types.chat import (
    ChatCompletionContentPartImageParam,
    ChatCompletionContentPartParam,
    ChatCompletionContentPartTextParam,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from annotators.explain import PROMPTS, NoAnswer, Said, Statement
from schemas import rle
from schemas.errors import BackendUnavailable
from schemas.manifest import Mllm
from schemas.records import DIRECTIONS, EvidenceKind, MeasuredFrame

PROMPT = "fifa.txt"
MAX_SENTENCE = 400
MAX_CLAIMS = 24
_FENCE = re.compile(r"^\s*```(?:json)?\s*|\s*```\s*$")
_MARK = re.compile(r"</?p>|\[SEG\]")


class AnsweredClaim(BaseModel):
    """One claim as the model must write it."""

    model_config = ConfigDict(extra="ignore")

    region: str
    kind: EvidenceKind
    direction: str
    sentence: str = Field(min_length=1, max_length=MAX_SENTENCE)


class Answered(BaseModel):
    """The model's whole answer."""

    model_config = ConfigDict(extra="ignore")

    cannot_tell: bool = False
    claims: list[AnsweredClaim] = Field(default=[], max_length=MAX_CLAIMS)


class MllmExplainer:
    """Asks one captioning server.

    Args:
        settings: The server's block in the manifest.

    Raises:
        BackendUnavailable: The server needs a key and its environment variable is unset.
    """

    def __init__(self, settings: Mllm) -> None:
        key = os.environ.get(settings.api_key_env, "")
        if not key and not _is_loopback(settings.base_url):
            raise BackendUnavailable(
                f"the captioning server {settings.base_url} needs a key: "
                f"set the environment variable {settings.api_key_env}"
            )
        self.settings = settings
        self.prompt = (PROMPTS / PROMPT).read_text(encoding="utf-8")
        self.prompt_hash = hashlib.sha256(self.prompt.encode()).hexdigest()[:16]
        self.client = openai.OpenAI(
            api_key=key or "none",
            base_url=settings.base_url,
            timeout=settings.timeout_s,
            max_retries=settings.retries,
        )

    def __call__(self, frame: MeasuredFrame) -> Said:
        """Explains one frame.

        Raises:
            NoAnswer: The server failed, or its answer was unusable, or it could not tell.
            BackendUnavailable: The server refused the key; every further frame would fail too.
        """
        answer = parse(self._request(frame))
        if answer.cannot_tell or not answer.claims:
            raise NoAnswer("cannot_tell: the model saw nothing that it could name")
        return Said(
            statements=_statements(answer.claims, frame),
            explainer="mllm",
            model=self.settings.model,
            prompt_hash=self.prompt_hash,
        )

    def _request(self, frame: MeasuredFrame) -> str:
        try:
            response = self.client.chat.completions.create(
                model=self.settings.model,
                messages=[{"role": "user", "content": self._content(frame)}],
                temperature=self.settings.temperature,
                max_tokens=self.settings.max_tokens,
                response_format={"type": "json_object"},
            )
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise BackendUnavailable(
                f"{self.settings.base_url} refused the key in {self.settings.api_key_env} "
                f"(HTTP {error.status_code})"
            ) from error
        except (openai.OpenAIError, ValueError) as error:  # ValueError: a body that is not JSON
            raise NoAnswer(f"server_error: {type(error).__name__}") from error
        if not response.choices or not response.choices[0].message.content:
            raise NoAnswer("empty_answer: the server sent no text")
        if response.choices[0].finish_reason == "length":
            raise NoAnswer("cut_answer: the answer hit max_tokens")
        return response.choices[0].message.content

    def _content(self, frame: MeasuredFrame) -> list[ChatCompletionContentPartParam]:
        pictures = [_decode(frame.real.bytes), _decode(frame.fake.bytes)]
        pictures.append(outlined(pictures[1], frame))
        return [
            ChatCompletionContentPartTextParam(type="text", text=fill(self.prompt, frame)),
            *(self._image(picture) for picture in pictures),
        ]

    def _image(self, picture: NDArray[np.uint8]) -> ChatCompletionContentPartImageParam:
        url = _data_url(picture, self.settings.image_size)
        return ChatCompletionContentPartImageParam(type="image_url", image_url={"url": url})


def fill(prompt: str, frame: MeasuredFrame) -> str:
    """Fills the prompt template with a frame's regions, measurements and the vocabulary."""
    names = {region.category_id: region.name for region in frame.regions}
    return prompt.format(
        regions=_lines(f"{n}. {region.name}" for n, region in enumerate(frame.regions, 1)),
        evidence=_lines(
            f"- {names[one.category_id]}: {one.kind} {one.direction}, {one.effect:.2f} {one.unit}"
            f" ({'significant' if one.significant else 'not significant'})"
            for one in frame.evidence
        ),
        vocabulary=_lines(f"- {kind}: {', '.join(words)}" for kind, words in DIRECTIONS.items()),
    )


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)


def parse(text: str) -> Answered:
    """Validates the model's answer.

    Raises:
        NoAnswer: It is not the JSON that was asked for.
    """
    try:
        return Answered.model_validate_json(_FENCE.sub("", text))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise NoAnswer(f"invalid_answer: {where} {first['msg']}".replace(":  ", ": ")) from error


def _statements(claims: list[AnsweredClaim], frame: MeasuredFrame) -> tuple[Statement, ...]:
    """Keeps claims about the given regions, each sentence bound to its region.

    Raises:
        NoAnswer: Every claim is about some other region.
    """
    ids = {region.name: region.category_id for region in frame.regions}
    known = [claim for claim in claims if claim.region.strip().lower() in ids]
    if not known:
        raise NoAnswer("unknown_regions: no claim is about one of the given regions")
    return tuple(
        Statement(
            ids[claim.region.strip().lower()],
            claim.kind,
            claim.direction,
            bind(claim.sentence, claim.region.strip().lower()),
        )
        for claim in known
    )


def bind(sentence: str, region: str) -> str:
    """Puts the region's name, and nothing else, inside `<p>` tags: text and mask then agree."""
    printable = "".join(c if c.isprintable() else " " for c in sentence)
    bare = " ".join(_MARK.sub(" ", printable).split())
    bare = re.sub(r" ([.,;:!?])", r"\1", bare)
    found = re.search(rf"\b{re.escape(region)}\b", bare, re.IGNORECASE)
    if found is None:
        return f"About the <p>{region}</p>: {bare}"
    return f"{bare[: found.start()]}<p>{found[0]}</p>{bare[found.end() :]}"


def outlined(picture: NDArray[np.uint8], frame: MeasuredFrame) -> NDArray[np.uint8]:
    """Draws numbered outlines of the changed regions on a copy of a crop."""
    copy = picture.copy()
    for number, region in enumerate(frame.regions, 1):
        mask = rle.decode(region.segmentation).astype(np.uint8)
        rims, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(copy, rims, -1, (255, 255, 0), 1)
        x, y = (int(value) for value in region.bbox[:2])
        place = (max(x - 4, 0), max(y - 4, 12))
        cv2.putText(copy, str(number), place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 0), 1)
    return copy


def _decode(encoded: bytes | None) -> NDArray[np.uint8]:
    if encoded is None:
        raise NoAnswer("no_pixels: the row holds no crops to show to the model")
    picture = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
    return np.asarray(picture, dtype=np.uint8)


def _data_url(picture: NDArray[np.uint8], size: int) -> str:
    if picture.shape[0] != size:
        picture = np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA))
    _, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return "data:image/png;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
