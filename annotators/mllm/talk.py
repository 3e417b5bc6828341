"""One conversation with a captioning model: questions, validated answers, questions again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from annotators.explain import NoAnswer, template
from annotators.mllm.reply import Invalid, Reply, read
from annotators.mllm.request import Message, Request, assistant, user
from schemas.explaining import Mllm

MOST_QUOTED = 4000
"""Letters of an answer that are kept in the conversation."""

T_co = TypeVar("T_co", covariant=True)


class Form(Protocol[T_co]):
    """The form of an answer."""

    @property
    def schema(self) -> dict[str, Any] | None:
        """Its JSON schema; `None` for free text."""

    def read(self, reply: Reply) -> T_co:
        """Reads an answer; raises `Invalid` for one in another form."""


class Asks(Protocol):
    """Answers requests: `annotators.mllm.client.Client`, or what only counts them."""

    settings: Mllm

    async def ask(self, request: Request) -> bytes:
        """Gives the body of the answer."""


class Talk:
    """One conversation.

    Args:
        client: Answers requests.
        recipe: Who asks, for the ledger.
        subject: Frame id or pair key, for the ledger.
        reasks: Questions again after an answer that is not valid, for each question.

    Attributes:
        requests: Hashes of the requests that were answered, in order.
    """

    def __init__(self, client: Asks, recipe: str, subject: str, reasks: int) -> None:
        self._client, self._recipe, self._subject = client, recipe, subject
        self._reasks = reasks
        self._messages: list[Message] = []
        self.requests: list[str] = []

    async def ask(
        self, step: str, text: str, form: Form[T_co], pictures: Sequence[str] = ()
    ) -> T_co:
        """Asks, and asks again while the answer is not valid.

        Args:
            step: Name of the question, for the ledger.
            text: The question.
            form: The form that the answer must have.
            pictures: Data URLs.

        Raises:
            NoAnswer: There is no valid answer within the budget, or the server failed.
        """
        self._messages.append(user(text, pictures))
        for number in range(self._reasks + 1):
            again = f" again {number}" if number else ""
            body = await self._send(step + again, form.schema)
            try:
                reply = read(body)
                answer = form.read(reply)
            except Invalid as problem:
                last = problem
                self._messages += [assistant(_quoted(body)), user(_again(problem))]
            else:
                self._messages.append(assistant(reply.text[:MOST_QUOTED]))
                return answer
        raise NoAnswer(f"{last.reason}: {last.problem}")

    async def _send(self, step: str, schema: dict[str, Any] | None) -> bytes:
        request = Request(
            messages=tuple(self._messages),
            schema=schema,
            subject=self._subject,
            step=step,
            recipe=self._recipe,
            settings=self._client.settings,
        )
        body = await self._client.ask(request)
        self.requests.append(request.hash)
        return body


def _quoted(body: bytes) -> str:
    """Gives what the model said, as its own earlier message."""
    try:
        return read(body).text[:MOST_QUOTED]
    except Invalid:
        return "(no answer)"


def _again(problem: Invalid) -> str:
    """Words the next question. It holds our own words only, never the model's."""
    return template("invalid.txt").format(problem=problem.problem)
