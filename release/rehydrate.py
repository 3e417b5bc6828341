"""Puts the pixels back into a release, from a user's own copy of the source.

The result is a folder of its own with all rows. A row whose crops cannot be rebuilt, or are not
those that were annotated, keeps its nulls and is listed in `missing.csv` with the reason.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import pyarrow as pa
import pyarrow.parquet as pq

from release.make import REJECTS, WITHHELD, finish
from release.parts import Progress, released_schema
from release.place import new_folder, publish
from release.processes import Processes
from release.rebuild import Copy, Crops, rebuild
from release.released import FACTS, Released, open_release
from release.seal import broken_files
from schemas.errors import OutputError, UsageError
from schemas.records import Side
from schemas.releasing import file_name

MISSING = "missing.csv"
Missing = tuple[str, str, str]
"""Id of a row, why it has no pixels in a few words, and the same for a person."""


@dataclass(frozen=True)
class Rebuilt:
    """What came of it: rows with pixels, and rows without by reason."""

    rows: int
    missing: Counter[str]


@dataclass(frozen=True)
class Job:
    """One file: where it lies, where it goes, what its metadata say, and the source."""

    path: Path
    place: Path
    facts: dict[str, object]
    copy: Copy


def rehydrate(
    folder: Path, place: Path, root: Path, real_root: Path, progress: Progress, workers: int = 1
) -> Rebuilt:
    """Makes a copy of a release with its crops.

    Args:
        folder: A release without pixels.
        place: Folder to make.
        root: Folder that the paths of fake sides are below.
        real_root: The same of real sides.
        progress: Called after each file.
        workers: Processes.

    Raises:
        UsageError: The release has its pixels, or `place` is there already.
        OutputError: The release is none or was changed, or `place` cannot be written.
    """
    released = open_release(folder)
    if released.with_pixels:
        raise UsageError(f"{folder} has its pixels already")
    if place.exists():
        raise UsageError(f"{place} is there already; remove it or choose another --out")
    if broken := broken_files(folder):
        raise OutputError(f"{folder} was changed or is not whole: {', '.join(broken[:3])}")
    with new_folder(place) as new, Processes(workers) as processes:
        rows, missing = 0, []
        jobs = _jobs(released, new, root, real_root)
        for done, (found, lost) in enumerate(processes.map(write_file, jobs), start=1):
            rows += found
            missing += lost
            progress("rehydrate", done, len(jobs))
        _write_rest(released, new, missing)
        finish(new, released.facts["formats"], processes)
        publish(new, place)
    return Rebuilt(rows, Counter(reason for _, reason, _ in missing))


def _jobs(released: Released, new: Path, root: Path, real_root: Path) -> list[Job]:
    measure = released.facts["measure"]
    copy = Copy(root, real_root, int(measure["crop_size"]), int(measure["crop_quality"]))
    return [
        Job(path, new / path.relative_to(released.folder), _with_pixels(path), copy)
        for path in released.files
    ]


def _with_pixels(path: Path) -> dict[str, object]:
    facts = json.loads(pq.read_schema(path).metadata[b"facext"])
    return {**facts, "release": facts["release"] | {"pixels": True}}


def write_file(job: Job) -> tuple[int, list[Missing]]:
    """Writes one file with its crops; gives the rows that have them and those that do not."""
    job.place.parent.mkdir(parents=True, exist_ok=True)
    rows, missing = 0, list[Missing]()
    schema = released_schema(job.facts)
    with (
        pq.ParquetFile(job.path) as file,
        pq.ParquetWriter(job.place, schema, compression="zstd") as new,
    ):
        for number in range(file.num_row_groups):
            table = file.read_row_group(number)
            ids = table["id"].to_pylist()
            crops = list(rebuild(_geometry(table), job.copy))
            missing += [
                (name, one.reason, one.detail)
                for name, one in zip(ids, crops, strict=True)
                if one.reason
            ]
            rows += sum(not one.reason for one in crops)
            new.write_table(_filled(table, ids, crops))
    return rows, missing


def _geometry(table: pa.Table) -> list[dict[str, object]]:
    wanted = ("real_path", "fake_path", "real_sha256", "fake_sha256", "frame_index",
              "frame_offset", "affine", "fake_affine", "repairs", "grade",
              "real_pixels_sha256", "fake_pixels_sha256")  # fmt: skip
    found: list[dict[str, object]] = table.select(wanted).to_pylist()
    return found


def _filled(table: pa.Table, ids: Sequence[str], crops: Sequence[Crops]) -> pa.Table:
    sides: tuple[tuple[Side, list[bytes | None]], ...] = (
        ("real", [one.real for one in crops]),
        ("fake", [one.fake for one in crops]),
    )
    for side, encoded in sides:
        pictures = [
            data and {"bytes": data, "path": file_name(name, side)}
            for name, data in zip(ids, encoded, strict=True)
        ]
        place = table.schema.get_field_index(side)
        field = table.schema.field(side)
        table = table.set_column(place, field, pa.array(pictures, field.type))
    return table


def _write_rest(released: Released, new: Path, missing: Sequence[Missing]) -> None:
    """Writes what is not a row: facts, rejects, rows that were left out, rows without pixels."""
    for name in (REJECTS, WITHHELD):
        shutil.copyfile(released.folder / name, new / name)
    facts = {
        **released.facts,
        "release": released.facts["release"] | {"pixels": True},
        "rehydrated": {"by": f"OpenCV {cv2.__version__}", "missing": len(missing)},
    }
    text = json.dumps(facts, sort_keys=True, indent=1)
    (new / FACTS).write_text(text + "\n", encoding="utf-8")
    with (new / MISSING).open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["id", "reason", "detail"])
        lines.writerows(missing)
