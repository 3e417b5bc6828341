"""What a flow run leaves in Prefect's own pages: a summary, a table, and where the report is."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from urllib.parse import quote

import httpx
from prefect import get_run_logger
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.exceptions import PrefectException

from flows.console import many
from flows.run import Run, Summary

OUTPUT_URL = "FACEXT_OUTPUT_URL"
"""Environment variable: address at which the manifest's output folder is served, if it is."""


def leave_artifacts(run: Run, summary: Summary, page: Path) -> None:
    """Leaves the artifacts; a server that does not take them fails no run.

    Args:
        run: The dataset.
        summary: What is there now.
        page: Its report, on the machine that ran.
    """
    key = artifact_key(run.name)
    try:
        told = summary_text(run, summary, page)
        create_markdown_artifact(told, key, f"{run.name}: what is there")
        create_table_artifact(counts(summary), f"{key}-counts", f"{run.name}: frames and rejects")
        if link := report_link(run, page):
            create_link_artifact(link, "report", f"{key}-report", f"{run.name}: report")
    except (httpx.HTTPError, PrefectException) as error:
        get_run_logger().warning("no artifacts were left: %s", error)


def report_link(run: Run, page: Path) -> str:
    """Gives the report's address where somebody serves the output folder; else empty.

    A browser follows no `file:` link from a page of a server, and in a container the path is its
    own.
    """
    base = os.environ.get(OUTPUT_URL, "").rstrip("/")
    below = page.relative_to(run.output.parent).as_posix()
    return f"{base}/{quote(below)}" if base else ""


def artifact_key(dataset: str) -> str:
    """Gives an artifact's key, which takes only `a-z`, digits and dashes."""
    plain = dataset.lower().replace("+", "plus")
    return "annotate-" + re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def summary_text(run: Run, summary: Summary, page: Path) -> str:
    """Writes the summary as markdown."""
    title = run.manifest.dataset(run.name).title
    done = summary.pairs - summary.open_pairs
    lines = [
        f"# {title}",
        f"**{many(summary.frames.total(), 'frame')}** annotated, from {done} of "
        f"{many(summary.pairs, 'pair')}; **{many(summary.rejects.total(), 'reject')}**.",
    ]
    if summary.outdated:
        lines.append("The shards are those of before, until none of their pairs is open.")
    if summary.fallbacks:
        told = ", ".join(f"{reason} {n}" for reason, n in sorted(summary.fallbacks.items()))
        lines.append(f"Explained by measurements instead of the model: {told}.")
    lines.append(f"Report: `{page.resolve()}` on `{socket.gethostname()}`")
    lines.append(f"Look through the frames: `facext qa {run.name} --serve`")
    return "\n\n".join(lines)


def counts(summary: Summary) -> list[dict[str, str | int]]:
    """Gives the table: annotated frames by method and compression, then rejects by reason."""
    rows: list[dict[str, str | int]] = [
        {"what": "annotated", "method or reason": method, "compression": level, "count": number}
        for (method, level), number in sorted(summary.frames.items())
    ]
    rows += [
        {"what": "rejected", "method or reason": reason, "compression": "", "count": number}
        for reason, number in sorted(summary.rejects.items())
    ]
    return rows
