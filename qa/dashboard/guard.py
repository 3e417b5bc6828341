"""Who may use the dashboard, and what its pages may load.

It is for one machine: requests must name a loopback host, so that a foreign page cannot reach it by
a name that resolves here. At another address, or behind a proxy, a token is needed instead, which a
cookie then stands for: a browser keeps it from pages of another name. The content policy lets a
page load nothing from elsewhere.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schemas.errors import UsageError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
COOKIE = "facext_qa"
MIN_TOKEN = 12
HEADERS = {
    # NiceGUI's pages hold their script and styles in line, and Vue compiles templates
    "content-security-policy": "default-src 'none'; script-src 'self' 'unsafe-inline' "
    "'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def check_address(host: str, token: str) -> None:
    """Checks that a dashboard which others can reach has a token.

    Raises:
        UsageError: It has none, or too short a one.
    """
    if host not in LOOPBACK and not token:
        raise UsageError(
            f"{host} can be reached by others: choose a token and give it as --token or "
            "in the environment variable FACEXT_QA_TOKEN"
        )
    if token and len(token) < MIN_TOKEN:
        raise UsageError(f"the token is too short: {MIN_TOKEN} characters are the least")


class Guard:
    """Lets through what may pass, and adds `HEADERS` to every answer.

    Args:
        app: What is guarded.
        host: Address that the server binds.
        token: What a visitor must know; empty: nothing, on a loopback address only.
    """

    def __init__(self, app: ASGIApp, host: str, token: str) -> None:
        self.app = app
        self._local = host in LOOPBACK and not token
        self._token = token.encode()
        self._proof = hmac.new(self._token, b"facext qa", hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or refuses it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif refusal:
            await refusal(scope, receive, _with_headers(send))
        else:
            await self.app(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if why := self._foreign(headers):
            return PlainTextResponse(f"{why}\n", 403)
        if not self._token or self._is_known(headers):
            return None
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        if scope["type"] == "http" and hmac.compare_digest(given.encode(), self._token):
            return self._welcome(scope)
        return PlainTextResponse("a token is needed: open the address with ?token=...\n", 401)

    def _foreign(self, headers: Headers) -> str:
        """Says why a request is not one of the dashboard's own pages'; empty for one that is."""
        host, origin = headers.get("host", ""), headers.get("origin", "")
        try:
            name, site = urlsplit(f"//{host}").hostname, urlsplit(origin).netloc
        except ValueError:
            return "this is no name of a host"
        if self._local and name not in LOOPBACK:
            return "this dashboard is for its own machine"
        return "another site may not use this dashboard" if origin and site != host else ""

    def _is_known(self, headers: Headers) -> bool:
        shown = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        return hmac.compare_digest(shown.encode(), self._proof.encode())

    def _welcome(self, scope: Scope) -> Response:
        """Sets the cookie and takes the token out of the address."""
        answer = RedirectResponse(scope["path"], 303)
        secure = scope["scheme"] == "https"
        answer.set_cookie(COOKIE, self._proof, secure=secure, httponly=True, samesite="lax")
        return answer


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return sending
