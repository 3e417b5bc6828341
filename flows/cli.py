"""The command line `facext`; each command is in `flows.commands`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Any

import click

from flows.commands import DONE, FAILED, INTERRUPTED, WRONG_USE
from flows.commands.about import doctor, tree
from flows.commands.annotate import annotate, plan
from flows.commands.bench import bench, calibrate
from flows.commands.forge import forge
from flows.commands.infer import evaluate, explain, serve
from flows.commands.model import train
from flows.commands.qa import qa
from flows.commands.release import rehydrate, release
from schemas.errors import FacextError, UsageError

INTERRUPTED_QUERY = "Query interrupted"
"""All that DuckDB says of a Ctrl-C, as a RuntimeError, where it comes during a query."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="fake-in-facext", prog_name="facext")
def facext() -> None:
    """Turn real/fake face-video pairs into forgery explanations grounded in facial regions.

    First steps: `facext forge` makes pairs with known truth, `facext annotate toy` annotates them,
    then open out/toy/qa/index.html.

    Exit codes: 0 done, 1 failed, 2 wrong use, 3 done, but some pairs or frames were
    rejected or explained by measurements instead of the model, 130 stopped by Ctrl-C or
    SIGTERM: the same command goes on.
    """


for command in (
    annotate, plan, forge, qa, release, rehydrate, tree, doctor, calibrate, bench,
    train, evaluate, serve, explain,
):  # fmt: skip
    facext.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; errors become one message and an exit code.

    Args:
        arguments: The words after `facext`; by default those of this process, which then ends.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if before[signal.SIGINT] == signal.SIG_IGN:  # as scripts start what they put into background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _as_ctrl_c)
    try:
        code = _guarded(
            lambda: facext.main(args=arguments, prog_name="facext", standalone_mode=False)
        )
    finally:
        if arguments is None:
            _let_end()
        else:  # the signals are the caller's
            for number, handler in before.items():
                signal.signal(number, handler)
    sys.exit(code)


def _as_ctrl_c(number: int, frame: object) -> None:
    """Treats a service manager's SIGTERM as Ctrl-C, also where asyncio has taken that over."""
    signal.raise_signal(signal.SIGINT)


def _let_end() -> None:
    """Lets the end of the process take no interruption: what is to be said was said."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _guarded(command: Callable[[], Any]) -> int:
    try:
        return int(command() or DONE)
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _interrupted()
    except RuntimeError as error:
        if str(error) != INTERRUPTED_QUERY:
            raise
        return _interrupted()
    except click.ClickException as error:
        error.show()
        return WRONG_USE
    except UsageError as error:
        click.echo(f"error: {error}", err=True)
        return WRONG_USE
    except FacextError as error:
        click.echo(f"error: {error}", err=True)
        return FAILED


def _interrupted() -> int:
    _let_end()
    click.echo("\nstopped; the same command goes on from here", err=True)
    return INTERRUPTED


if __name__ == "__main__":
    main()
