"""Counts over the shards of a dataset, as pandas tables; pictures and masks are never read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.dataset as ds

from qa.text import Text, measure, read
from schemas.arrow import arrow_schema
from schemas.records import AnnotatedFrame, Reject

YAW_DEG = (0, 15, 30, 45, 60)
FACE_PX = (0, 60, 120, 240, 480)
"""Lower edges of the bands of a report."""


@dataclass(frozen=True)
class Statistics:
    """What a report tells of a dataset.

    Attributes:
        frames: One row per method: frames at each compression, mean mask share and quality.
        views: Frames and their mean confidence by turn of the head, then by size of the face.
        regions: Frames with each region, by method; most frequent first.
        evidence: Significant changes by kind and method.
        verdicts: Claims by explainer and verdict.
        rejects: Rejects by method and reason.
        text: Figures of the text and its fallbacks, by writer.
    """

    frames: pd.DataFrame
    views: pd.DataFrame
    regions: pd.DataFrame
    evidence: pd.DataFrame
    verdicts: pd.DataFrame
    rejects: pd.DataFrame
    text: Text


def collect(shards: Sequence[Path], rejects: Path) -> Statistics:
    """Counts a dataset's frames, regions, evidence, verdicts and rejects; measures its text.

    Args:
        shards: Parquet files of annotated frames; may be none.
        rejects: Parquet file of rejects; may be absent.
    """
    rows = _read(shards)
    return Statistics(
        frames=_frames(rows),
        views=_views(rows),
        regions=_cross(_exploded(rows, "regions", "name"), "name"),
        evidence=_cross(_significant(rows), "kind"),
        verdicts=_verdicts(rows),
        rejects=_rejects(rejects),
        text=measure(read(shards)),
    )


def _read(shards: Sequence[Path]) -> pd.DataFrame:
    columns = {
        "method": ds.field("method"),
        "compression": ds.field("compression"),
        "explainer": ds.field("explainer"),
        "area": ds.field("artifact", "area"),
        "size": ds.field("artifact", "segmentation", "size"),
        "confidence": ds.field("artifact", "confidence"),
        "stability": ds.field("artifact", "stability"),
        "yaw": ds.field("yaw"),
        "face_px": ds.field("face_px"),
        "supported": ds.field("claims_supported"),
        "contradicted": ds.field("claims_contradicted"),
        "untestable": ds.field("claims_untestable"),
        "regions": ds.field("regions"),
        "evidence": ds.field("evidence"),
    }
    table = ds.dataset(list(shards), schema=arrow_schema(AnnotatedFrame)).to_table(columns=columns)
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _frames(rows: pd.DataFrame) -> pd.DataFrame:
    counts = pd.crosstab(rows["method"], rows["compression"])
    if rows.empty:
        return counts
    share = rows["area"] / rows["size"].map(lambda size: size[0] * size[1])
    means = rows.assign(share=100 * share).groupby("method")[["share", "confidence", "stability"]]
    table = counts.join(means.mean().round(2)).rename(columns={"share": "mask, % of the crop"})
    return table.rename_axis(index="method", columns=None)


def _views(rows: pd.DataFrame) -> pd.DataFrame:
    """Gives a row for each band of |yaw| and of face size, also for an empty one."""
    bands = (("|yaw|", "°", YAW_DEG, rows["yaw"].abs()), ("face", "px", FACE_PX, rows["face_px"]))
    parts = []
    for name, unit, edges, values in bands:
        labels = [f"{name} {low} to {high} {unit}" for low, high in pairwise(edges)]
        labels.append(f"{name} from {edges[-1]} {unit}")
        band = pd.cut(values, [*edges, np.inf], right=False, labels=labels)
        confidence = rows["confidence"].groupby(band, observed=False)
        parts.append(pd.DataFrame({"frames": confidence.size(), "confidence": confidence.mean()}))
    return pd.concat(parts).rename_axis(index="view of the real face")


def _exploded(rows: pd.DataFrame, column: str, field: str) -> pd.DataFrame:
    flat = rows[["method", column]].explode(column).dropna()
    return flat.assign(**{field: flat[column].map(lambda one: one[field])})


def _significant(rows: pd.DataFrame) -> pd.DataFrame:
    flat = rows[["method", "evidence"]].explode("evidence").dropna()
    flat = flat[flat["evidence"].map(lambda one: bool(one["significant"])).astype(bool)]
    kind = flat["evidence"].map(lambda one: f"{one['kind']}: {one['direction']}")
    return flat.assign(kind=kind)


def _cross(flat: pd.DataFrame, field: str) -> pd.DataFrame:
    table = pd.crosstab(flat[field], flat["method"])
    table.insert(0, "all", table.sum(axis=1))
    return table.sort_values("all", ascending=False, kind="stable").rename_axis(
        index=None, columns=None
    )


def _verdicts(rows: pd.DataFrame) -> pd.DataFrame:
    verdicts = ["supported", "contradicted", "untestable"]
    return rows.groupby("explainer")[verdicts].sum().rename_axis(index="explainer")


def _rejects(path: Path) -> pd.DataFrame:
    schema = arrow_schema(Reject)
    if path.is_file():
        rows = ds.dataset(path, schema=schema).to_table(columns=["method", "reason"]).to_pandas()
    else:
        rows = schema.empty_table().to_pandas()
    return pd.crosstab(rows["reason"], rows["method"]).rename_axis(index="reason", columns=None)
