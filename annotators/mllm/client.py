"""Asks a captioning server: known already, within the budget, sent, stored, answered."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import os
from types import TracebackType
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
from annotators.mllm.wire import redacted
from schemas.errors import BackendUnavailable, FacextError
from schemas.explaining import Mllm


class Transport(Protocol):
    """A way to a server: `Direct` or `Batch`."""

    async def send(self, request: Request, bill: Bill) -> bytes:
        """Gives the body of the answer."""

    def used(self, request: Request, tokens: int) -> None:
        """Is told what the server counted."""

    def stop(self, error: FacextError) -> None:
        """Sends nothing more; what is not on its way ends with the error."""

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

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Waits for the requests under way, since they are paid for, and closes the connections.

        After an error or Ctrl-C only for what is on the wire; a batch goes on without us.
        """
        if error is not None:
            self._stop(BackendUnavailable("the run was stopped"))
        try:
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        finally:
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
            return await self._paid(request, payment)
        finally:
            await payment.abandon()  # nothing to do after any expected end

    async def _paid(self, request: Request, payment: Payment) -> bytes:
        if not self.settings.batch and self._store.batch_of(request.hash):
            self._store.give_up_batch_of(request.hash)
        try:
            await payment.begin()
            body = await self._transport.send(request, payment)
        except NoAnswer as failure:
            await payment.fail(str(failure).split(":")[0])
            raise
        except FacextError as error:
            self._stop(error)
            if not self._store.batch_of(request.hash):  # else it is still to come, and to be paid
                await payment.fail("stopped")
            raise
        tokens = usage(body)
        if tokens:
            self._transport.used(request, sum(tokens))
        body = redacted(body, self._key)
        try:
            await payment.succeed(body, tokens)
        except FacextError as error:
            self._stop(error)
            raise
        return body

    def _stop(self, error: FacextError) -> None:
        """Lets no further request out, and none that only waits."""
        self._stopped = self._stopped or error
        self._transport.stop(self._stopped)


def key_of(settings: Mllm) -> str:
    """Gives the key of a server from the environment; empty for one that needs none.

    Raises:
        BackendUnavailable: The server is not on this machine and the variable is unset, or it
            holds what cannot be a key.
    """
    key = os.environ.get(settings.api_key_env, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise BackendUnavailable(
            f"the environment variable {settings.api_key_env} holds no key: "
            "there are letters in it that no header may hold"
        )
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
