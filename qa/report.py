"""The static report of a dataset: counts, reject reasons and sample frames with their text.

One page with its pictures beside it; it asks no other host for anything. All text is escaped.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from qa.explanation import colours, css, marked
from qa.parroting import Parroting
from qa.pictures import JPEG_QUALITY, panels, strip
from qa.statistics import Statistics, collect, prepare_text
from qa.tables import Source, write_tables
from qa.wording import wording, written
from schemas.arrow import arrow_schema, from_table
from schemas.atomic import write_text
from schemas.errors import OutputError
from schemas.records import AnnotatedFrame, Reject
from schemas.shards import read_metadata, read_records
from sources.pictures import to_jpeg

MAX_SAMPLES = 24
MAX_REJECTS = 200
PANEL_PX = 384


def write_report(source: Source, folder: Path) -> Path:
    """Writes the statistics tables of a dataset, and the report from them.

    Args:
        source: The dataset.
        folder: Where to put `tables/`, `index.html` and its pictures; pictures of an older report
            go.

    Returns:
        Path of the page.

    Raises:
        OutputError: There is nothing annotated, a file is damaged, or the folder cannot be written.
    """
    paths = source.shards
    if not paths:
        raise OutputError(
            f"nothing of '{source.name}' is annotated; run: facext annotate {source.name}"
        )
    tables = write_tables(source, folder / "tables")
    prepare_text(source, folder)
    rejected = read_records(source.rejects, Reject) if source.rejects.is_file() else []
    with source.reading():
        shown, cells = samples(paths)
    pictures = folder / "frames"
    try:
        shutil.rmtree(pictures, ignore_errors=True)
        pictures.mkdir(parents=True)
        template = _environment().get_template("report.html")
        page = template.render(
            name=source.name,
            **_told(paths, rejected),
            **_counted(collect(tables), _parroting(folder / "parroting.parquet")),
            samples=[_sample(number, row, pictures) for number, row in enumerate(shown)],
            cells=cells,
        )
        write_text(folder / "index.html", page)
    except OSError as error:
        why = error.strerror or error
        raise OutputError(f"cannot write the report into {folder}: {why}") from error
    return folder / "index.html"


def _told(paths: Sequence[Path], rejected: Sequence[Reject]) -> dict[str, Any]:
    """Gives what the shards say of themselves, and the rejects."""
    facts = read_metadata(paths[0])
    return {
        "title": facts["title"],
        "facts": facts,
        "controls": sum(one.method in facts["controls"] for one in rejected),
        "frames": sum(pq.read_metadata(path).num_rows for path in paths),
        "rejects": rejected[:MAX_REJECTS],
        "rejects_total": len(rejected),
    }


def _counted(statistics: Statistics, parroting: pd.DataFrame) -> dict[str, Any]:
    """Gives the tables."""
    return {
        "tables": {
            "Frames": _table(statistics.frames),
            "Pose and size": _table(statistics.views),
            "Splits": _table(statistics.splits),
            "Regions": _table(statistics.regions),
            "Evidence": _table(statistics.evidence),
            "Statements": _table(statistics.verdicts),
            "Rejects by reason": _table(statistics.rejects),
        },
        "text": {
            "By writer": _figures(statistics.text.quality, "text"),
            "Fallbacks": _figures(statistics.text.fallbacks, "fallbacks"),
            "Parroting": _figures(parroting, "parroting"),
        },
    }


def _parroting(path: Path) -> pd.DataFrame:
    """Reads the figures of the last parroting test; empty where none was made."""
    rows = read_records(path, Parroting) if path.is_file() else []
    table = pd.DataFrame([row.model_dump() for row in rows], columns=list(Parroting.model_fields))
    return table.set_index("method")


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def _table(frame: pd.DataFrame) -> dict[str, Any]:
    return {
        "corner": frame.index.name or "",
        "columns": [str(column) for column in frame.columns],
        "rows": [(str(index), [_cell(v) for v in row]) for index, row in _rows(frame)],
    }


def _figures(frame: pd.DataFrame, section: str) -> dict[str, Any]:
    """Turns a table on its side: one line per figure, which ends with what the figure means."""
    other = {"show": "share", "good": "less", "means": wording()["other_fallback"]}
    lines = []
    for name in frame.columns:
        figure = wording()[section].get(name, other)
        cells = [written(value, figure["show"]) for value in frame[name]]
        lines.append((name, cells, figure.get("good", ""), figure["means"]))
    return {"writers": list(frame.index), "lines": lines}


def _rows(frame: pd.DataFrame) -> Iterator[tuple[Any, list[Any]]]:
    for index, row in zip(frame.index, frame.itertuples(index=False), strict=True):
        yield index, list(row)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "–" if np.isnan(value) else f"{value:.2f}"
    return f"{value:,}"


def samples(paths: Sequence[Path]) -> tuple[list[AnnotatedFrame], int]:
    """Chooses the surest frame of each method and compression, `MAX_SAMPLES` at most.

    Where there are more, each method has one before any has a second.

    Returns:
        The frames by method, and how many there would be without the limit.
    """
    schema = arrow_schema(AnnotatedFrame)
    data = ds.dataset(list(paths), schema=schema)
    columns = {
        "id": ds.field("id"),
        "method": ds.field("method"),
        "compression": ds.field("compression"),
        "confidence": ds.field("artifact", "confidence"),
        "stability": ds.field("artifact", "stability"),
    }
    known = data.to_table(columns=columns).to_pandas()
    if known.empty:
        return [], 0
    known = known.assign(sure=known["confidence"] * known["stability"])
    known = known.sort_values(["sure", "id"], ascending=[False, True], kind="stable")
    best = known.groupby(["compression", "method"], sort=True).head(1)
    best = best.assign(turn=best.groupby("method").cumcount())
    chosen = best.sort_values(["turn", "method"])["id"].tolist()[:MAX_SAMPLES]
    rows = from_table(data.to_table(filter=ds.field("id").isin(chosen)), AnnotatedFrame)
    return sorted(rows, key=lambda row: (row.method, row.compression)), len(best)


def _sample(number: int, row: AnnotatedFrame, folder: Path) -> dict[str, Any]:
    files = {}
    if row.real.bytes and row.fake.bytes:
        for panel, image in panels(row, PANEL_PX).items():
            file = f"{number:03d}-{panel.replace(' ', '-')}.jpg"
            (folder / file).write_bytes(to_jpeg(image, JPEG_QUALITY))
            files[panel] = f"{folder.name}/{file}"
        (folder / f"{number:03d}-strip.jpg").write_bytes(to_jpeg(strip(row), JPEG_QUALITY))
    return {
        "row": row,
        "files": files,
        "text": marked(row.explanation, colours(row.claims, row)),
        "names": {region.category_id: region.name for region in row.regions},
        "claims": [(claim, css(colours([claim], row)[0])) for claim in row.claims],
        "questions": [q for q in row.questions if q.image == "fake"],
    }
