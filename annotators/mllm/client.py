"""Asks a captioning server: known already, within the budget, sent, stored, answered."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import os
from typing import Protocol, Self
from urllib.parse import urlsplit

from annotators.explain import NoAnswer
from annotators.mllm.batch import Batch
from annotators.mllm.budget import Budget
from annotators.mllm.direct import Bill, Direct
from annotators.mllm.payment import Payment
from annotators.mllm.reply import usage
from annotators.mllm.request import Request
from annotators.mllm.store import AnswerStore
from schemas.errors import BackendUnavailable, FacextError
from schemas.explaining import Mllm


class Transport(Protocol):
    """A way to a server: `Direct` or `Batch`."""

    async def send(self, request: Request, bill: Bill) -> bytes:
        """Gives the body of the answer."""

    def used(self, request: Request, tokens: int) -> None:
        """Is told what the server counted."""

    async def close(self) -> None:
        """Closes the connections."""


class Client:
    """Answers requests, each of them paid once at most.

    Args:
        settings: The server.
        store: Where answers and costs are kept.
        max_cost: The budget over all runs of this store; `None` for no limit.

    Raises:
        BackendUnavailable: The server needs a key and its environment variable is unset.
    """

    def __init__(self, settings: Mllm, store: AnswerStore, max_cost: float | None = None) -> None:
        self.settings, self._store = settings, store
        self._key = key_of(settings)
        self._transport: Transport = (
            Batch(settings, self._key, store) if settings.batch else Direct(settings, self._key)
        )
        self._budget = Budget(max_cost, store.spent)
        self._under_way: dict[str, asyncio.Task[bytes]] = {}
        self._stopped: FacextError | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        """Waits for the requests under way, since they are paid for, and closes the connections."""
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        await self._transport.close()

    async def ask(self, request: Request) -> bytes:
        """Gives the answer to a request, as the server sent it.

        Raises:
            NoAnswer: The server failed, or refuses this one request.
            BackendUnavailable: Every further request would fail too.
            BudgetReached: It could cost more than is left; stored answers are still given.
        """
        known = self._store.answer(request.hash)
        if known is not None:
            return known
        if self._stopped:
            raise self._stopped
        if request.hash not in self._under_way:
            task = asyncio.ensure_future(self._pay(request))
            self._under_way[request.hash] = task
            task.add_done_callback(functools.partial(self._over, request.hash))
        return await asyncio.shield(self._under_way[request.hash])

    def _over(self, request: str, task: asyncio.Task[bytes]) -> None:
        del self._under_way[request]
        if not task.cancelled():
            task.exception()  # whoever asked has it, or is gone

    async def _pay(self, request: Request) -> bytes:
        """Sends a request; its cost and answer are on disk before anybody sees them."""
        payment = Payment(self._store, self._budget, request)
        try:
            await payment.begin()
            body = await self._transport.send(request, payment)
        except NoAnswer as failure:
            await payment.fail(str(failure).split(":")[0])
            raise
        except FacextError as error:
            self._stopped = self._stopped or error
            await payment.fail("stopped")
            raise
        tokens = usage(body)
        if tokens:
            self._transport.used(request, sum(tokens))
        if self._key:
            body = body.replace(self._key.encode(), b"[key]")
        await payment.succeed(body, tokens)
        return body


def key_of(settings: Mllm) -> str:
    """Gives the key of a server from the environment; empty for one that needs none.

    Raises:
        BackendUnavailable: The server is not on this machine and the variable is unset.
    """
    key = os.environ.get(settings.api_key_env, "")
    if not key and not _is_loopback(settings.base_url):
        raise BackendUnavailable(
            f"the captioning server {settings.base_url} needs a key: "
            f"set the environment variable {settings.api_key_env}"
        )
    return key


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
