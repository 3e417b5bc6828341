"""A captioning server of its own for each test, and a client that does not wait long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from annotators.mllm import batch, direct, jobs
from annotators.mllm.store import AnswerStore
from benchmarks.captioner import Captioner, Script

KEY = "sk-planted/secret-0123456789"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return KEY


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between attempts are short."""
    monkeypatch.setattr(direct, "FIRST_BACKOFF_S", 0.005)
    monkeypatch.setattr(direct, "LONGEST_BACKOFF_S", 0.05)
    monkeypatch.setattr(batch, "GATHER_S", 0.05)
    monkeypatch.setattr(jobs, "FIRST_RETRY_S", 0.01)


@pytest.fixture
def captioner(tmp_path: Path) -> Iterator[Callable[..., Captioner]]:
    """Starts servers on scripts."""
    with ExitStack() as stack:

        def start(**script: Any) -> Captioner:
            journal = tmp_path / f"journal{len(list(tmp_path.glob('journal*')))}.jsonl"
            return stack.enter_context(Captioner(Script(**script), journal))

        yield start


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AnswerStore]:
    with AnswerStore(tmp_path / "answers.sqlite") as opened:
        yield opened
