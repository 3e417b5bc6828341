"""The page around the views: navigation, who reviews, dark or light, and which view is where.

Views are exchanged in place, over the page's one connection; a view is built in a thread, so that
one visitor's query holds up nobody.
"""
# no postponed annotations here: NiceGUI looks at the type of a view's argument

import functools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote

from nicegui import PageArguments, run, ui

from qa.dashboard.drawing import render
from qa.dashboard.opened import Opened
from schemas.errors import FacextError

NAVIGATION = {
    "/": "Overview",
    "/regions": "Regions",
    "/records": "Records",
    "/rejects": "Rejects",
    "/costs": "Costs",
    "/compare": "Compare",
    "/reviews": "Reviews",
}
THEMES = {"auto": None, "light": False, "dark": True}


@dataclass
class Visit:
    """One open page.

    Attributes:
        datasets: The datasets by name; the first is the one that is reviewed.
        reviewer: Who looks; empty until told.
    """

    datasets: dict[str, Opened]
    reviewer: str = ""

    @property
    def opened(self) -> Opened:
        """The dataset that is looked at."""
        return next(iter(self.datasets.values()))

    def changed(self) -> list[str]:
        """Gives the names of the datasets whose shards are others than when they were opened."""
        return [name for name, opened in self.datasets.items() if not opened.renew()]


T = TypeVar("T")
View = Callable[[Visit, dict[str, str]], Awaitable[None]]


async def attempt(build: Callable[..., T], *values: object) -> T | None:
    """Builds a part of a page in a thread; an expected error becomes a notice.

    Args:
        build: Gives the part.
        values: Its arguments.

    Returns:
        The part; None after an error.
    """
    try:
        return await run.io_bound(build, *values)
    except FacextError as error:
        put(render("notice.html", text=str(error)))
        return None


def put(html: str) -> None:
    """Places HTML that a template made, in which all text is escaped."""
    ui.html(html, sanitize=False).classes("view")


async def show(build: Callable[..., str], *values: object) -> bool:
    """Builds a view's HTML and places it; tells whether that went well."""
    html = await attempt(build, *values)
    if html is not None:
        put(html)
    return html is not None


def frame(datasets: dict[str, Opened], views: dict[str, View]) -> None:
    """Builds the page of one visitor."""
    cookies = ui.context.client.request.cookies
    visit = Visit(datasets, unquote(cookies.get("reviewer", ""))[:60])
    theme = cookies.get("theme", "auto")
    dark = ui.dark_mode(THEMES.get(theme))
    ui.page_title(f"{visit.opened.source.name} · QA")
    with ui.element("header").classes("top"):
        title = visit.opened.facts.get("title", visit.opened.source.name)
        name = visit.opened.source.name
        put(render("top.html", name=name, title=title, links=NAVIGATION))
        _reviewer(visit)
        _theme(dark, theme if theme in THEMES else "auto")
    routes = {path: functools.partial(_built, view, visit) for path, view in views.items()}
    with ui.element("main").props("id=main"):
        ui.sub_pages({path: _typed(build) for path, build in routes.items()})


def _typed(build: Callable[[PageArguments], Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def view(arguments: PageArguments) -> None:
        await build(arguments)

    return view


async def _built(view: View, visit: Visit, arguments: PageArguments) -> None:
    if changed := await run.io_bound(visit.changed):
        text = f"The annotations of {', '.join(changed)} have changed since this dashboard was "
        put(render("notice.html", text=f"{text}started; start it again."))
    await view(visit, dict(arguments.query_parameters))


def _reviewer(visit: Visit) -> None:
    def remember(name: str) -> None:
        visit.reviewer = name.strip()[:60]
        _keep("reviewer", visit.reviewer)

    ui.input(
        placeholder="Your name", value=visit.reviewer, on_change=lambda event: remember(event.value)
    ).props('dense borderless debounce=300 maxlength=60 aria-label="Reviewer"').classes("reviewer")


def _theme(dark: ui.dark_mode, theme: str) -> None:
    names = list(THEMES)
    place = names.index(theme)
    icons = {"auto": "brightness_auto", "light": "light_mode", "dark": "dark_mode"}

    def turn() -> None:
        nonlocal place
        place = (place + 1) % len(names)
        dark.value = THEMES[names[place]]
        button.props(f'icon={icons[names[place]]} aria-label="Colours: {names[place]}"')
        _keep("theme", names[place])

    button = ui.button(on_click=turn, color=None).props(
        f'flat round dense icon={icons[theme]} aria-label="Colours: {theme}"'
    )


def _keep(name: str, value: str) -> None:
    """Keeps a choice in a cookie of the visitor's browser."""
    cookie = json.dumps(f"{name}=") + f" + encodeURIComponent({json.dumps(value)})"
    ui.run_javascript(f"document.cookie = {cookie} + '; path=/; max-age=31536000; SameSite=Lax'")
