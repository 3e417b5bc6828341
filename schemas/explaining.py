"""The manifest's blocks `explain` and `mllms`: who explains, how, and at what cost."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import Field, field_validator

from schemas.settings import Settings

ANSWER_KEYS = {"base_url", "model", "temperature", "max_tokens", "image_size", "extra"}
"""Keys of a server's block on which its answers depend; the others are speed, patience, money."""

OWN_KEYS = {
    "model", "messages", "stream", "response_format", "temperature", "max_tokens",
    "max_completion_tokens", "n", "best_of",
}  # fmt: skip
"""Keys of a request that have a setting of their own, or would make it dearer than its price."""


class Explain(Settings):
    """Settings of the explain stage."""

    explainer: str = Field("evidence", description="`evidence` or `mllm`")
    mllm: str = Field("", description="which of `mllms`; empty: the first")
    recipe: str = Field("fifa", description="how the model is asked; docs/recipes.md")
    method: Literal["hidden", "told", "swapped"] = Field(
        "hidden",
        description="whether the model is told how the forgery was made; `told` and `swapped` (it "
        "is told another method of the dataset) are for ablation: a model parrots what it is told",
    )
    untestable: Literal["drop", "keep"] = Field(
        "drop", description="statements that no measurement could decide"
    )
    reasks: int = Field(2, ge=0, description="questions again after an answer that is not valid")
    max_cost: float | None = Field(
        None, gt=0, description="the dataset's budget over all its runs, in the unit of the prices"
    )

    def digest(self) -> str:
        """Gives a short hash of what the explanations depend on."""
        return _digest(self.model_dump(mode="json", exclude={"max_cost", "mllm"}))


class Mllm(Settings):
    """An OpenAI-compatible captioning server. The key itself stays in the environment."""

    base_url: str
    model: str
    api_key_env: str = "OPENAI_API_KEY"
    temperature: float = Field(0.0, ge=0)
    max_tokens: int = Field(1200, ge=16)
    image_size: int = Field(512, ge=32, le=2048, description="side of each picture sent, pixels")
    extra: dict[str, Any] = Field({}, description="further keys of the request body, e.g. seed")
    structured: Literal["json_schema", "json_object", "none"] = Field(
        "json_schema", description="best form of answer to ask for; less where the server refuses"
    )
    timeout_s: float = Field(120.0, gt=0)
    retries: int = Field(5, ge=0, description="of a request that failed; 429 does not count")
    patience_s: float = Field(
        300.0, gt=0, description="the run stops after so long without any answer"
    )
    in_flight: int = Field(8, ge=1, le=1024, description="requests at once")
    requests_per_minute: float | None = Field(None, gt=0)
    tokens_per_minute: float | None = Field(None, gt=0)
    batch: bool = Field(False, description="ask through the Batch API: cheaper, within a day")
    batch_size: int = Field(1000, ge=1, le=50_000, description="most requests of one batch")
    batch_poll_s: float = Field(30.0, gt=0, description="how often a batch is looked at")
    price_in: float = Field(0.0, ge=0, description="of a million prompt tokens")
    price_out: float = Field(0.0, ge=0, description="of a million answer tokens")
    image_tokens: int = Field(
        1600, ge=1, description="most prompt tokens of one picture; for budget and limits"
    )

    @field_validator("base_url")
    @classmethod
    def _http(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return url

    @field_validator("extra")
    @classmethod
    def _no_own_keys(cls, extra: dict[str, Any]) -> dict[str, Any]:
        own = OWN_KEYS & set(extra)
        if own:
            raise ValueError(f"{', '.join(sorted(own))} cannot be set here")
        return extra

    def digest(self) -> str:
        """Gives a short hash of what the answers depend on."""
        return _digest(self.model_dump(mode="json", include=ANSWER_KEYS))

    def price(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Gives the price of a request, in the unit of the prices."""
        return (prompt_tokens * self.price_in + completion_tokens * self.price_out) / 1e6


def _digest(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
