"""What a flow run leaves in Prefect's own pages: a summary, a table, and a link to the report."""

from __future__ import annotations

import re
from pathlib import Path

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


def leave_artifacts(run: Run, summary: Summary, page: Path) -> None:
    """Leaves the artifacts; a server that does not take them fails no run.

    Args:
        run: The dataset.
        summary: What is there now.
        page: Its report, on the machine that ran.
    """
    key = artifact_key(run.name)
    try:
        create_markdown_artifact(summary_text(run, summary), key, f"{run.name}: what is there")
        create_table_artifact(counts(summary), f"{key}-counts", f"{run.name}: frames and rejects")
        create_link_artifact(
            page.resolve().as_uri(), "report", f"{key}-report", f"Report, as a file: {page}"
        )
    except (httpx.HTTPError, PrefectException) as error:
        get_run_logger().warning("no artifacts were left: %s", error)


def artifact_key(dataset: str) -> str:
    """Gives an artifact's key, which takes only `a-z`, digits and dashes."""
    plain = dataset.lower().replace("+", "plus")
    return "annotate-" + re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def summary_text(run: Run, summary: Summary) -> str:
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
