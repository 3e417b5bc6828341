"""How fast the captioning client is: against a server of known latency, and in CPU time.

A closed loop of so many askers, each of which asks again as soon as it has its answer. The ideal
is what such a loop reaches where asking and answering take no time: askers / latency. Requests are
counted in whole waves, one of each asker, from the first that is sent to the last that is
answered; a warm-up opens the connections.

Client and server share the machine, so a bare socket client that sends the same bytes is measured
beside it: what the server can do at all. Both take turns, and the middle round counts.
"""

from __future__ import annotations

import asyncio
import functools
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic_core import to_json

from annotators.mllm.client import Client
from annotators.mllm.dialect import Dialect
from annotators.mllm.explainer import MllmExplainer
from annotators.mllm.pictures import Pictures
from annotators.mllm.request import Request, user
from annotators.mllm.store import AnswerStore
from benchmarks.captioner import Captioner, Script
from benchmarks.explain_material import Material
from flows.explain import explain
from flows.run import Progress
from schemas.explaining import Explain, Mllm
from schemas.manifest import EvidenceSettings
from schemas.records import MeasuredFrame

Send = Callable[[int], Awaitable[None]]
WARM_UP = 3
"""Waves that are not counted."""
NOTHING = json.dumps(
    {"choices": [{"message": {"content": '{"cannot_tell": true, "claims": []}'}}]}
).encode()


@dataclass(frozen=True)
class Load:
    """How the server is asked.

    Attributes:
        latency_s: Seconds that the server takes for an answer.
        in_flight: Requests at once.
        waves: Requests that each asker sends one after the other.
        rounds: How often client and bare sockets take turns; odd.
        different: Frames whose pictures are sent.
        records: Records of the whole stage.
    """

    latency_s: float = 0.2
    in_flight: int = 64
    waves: int = 40
    rounds: int = 3
    different: int = 96
    records: int = 640

    @property
    def requests(self) -> int:
        """Requests that are counted."""
        return self.in_flight * self.waves

    @property
    def ideal(self) -> float:
        """Requests a second where asking and answering take no time."""
        return self.in_flight / self.latency_s


@dataclass
class Copier:
    """Stands in for the client: keeps the requests of a recipe, and answers nothing."""

    settings: Mllm
    requests: list[Request] = field(default_factory=list)

    async def ask(self, request: Request) -> bytes:
        """Keeps a request."""
        self.requests.append(request)
        return NOTHING


def measure_speed(material: Material, load: Load, progress: Progress) -> dict[str, Any]:
    """Measures the client, the bare server, the whole stage, and the drawing of outlines."""
    frames = material.measured(load.different)
    script = Script(latency_s=load.latency_s)
    with Captioner(script, material.folder / "speed.jsonl") as captioner:
        settings = Mllm(base_url=captioner.url, model="scripted", in_flight=load.in_flight)
        requests = requests_of(frames, settings)
        rounds = [
            _round(settings, requests, load, material.folder / f"speed-{n}.sqlite", progress)
            for n in range(load.rounds)
        ]
        stage_rate = _explain(material, captioner.url, load, progress)
    ratio, rate, bare, cpu = sorted(rounds)[load.rounds // 2]
    return {
        "throughput_ratio": ratio,
        "throughput_of_theory": rate / load.ideal,
        "cpu_ms_per_request": cpu,
        "requests_per_second": rate,
        "server_rate": bare,
        "ideal_rate": load.ideal,
        "ratios": [one[0] for one in rounds],
        "requests": load.requests,
        "request_kb": statistics.mean(len(to_json(one.body)) for one in requests) / 1000,
        "stage_frames_per_second": stage_rate,
        "render_ms": _render_ms(frames, settings),
    }


def _round(
    settings: Mllm, requests: Sequence[Request], load: Load, store: Path, progress: Progress
) -> tuple[float, float, float, float]:
    """Gives the ratio of the rates, both rates, and the client's CPU milliseconds a request."""
    rate, cpu = asyncio.run(_ask(settings, requests, load, store, progress))
    bare = asyncio.run(_send_bare(settings.base_url, requests, load, progress))
    return rate / bare, rate, bare, 1000 * cpu / load.requests


def requests_of(frames: Sequence[MeasuredFrame], settings: Mllm) -> list[Request]:
    """Gives the first request of each frame, as the recipe of the manifest writes it."""
    copier = Copier(settings)
    explainer = MllmExplainer(copier, Explain(), EvidenceSettings(), {})
    asyncio.run(explainer.explain(frames))
    return copier.requests


def numbered(request: Request, number: int) -> Request:
    """Gives a request that differs from all others in its text."""
    text, *pictures = request.messages[0]["content"]
    urls = [picture["image_url"]["url"] for picture in pictures]
    return replace(request, messages=(user(f"{text['text']}\n\n{number}", urls),))


async def _ask(
    settings: Mllm, requests: Sequence[Request], load: Load, path: Path, progress: Progress
) -> tuple[float, float]:
    """Gives the client's requests a second, and the CPU seconds that its process took."""
    with AnswerStore(path) as store:
        async with Client(settings, store) as client:

            async def send(number: int) -> None:
                await client.ask(numbered(requests[number % len(requests)], number))

            await _loop(send, load.in_flight, WARM_UP, 0)
            start = time.process_time()
            report = functools.partial(progress, "client")
            seconds = await _loop(send, load.in_flight, load.waves, WARM_UP, report)
            return load.requests / seconds, time.process_time() - start


async def _send_bare(
    url: str, requests: Sequence[Request], load: Load, progress: Progress
) -> float:
    """Gives the answers a second of the server to a client that does nothing but send."""
    parts = urlsplit(url)
    bodies = [_wire(one, parts.path) for one in requests]
    connections = [
        await asyncio.open_connection(parts.hostname, parts.port) for _ in range(load.in_flight)
    ]
    free = list(connections)

    async def send(number: int) -> None:
        reader, writer = connection = free.pop()
        writer.write(bodies[number % len(bodies)])
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        free.append(connection)

    await _loop(send, load.in_flight, WARM_UP, 0)
    report = functools.partial(progress, "bare")
    seconds = await _loop(send, load.in_flight, load.waves, WARM_UP, report)
    for _, writer in connections:
        writer.close()
        await writer.wait_closed()
    return load.requests / seconds


def _wire(request: Request, path: str) -> bytes:
    """Gives the bytes of a request, as the client sends it."""
    body = to_json(Dialect("json_schema").body(request))
    head = f"POST {path}/chat/completions HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _loop(
    send: Send,
    askers: int,
    waves: int,
    before: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> float:
    """Lets askers ask without a pause, all as often; gives the seconds."""
    numbers: Iterator[int] = iter(range(askers * before, askers * (before + waves)))
    done = 0

    async def ask() -> None:
        nonlocal done
        for _ in range(waves):
            await send(next(numbers))
            done += 1
            if done % askers == 0:
                progress(done, askers * waves)

    start = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(askers)))
    return time.perf_counter() - start


def _explain(material: Material, url: str, load: Load, progress: Progress) -> float:
    """Gives the frames a second of the whole stage, from measured units to annotated ones."""
    server = {"base_url": url, "in_flight": load.in_flight}
    run, pairs = material.run("speed", load.records, server)
    start = time.perf_counter()
    explain(run, pairs, lambda _, done, total: progress("stage", done, total))
    return load.records / (time.perf_counter() - start)


def _render_ms(frames: Sequence[MeasuredFrame], settings: Mllm) -> float:
    """Gives the milliseconds that the three pictures of a frame take, one thread."""
    start = time.perf_counter()
    for frame in frames:
        pictures = Pictures(frame, settings.image_size)
        _ = pictures.real, pictures.fake, pictures.outlined
    return 1000 * (time.perf_counter() - start) / len(frames)
