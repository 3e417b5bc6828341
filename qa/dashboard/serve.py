"""Serves the dashboard: `facext qa DATASET --serve`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from nicegui import app as nicegui_app
from nicegui import ui

from qa.dashboard.guard import Guard, check_address
from qa.dashboard.opened import Opened
from qa.dashboard.pages import View, frame
from qa.dashboard.pictures import picture_routes
from qa.dashboard.views import compare, costs, overview, record, records, regions, rejects, reviews
from schemas.errors import UsageError
from schemas.heap import share_heaps

STATIC = Path(__file__).parent / "static"
VIEWS: dict[str, View] = {
    "/": overview.show_overview,
    "/regions": regions.show_regions,
    "/records": records.show_records,
    "/record": record.show_record,
    "/rejects": rejects.show_rejects,
    "/costs": costs.show_costs,
    "/compare": compare.show_compare,
    "/reviews": reviews.show_reviews,
}


def make_app(datasets: dict[str, Opened], host: str = "127.0.0.1", token: str = "") -> Guard:
    """Gives the dashboard as an ASGI application; a process can hold one.

    Args:
        datasets: By name; the first is the one that is reviewed, the others are compared with it.
        host: Address that the server binds.
        token: What a visitor must know; empty: nothing, on a loopback address only.

    Raises:
        UsageError: The address can be reached by others and there is no token.
    """
    check_address(host, token)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(picture_routes(datasets))
    app.mount("/static", StaticFiles(directory=STATIC))
    ui.add_head_html('<link rel="stylesheet" href="/static/dashboard.css">', shared=True)
    ui.add_head_html('<script defer src="/static/dashboard.js"></script>', shared=True)
    nicegui_app.colors(primary="#0072b2")
    for opened in datasets.values():
        nicegui_app.on_shutdown(opened.exports.finish)
    ui.run_with(
        app,
        root=functools.partial(frame, datasets, VIEWS),
        title="QA",
        favicon=STATIC / "icon.svg",
        tailwind=False,
        show_welcome_message=False,
        reconnect_timeout=10,
        message_history_length=50,
    )
    return Guard(app, host, token)


def serve(
    datasets: dict[str, Opened], host: str, port: int, token: str, ready: Callable[[str], None]
) -> None:
    """Serves until it is interrupted.

    Args:
        datasets: As in `make_app`.
        host: Address to bind.
        port: Port to bind; 0 for a free one.
        token: As in `make_app`.
        ready: Called with the dashboard's address before it starts.

    Raises:
        UsageError: The address needs a token, or cannot be bound.
    """
    share_heaps()
    config = uvicorn.Config(
        make_app(datasets, host, token), host, port, log_level="warning", ws="wsproto"
    )
    try:
        socket = config.bind_socket()
    except (OSError, SystemExit) as error:
        raise UsageError(f"{host}:{port} cannot be bound: is it in use?") from error
    socket.listen()  # who comes as soon as the address is told then waits and is not refused
    shown = f"[{host}]" if ":" in host else host
    ready(f"http://{shown}:{socket.getsockname()[1]}/")
    uvicorn.Server(config).run(sockets=[socket])
