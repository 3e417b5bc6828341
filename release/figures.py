"""The figures of a card, counted by DuckDB over the files of the release itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from release.source import MEMORY
from schemas.errors import OutputError

Table = list[dict[str, Any]]

QUERIES: dict[str, str] = {
    "splits": """SELECT coalesce(nullif(split, ''), 'unsplit') AS split, count(*) AS rows,
        count(DISTINCT (method, compression, pair)) AS pairs,
        sum(len(questions)) AS questions FROM frames GROUP BY ALL ORDER BY ALL""",
    "methods": """SELECT method, forgery, compression, count(*) AS rows,
        count(DISTINCT pair) AS pairs,
        100 * avg(artifact.area / (artifact.segmentation.size[1] * artifact.segmentation.size[2]))
            AS "mask, % of the crop",
        avg(artifact.confidence) AS confidence, avg(artifact.stability) AS stability
        FROM frames GROUP BY ALL ORDER BY method, compression""",
    "regions": """SELECT region.name AS region, count(*) AS rows, count(DISTINCT method) AS methods,
        median(region.area)::INT AS "median changed pixels"
        FROM (SELECT method, unnest(regions) AS region FROM frames)
        GROUP BY region.name ORDER BY rows DESC, region""",
    "evidence": """SELECT one.kind || ': ' || one.direction AS change, count(*) AS significant
        FROM (SELECT unnest(evidence) AS one FROM frames) WHERE one.significant
        GROUP BY ALL ORDER BY significant DESC, change""",
    "claims": """SELECT explainer, count(*) AS rows,
        count(*) FILTER (fallback_reason IS NOT NULL) AS fallbacks,
        sum(len(claims)) AS published, sum(claims_supported) AS supported,
        sum(claims_contradicted) AS contradicted, sum(claims_untestable) AS untestable,
        sum(claims_refused) AS refused FROM frames GROUP BY ALL ORDER BY ALL""",
    "questions": """SELECT one.task AS task, count(*) AS questions,
        count(*) FILTER (one.image = 'real') AS "about the real side",
        sum(len(one.masks)) AS masks
        FROM (SELECT unnest(questions) AS one FROM frames) GROUP BY ALL ORDER BY task""",
    "writers": """SELECT explainer, recipe, model, prompt_hash, explain_hash, config_hash,
        code_version, count(*) AS rows FROM frames GROUP BY ALL ORDER BY ALL""",
    "views": """SELECT CASE WHEN abs(yaw) < 15 THEN 'below 15' WHEN abs(yaw) < 30 THEN '15 to 30'
        WHEN abs(yaw) < 45 THEN '30 to 45' ELSE 'from 45' END AS "turn of the face, degrees",
        count(*) AS rows, min(face_px)::INT AS "smallest face, px",
        max(face_px)::INT AS "largest face, px" FROM frames GROUP BY ALL ORDER BY min(abs(yaw))""",
    "repairs": """SELECT one AS repair, count(*) AS rows
        FROM (SELECT unnest(repairs) AS one FROM frames) GROUP BY ALL ORDER BY ALL""",
    "people": """SELECT count(DISTINCT one) AS people
        FROM (SELECT unnest(identities) AS one FROM frames)""",
    "rejects": """SELECT reason, stage, count(*) AS rejects,
        count(*) FILTER (frame_index IS NULL) AS "whole pairs"
        FROM rejects GROUP BY ALL ORDER BY rejects DESC, reason, stage""",
}
"""Table of the card to the query that counts it."""

COSTS = """SELECT recipe, model, count(*) AS requests,
    count(*) FILTER (outcome = 'answered') AS answered, sum(prompt_tokens) AS "prompt tokens",
    sum(completion_tokens) AS "answer tokens", sum(cost) AS cost
    FROM read_parquet(?) GROUP BY ALL ORDER BY ALL"""


def count(folder: Path) -> dict[str, Table]:
    """Counts the rows and rejects of a release.

    Args:
        folder: The release, with `data/<split>/*.parquet` and `rejects.parquet`.

    Returns:
        Tables by their names in `QUERIES`; averages have three digits behind the point.
    """
    # one thread: sums of floats depend on their order, and a card is to be the same each time
    with duckdb.connect(config={"threads": 1, "memory_limit": MEMORY}) as tables:
        files = sorted(str(path) for path in folder.glob("data/*/*.parquet"))
        tables.read_parquet(files).create_view("frames")
        tables.read_parquet(str(folder / "rejects.parquet")).create_view("rejects")
        return {name: _table(tables.execute(query)) for name, query in QUERIES.items()}


def count_costs(path: Path) -> Table:
    """Sums what the captioning requests of a dataset cost; empty where there were none.

    Raises:
        OutputError: The file is damaged.
    """
    if not path.is_file():
        return []
    try:
        with duckdb.connect(config={"threads": 1, "memory_limit": MEMORY}) as tables:
            return _table(tables.execute(COSTS, [str(path)]))
    except duckdb.Error as error:
        raise OutputError(f"{path} is damaged: {error}") from error


def _table(found: duckdb.DuckDBPyConnection) -> Table:
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, map(_plain, row), strict=True)) for row in found.fetchall()]


def _plain(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value
