"""HTTP/1.1 as the captioning server speaks it, on raw streams: a web framework costs too much."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from benchmarks.caption_faults import Reply, refused

BUFFER = 4 << 20
"""Bytes of a request that are read ahead; with less, a body arrives in many small turns."""

Answer = Callable[[str, str, dict[str, str], bytes], Awaitable[Reply]]


async def talk(answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serves one connection until either side closes it."""
    try:
        while True:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
            pairs = (line.partition(":") for line in lines if line)
            head = {name.lower(): value.strip() for name, _, value in pairs}
            if "transfer-encoding" in head:
                await _send(writer, refused(411, "Length required", "length_required"))
                return
            body = await reader.readexactly(int(head.get("content-length", 0)))
            method, path, _ = first.split(" ", 2)
            reply = await answer(method, path, head, body)
            del body  # a quarter of a megabyte, for as long as the connection idles
            await _send(writer, reply)
            if reply.reset or head.get("connection", "").lower() == "close":
                return
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
        return
    finally:
        writer.close()


async def _send(writer: asyncio.StreamWriter, reply: Reply) -> None:
    named = (
        ("Content-Type", reply.content_type),
        ("Content-Length", str(len(reply.body))),
        *reply.headers,
    )
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in named]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    if not reply.reset:
        writer.write(head + reply.body)
        await writer.drain()
        return
    writer.write(head + reply.body[: len(reply.body) // 2])
    await writer.drain()
    linger = struct.pack("ii", 1, 0)  # on, for no time: closing sends RST in place of FIN
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
