"""A loopback server that speaks the OpenAI protocol and plays a script."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[[dict[str, Any]], str | tuple[int, str]]
"""Gets the request's JSON; gives the answer's text, or a status and a raw body."""


class _Crowded(ThreadingHTTPServer):
    request_queue_size = 256  # with the usual 5, a crowd of clients sees resets


class ScriptedServer:
    """Serves `/v1/chat/completions` on loopback; `requests` keeps what was asked."""

    def __init__(
        self, reply: Reply, finish_reason: str = "stop", usage: tuple[int, int] = (1, 1)
    ) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.down = False
        script = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                request = json.loads(self.rfile.read(length))
                script.requests.append(request)
                script.keys.append(self.headers["Authorization"])
                answer = (503, "{}") if script.down else reply(request)
                status, body = (
                    answer
                    if isinstance(answer, tuple)
                    else (200, completion(answer, finish_reason, usage))
                )
                encoded = body.encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(encoded)))
                self.end_headers()
                self.wfile.write(encoded)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = _Crowded(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> ScriptedServer:
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def completion(text: str, finish_reason: str = "stop", usage: tuple[int, int] = (1, 1)) -> str:
    return json.dumps(
        {
            "id": "x", "object": "chat.completion", "created": 0, "model": "scripted",
            "choices": [
                {
                    "index": 0, "finish_reason": finish_reason,
                    "message": {"role": "assistant", "content": text},
                }
            ],
            "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]},
        }
    )  # fmt: skip


def prompt_of(request: dict[str, Any]) -> str:
    """Gives the text part of a captioning request."""
    return str(request["messages"][0]["content"][0]["text"])


def regions_of(request: dict[str, Any]) -> list[str]:
    """Gives the region names that a captioning request allows."""
    listed = prompt_of(request).split("The regions, by number:\n")[1].split("\n\n")[0]
    return [line.split(". ", 1)[1] for line in listed.splitlines()]


def true_claims(request: dict[str, Any]) -> str:
    """Answers as a perfect model would: every significant measurement in a sentence."""
    claims = []
    for line in prompt_of(request).splitlines():
        if line.endswith("(significant)"):
            region, rest = line[2:].split(": ", 1)
            kind, direction = rest.split(",")[0].split(" ", 1)
            sentence = f"I can see that the {region} looks {direction}."
            claims.append(
                {"region": region, "kind": kind, "direction": direction, "sentence": sentence}
            )
    return json.dumps({"cannot_tell": False, "claims": claims[:20]})
