"""Is there room for a question beside the image? Else a run would learn no word, in silence."""

from __future__ import annotations

from itertools import islice

from model.samples import VIDEO_TASKS, Samples
from schemas.errors import UsageError

LOOKED = 10_000
"""Questions that are tried, until one fits."""


def check_room(samples: Samples) -> None:
    """Sees that a question which may be drawn fits into the longest text.

    Raises:
        UsageError: None of the first ones does.
    """
    config, shortest = samples.config, 0
    image = config.frames * samples.image_tokens
    rows = {row for row, _ in samples.places}
    for each in islice(samples.shards.questions(rows), LOOKED):
        asked = config.frames == 1 or each["task"] in VIDEO_TASKS
        if not asked or not config.weights.get(each["task"], 1.0):
            continue
        ids = samples.vocabulary.encode(each["question"], each["answer"], image).ids
        if len(ids) <= config.max_tokens:
            return
        shortest = min(shortest or len(ids), len(ids))
    if shortest:
        raise UsageError(
            f"data.max_tokens {config.max_tokens} has no room for a question: the shortest takes "
            f"{shortest} tokens, {image} of them the image's ({config.frames} x "
            f"{samples.image_tokens}); raise it, or lower data.frames or network.image_size"
        )
