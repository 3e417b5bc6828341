"""A real captioning server: `transformers serve` with a tiny LLaVA of random weights.

Nothing is downloaded. What the model says is gibberish; the protocol, the picture's way into the
model and the server's habits are those of a real one.
"""

from __future__ import annotations

import os
import re
import string
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

CHARACTERS = string.digits + string.ascii_letters + string.punctuation + " \n"
SPECIAL = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
IMAGE = "<image>"
TOKENS = (*SPECIAL.values(), IMAGE, *CHARACTERS)
PAD, BOS, EOS, UNKNOWN, IMAGE_ID = range(len(SPECIAL) + 1)
CONTEXT = 16384
"""A token is a character, so a prompt with its measurements takes thousands."""
SIDE, PATCH = 32, 8
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: "
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{{ part['text'] if part['type'] == 'text' else '" + IMAGE + "' }}"
    "{% endfor %}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
_RUNNING = re.compile(r"Uvicorn running on (http://\S+)")


def build(folder: Path) -> Path:
    """Writes the model, the same at each call, to a new folder."""
    _model().save_pretrained(folder)
    LlavaProcessor(
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
        ),
        tokenizer=_tokenizer(),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    ).save_pretrained(folder)
    return folder


def _model() -> LlavaForConditionalGeneration:
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            **size, num_attention_heads=2, image_size=SIDE, patch_size=PATCH
        ),
        text_config=LlamaConfig(
            **size, num_attention_heads=2, vocab_size=len(TOKENS), max_position_embeddings=CONTEXT
        ),
        image_token_id=IMAGE_ID,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlavaForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        suppress_tokens=[PAD, BOS, UNKNOWN, IMAGE_ID],
        begin_suppress_tokens=[EOS],  # some text in every answer
        exponential_decay_length_penalty=(8, 4.0),  # and an end of its own, soon after 8 tokens
    )
    return model


def _tokenizer() -> PreTrainedTokenizerFast:
    numbers = {token: number for number, token in enumerate(TOKENS)}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=SPECIAL["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **SPECIAL, extra_special_tokens={"image_token": IMAGE}
    )


@contextmanager
def serve(folder: Path, timeout_s: float = 120.0) -> Iterator[tuple[str, str]]:
    """Runs `transformers serve` on loopback.

    Args:
        folder: The model; the server reads and writes nothing else.
        timeout_s: How long it may take to load.

    Yields:
        Base URL and model name for an OpenAI client, once the server answers.

    Raises:
        RuntimeError: It ended or took too long; the message has what it printed.
    """
    log = folder / "server.log"
    options = ["--host", "127.0.0.1", "--port", "0", "--device", "cpu", "--dtype", "float32"]
    environment = {
        **os.environ,
        "HF_HOME": str(folder),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "OMP_NUM_THREADS": "1",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("transformers"), "serve", folder, *options],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield _address(process, log, timeout_s) + "/v1", str(folder)
    finally:
        _stop(process)


def _address(process: subprocess.Popen[bytes], log: Path, timeout_s: float) -> str:
    """Waits for the line that gives the port, which the system chose: it comes when all is up."""
    end = time.monotonic() + timeout_s
    while True:
        ended = process.poll()
        printed = log.read_text(errors="replace")
        if ended is not None:
            raise RuntimeError(f"transformers serve ended with code {ended}:\n{printed}")
        if running := _RUNNING.search(printed):
            return running[1]
        if time.monotonic() > end:
            raise RuntimeError(f"transformers serve was not up after {timeout_s:g} s:\n{printed}")
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
