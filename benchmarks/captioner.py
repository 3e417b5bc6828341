"""A captioning server that plays a script of good answers and faults, and keeps accounts.

It speaks the OpenAI protocol on loopback, in a process of its own: what is measured is the client,
and a client that is killed leaves the journal whole.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.caption_batches import Batches
from benchmarks.caption_faults import FATAL, FAULTS, Reply, good, refused
from benchmarks.caption_wire import BUFFER, talk
from benchmarks.captions import Asked, Dice, body_hash

START_S = 60.0
STOP_S = 5.0
ORPHAN_S = 0.2


@dataclass(frozen=True)
class Script:
    """What the server does.

    Attributes:
        latency_s: Seconds between a request and its answer; a refusal comes at once.
        faults: Names of `FAULTS` and `FATAL` that may occur.
        fault_share: Share of the requests that meet one. Which ones is a matter of the seed, of
            what is asked and of how often it was asked before, so that a retry may succeed.
        lies: Share of the claims of good answers that are false.
    """

    latency_s: float = 0.0
    faults: tuple[str, ...] = ()
    fault_share: float = 0.0
    lies: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if unknown := set(self.faults) - FAULTS.keys() - FATAL.keys():
            raise ValueError(f"no such faults: {', '.join(sorted(unknown))}")


@dataclass(frozen=True)
class Entry:
    """One answered request, or one line of a batch, as the provider would bill it.

    Attributes:
        body: What was asked: `body_hash` of the messages and the model.
        fault: Name of the fault; empty: a good answer.
        billed: A whole generation was made, also where nothing usable came out of the wire.
        seconds: From the whole request to the start of the answer; of a batch, its own time.
    """

    body: str
    fault: str
    status: int
    billed: bool
    prompt_tokens: int
    completion_tokens: int
    seconds: float


class Captioner:
    """Runs the server while its context lasts.

    Args:
        script: What it does.
        journal: File that gets a line for each answer, before the answer goes out.
    """

    def __init__(self, script: Script, journal: Path) -> None:
        self.script = script
        self.path = journal
        self.url = ""

    def __enter__(self) -> Captioner:
        # spawned: a fork of a process with threads may hang
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        with ours:
            self._process = context.Process(
                target=_main, args=(self.script, self.path, theirs, os.getpid()), daemon=True
            )
            self._process.start()
            theirs.close()  # or else its death would not end the wait
            try:
                if not ours.poll(START_S):
                    raise TimeoutError("the captioning server did not start")
                self.url = f"http://127.0.0.1:{ours.recv()}/v1"
            except BaseException:
                self._stop()
                raise
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()

    def _stop(self) -> None:
        self._process.terminate()
        self._process.join(STOP_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(STOP_S)
        self._process.close()

    def journal(self) -> list[Entry]:
        """Gives what was answered so far, also while the server runs."""
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [Entry(**json.loads(line)) for line in lines if line.endswith("\n")]


class Accounts:
    """Decides what each request gets, and writes it down."""

    def __init__(self, script: Script, journal: Path) -> None:
        self.script = script
        self.seen: Counter[str] = Counter()
        # one write a line: nothing is lost when this process is killed
        self.file = journal.open("a", encoding="utf-8", buffering=1)

    def play(self, request: dict[str, Any], key: str) -> tuple[Reply, Callable[[Reply], None]]:
        """Gives the reply to a request, and what writes the reply that was sent.

        Raises:
            LookupError, TypeError: It is not a request for a completion.
        """
        start = time.perf_counter()
        messages, model = request["messages"], request["model"]
        body = body_hash(messages, model)
        dice = Dice(f"{self.script.seed}/{body}/{self.seen[body]}")
        limit = request.get("max_completion_tokens") or request.get("max_tokens")
        asked = Asked(model, messages, key, limit, dice, self.script.lies)
        fault = self._fault(dice)
        reply = {**FAULTS, **FATAL}[fault](asked) if fault else good(asked)
        self.seen[body] += 1
        return reply, partial(self._write, body, fault, start)

    def _fault(self, dice: Dice) -> str:
        if not self.script.faults or dice.share("fault") >= self.script.fault_share:
            return ""
        return dice.pick("which", self.script.faults)

    def _write(self, body: str, fault: str, start: float, reply: Reply) -> None:
        seconds = time.perf_counter() - start
        tokens = (reply.prompt_tokens, reply.completion_tokens)
        entry = Entry(body, fault, reply.status, reply.billed, *tokens, round(seconds, 4))
        self.file.write(json.dumps(asdict(entry)) + "\n")


class Server:
    """Routes requests: completions, models, files and batches."""

    def __init__(self, script: Script, journal: Path) -> None:
        self.latency_s = script.latency_s
        self.accounts = Accounts(script, journal)
        self.batches = Batches(self.accounts.play, script.latency_s)

    async def __call__(self, method: str, path: str, head: dict[str, str], body: bytes) -> Reply:
        """Answers a request, after its latency."""
        key = head.get("authorization", "")
        try:
            match method, path.partition("?")[0].removeprefix("/v1/").split("/"):
                case "POST", ["chat", "completions"]:
                    return await self._complete(json.loads(body), key)
                case "GET", ["models"]:
                    model = {"id": "scripted", "object": "model", "created": 0, "owned_by": "x"}
                    return Reply(json.dumps({"object": "list", "data": [model]}).encode())
                case "POST", ["files"]:
                    return self.batches.upload(head.get("content-type", ""), body)
                case "GET", ["files", name, "content"]:
                    return self.batches.content(name)
                case "POST", ["batches"]:
                    return self.batches.create(json.loads(body), key)
                case "GET", ["batches", *name]:
                    return self.batches.find("/".join(name))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            return refused(400, f"{type(error).__name__}: {error}", "invalid_request_error")
        return refused(404, f"No such path: {path}", "not_found")

    async def _complete(self, request: dict[str, Any], key: str) -> Reply:
        reply, record = self.accounts.play(request, key)
        await asyncio.sleep(self.latency_s * reply.slowness)
        record(reply)
        return reply


async def _serve(script: Script, journal: Path, started: Connection, parent: int) -> None:
    connected = partial(talk, Server(script, journal))
    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=BUFFER, backlog=1024)
    async with server:
        with started:
            started.send(server.sockets[0].getsockname()[1])
        # not by a pipe to the parent: its other children may hold the end of it
        while os.getppid() == parent:
            await asyncio.sleep(ORPHAN_S)


def _main(script: Script, journal: Path, started: Connection, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    asyncio.run(_serve(script, journal, started, parent))
