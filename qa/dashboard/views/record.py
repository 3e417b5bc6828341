"""One frame: its pictures and masks, its explanation, what was measured."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from qa.dashboard.drawing import percent, render, short
from qa.dashboard.opened import Opened
from qa.dashboard.pages import Visit, attempt, put
from qa.dashboard.views.review import review_form
from qa.explanation import css, lit, writer_of
from qa.index import Filter
from qa.pictures import GAIN, colour, outline
from schemas import rle
from schemas.errors import UsageError
from schemas.records import AnnotatedFrame
from schemas.reviews import LABELS, labels_hash

PARTS = ("head", "stage", "told", "tables")


async def show_record(visit: Visit, given: dict[str, str]) -> None:
    """Shows the view."""
    row, chosen = given.get("id", ""), Filter.of(given)
    parts = await attempt(record, visit.opened, row, chosen)
    if parts is None:
        return
    put(parts["head"])
    with ui.element("div").classes("two record"):
        with ui.element("div").classes("left"):
            put(parts["stage"])
            await review_form(visit, row, parts["labels"], chosen)
        put(parts["told"])
    put(parts["tables"])


def record(opened: Opened, row: str, chosen: Filter) -> dict[str, str]:
    """Gives the HTML of each of the view's `PARTS`, and the hash of the `labels` that they show.

    Raises:
        UsageError: There is no such frame.
        OutputError: The shards changed or are damaged.
    """
    found = opened.lookup.frame(row)
    if found is None:
        raise UsageError(f"there is no frame {row[:200]!r} in {opened.source.name}")
    values = _values(opened, found, chosen)
    labels = labels_hash(found.model_dump(include=set(LABELS)))
    opened.lookup.keep_labels({row: labels})
    return {part: render(f"record_{part}.html", **values) for part in PARTS} | {"labels": labels}


def _values(opened: Opened, row: AnnotatedFrame, chosen: Filter) -> dict[str, Any]:
    """Gives what the templates tell of a frame."""
    before, after, place = opened.index.beside(row.id, chosen)
    height, width = row.artifact.segmentation.size
    places = {region.category_id: n for n, region in enumerate(row.regions)}
    colours = [css(colour(n)) for n in range(len(row.regions))]
    return {
        "name": opened.source.name,
        "version": opened.lookup.version,
        "row": row,
        "chosen": chosen,
        "before": before,
        "after": after,
        "place": place,
        "total": opened.index.count(chosen),
        "height": height,
        "width": width,
        "gain": GAIN,
        "pictures": opened.lookup.picture(row.id, "fake") is not None,
        "mask": outline(rle.decode(row.artifact.segmentation)),
        "drawn": [
            (
                outline(rle.decode(region.concept_segmentation)),
                outline(rle.decode(region.segmentation)),
                colours[n],
            )
            for n, region in enumerate(row.regions)
        ],
        "regions": list(zip(row.regions, colours, strict=True)),
        "text": lit(row),
        "writer": writer_of(row),
        "facts": _facts(row),
        "claims": [
            (one, places[one.category_id], colours[places[one.category_id]]) for one in row.claims
        ],
        "names": {region.category_id: region.name for region in row.regions},
        "beyond": [one for one in row.evidence if one.significant],
        "within": [one for one in row.evidence if not one.significant],
        "origin": _origin(row),
    }


def _facts(row: AnnotatedFrame) -> list[tuple[str, str, str]]:
    """Gives the figures of a frame with what they mean."""
    of = AnnotatedFrame.model_fields
    mask = row.artifact
    share = mask.area / (mask.segmentation.size[0] * mask.segmentation.size[1])
    return [
        ("confidence", short(mask.confidence), "share of the mask that was truly changed"),
        ("stability", short(mask.stability), "how little the mask depends on the exact cut"),
        ("mask", percent(share), "changed share of the crop"),
        ("noise floor", short(mask.noise_floor), "of this pair, CIELAB units"),
        ("yaw", f"{row.yaw:+.0f}°".replace("-", "−"), of["yaw"].description or ""),
        ("face", f"{row.face_px:.0f} px", of["face_px"].description or ""),
        ("sharpness", short(row.sharpness, 3), of["sharpness"].description or ""),
        ("repairs", ", ".join(row.repairs) or "none", of["repairs"].description or ""),
    ]


def _origin(row: AnnotatedFrame) -> list[tuple[str, Any]]:
    names = (
        "real_path", "fake_path", "frame_index", "timestamp_s", "real_sha256", "fake_sha256",
        "config_hash", "code_version", "explain_hash", "prompt_hash",
    )  # fmt: skip
    return [(name, getattr(row, name)) for name in names]
