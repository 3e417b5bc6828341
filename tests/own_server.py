"""The project's own server on loopback, in a thread, for any system that answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import uvicorn

from model.answer import Answer, Answers, Seen
from model.serving.app import LOOPBACK, make_app

NAME = "fifa-mllm"


class Scripted:
    """Gives the same answer to all, with masks that are squares; keeps what was asked."""

    def __init__(self, text: str, masks: int | None = None, truncated: bool = False) -> None:
        self.text, self.truncated = text, truncated
        self.masks = text.count("[SEG]") if masks is None else masks
        self.asked = []

    def answer(self, image, prompts):
        self.asked += [(image, prompt) for prompt in prompts]
        masks = torch.zeros(self.masks, *image.shape[1:], dtype=torch.bool)
        for number, mask in enumerate(masks):
            mask[4 * number : 4 * number + 8, 2:9] = True
        return [Answer(self.text, masks, self.truncated) for _ in prompts]

    def see(self, image):
        return Seen(0.75)


@contextmanager
def serving(model: Answers, queue: int = 64) -> Iterator[str]:
    """Serves a system; gives the base URL for an OpenAI client."""
    config = uvicorn.Config(
        make_app(model, NAME, queue), host=LOOPBACK, port=0, log_level="critical", lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
        assert thread.is_alive(), "the server did not start"
    try:
        yield f"http://{LOOPBACK}:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    finally:
        server.should_exit = True
        thread.join(10)
