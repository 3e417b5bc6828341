"""The Batch API of the captioning server, in its simplest true form."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

from benchmarks.caption_faults import Reply, refused

Play = Callable[[dict[str, Any], str], tuple[Reply, Callable[[Reply], None]]]
"""Gets a request and its key; gives the reply, and what writes it to the journal."""


class Batches:
    """Uploaded files and the batches made of them; all in memory."""

    def __init__(self, play: Play, latency_s: float) -> None:
        self.play = play
        self.latency_s = latency_s
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self._numbers = count(1)
        self._running: set[asyncio.Task[None]] = set()

    def upload(self, content_type: str, body: bytes) -> Reply:
        """Takes the file out of a multipart form."""
        boundary = content_type.partition("boundary=")[2].strip('"')
        for part in body.split(f"--{boundary}".encode()):
            head, _, content = part.partition(b"\r\n\r\n")
            named = re.search(rb'filename="([^"]*)"', head)
            if named:
                name = self._keep(content.removesuffix(b"\r\n"))
                return _json(
                    {
                        "id": name,
                        "object": "file",
                        "bytes": len(self.files[name]),
                        "created_at": int(time.time()),
                        "filename": named[1].decode(),
                        "purpose": "batch",
                        "status": "processed",
                    }
                )
        return refused(400, "The form holds no file", "invalid_request_error")

    def create(self, request: dict[str, Any], key: str) -> Reply:
        """Starts a batch; it is done when the latency of the script has passed."""
        if request["input_file_id"] not in self.files:
            return refused(404, "No such file", "not_found")
        batch = {
            "id": f"batch_{next(self._numbers)}",
            "object": "batch",
            "endpoint": request["endpoint"],
            "input_file_id": request["input_file_id"],
            "completion_window": request["completion_window"],
            "metadata": request.get("metadata"),
            "created_at": int(time.time()),
            "status": "in_progress",
        }
        self.batches[batch["id"]] = batch
        task = asyncio.get_running_loop().create_task(self._run(batch, key))
        self._running.add(task)  # the loop holds its tasks weakly
        task.add_done_callback(self._running.discard)
        return _json(batch)

    def find(self, name: str) -> Reply:
        """Gives a batch as it stands; an empty name lists all, for a client that was killed."""
        if not name:
            return _json({"object": "list", "data": [*self.batches.values()], "has_more": False})
        if name not in self.batches:
            return refused(404, "No such batch", "not_found")
        return _json(self.batches[name])

    def content(self, name: str) -> Reply:
        """Gives a file."""
        if name not in self.files:
            return refused(404, "No such file", "not_found")
        return Reply(self.files[name], content_type="application/octet-stream", slowness=0.0)

    async def _run(self, batch: dict[str, Any], key: str) -> None:
        await asyncio.sleep(self.latency_s)
        done: list[bytes] = []
        failed: list[bytes] = []
        try:
            lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
            for line in lines:
                fine, written = self._line(line, key)
                (done if fine else failed).append(written)
                await asyncio.sleep(0)  # requests in between get their turn
        except (ValueError, LookupError, TypeError) as error:
            problem = {"code": "invalid_json_line", "message": str(error), "line": 1}
            batch.update(status="failed", errors={"object": "list", "data": [problem]})
            return
        batch.update(
            status="completed",
            completed_at=int(time.time()),
            output_file_id=self._keep(b"".join(done)) if done else None,
            error_file_id=self._keep(b"".join(failed)) if failed else None,
            request_counts={
                "total": len(lines), "completed": len(done), "failed": len(failed),
            },
        )  # fmt: skip

    def _line(self, line: dict[str, Any], key: str) -> tuple[bool, bytes]:
        """Answers one line; a fault of the wire becomes an error, for which nobody pays."""
        reply, record = self.play(line["body"], key)
        name = f"batch_req_{next(self._numbers)}"
        entry = {"id": name, "custom_id": line["custom_id"], "response": None, "error": None}
        try:
            if reply.reset:
                raise ValueError("the connection was reset")
            body = json.loads(reply.body)
            entry["response"] = {"status_code": reply.status, "request_id": name, "body": body}
        except ValueError:
            entry["error"] = {"code": "server_error", "message": "The request failed"}
            reply = replace(reply, status=500)
        fine = reply.status == 200
        record(replace(reply, billed=reply.billed and fine))
        return fine, json.dumps(entry).encode() + b"\n"

    def _keep(self, content: bytes) -> str:
        name = f"file-{next(self._numbers)}"
        self.files[name] = content
        return name


def _json(content: dict[str, Any]) -> Reply:
    return Reply(json.dumps(content).encode(), slowness=0.0)
