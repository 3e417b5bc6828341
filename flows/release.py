"""The flow `release`: an annotated dataset in, a versioned folder that others can open out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger

from flows.run import PlannedPair, Progress, Run, make_run
from flows.units import read_json
from qa import text
from qa.reviews import open_reviews
from release.make import Order, Outcome, make_release
from release.processes import Processes
from release.source import Figures, Source
from schemas.errors import FacextError, OutputError
from schemas.reviews import Review
from schemas.shards import read_records

TRUTH = Path("docs/truth.json")


def release_dataset(
    run: Run,
    version: str,
    progress: Progress,
    *,
    out: Path | None = None,
    with_pixels: bool = False,
    formats: Sequence[str] = (),
    truth: Path = TRUTH,
) -> tuple[Path, Outcome]:
    """Releases a dataset, or tells why it may not be.

    Args:
        run: The dataset.
        version: Version, like `1.0.2`.
        progress: Called after each shard.
        out: Folder that holds the versions; default: `releases` beside the annotations.
        with_pixels: Whether crops are passed on.
        formats: Exports to add.
        truth: JSON of `facext bench truth`.

    Returns:
        Where the release is or would be, and what the gate found.

    Raises:
        FacextError: There is nothing to release, or not so.
    """
    folder = (out or run.output / "releases") / version
    if not run.output.is_dir():
        raise OutputError(f"nothing is annotated in {run.output}; run: facext annotate {run.name}")
    order = Order(version, folder, with_pixels, tuple(formats), run.processes)
    with run.turn():
        return folder, make_release(source_of(run, truth), order, progress)


def source_of(run: Run, truth: Path = TRUTH) -> Source:
    """Gathers what a release of a dataset is made from."""
    bench, planned = read_json(truth), _read_plan(run)
    return Source(
        name=run.name,
        dataset=run.manifest.dataset(run.name),
        settings=run.manifest.release,
        pairs=[pair.pair_only() for pair in planned],
        hashes={pair.key: (pair.real_sha256, pair.fake_sha256) for pair in planned},
        shards=sorted(run.shards.glob("*.parquet")),
        rejects=run.rejects_path,
        counted=read_json(run.stamp_path),
        costs=run.costs_path,
        reviews=_read_reviews(run),
        truth=flat(bench),
        bench={key: str(bench.get(key, "unknown")) for key in ("code", "settings")},
        measure_text=measure_text,
    )


def _read_plan(run: Run) -> list[PlannedPair]:
    return read_records(run.plan_path, PlannedPair) if run.plan_path.is_file() else []


def _read_reviews(run: Run) -> list[Review]:
    return open_reviews(run.reviews_path).all()


def flat(figures: Mapping[str, Any], above: str = "") -> dict[str, float]:
    """Gives the figures of a truth bench by their dotted names; one with an interval by its value.

    For example `mask_iou.calibrated.c23`.
    """
    found: dict[str, float] = {}
    for key, value in figures.items():
        if isinstance(value, Mapping):
            inside = value.get("value")
            here = {key: inside} if isinstance(inside, int | float) else flat(value, f"{key}.")
            found |= {f"{above}{name}": float(one) for name, one in here.items()}
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[f"{above}{key}"] = float(value)
    return found


def measure_text(shards: Sequence[Path], workers: Processes) -> Figures:
    """Measures the text of shards, by writer; figures without anything to count are left out."""
    quality = text.figures(workers.map(text.add_up_file, shards)).quality
    return {
        str(writer): {str(k): float(v) for k, v in row.items() if not math.isnan(v)}
        for writer, row in quality.to_dict("index").items()
    }


@flow(name="release", validate_parameters=True)
def release(
    dataset: str,
    version: str,
    manifest: str = "data_manifest.yaml",
    with_pixels: bool = False,
    formats: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Releases one dataset of the manifest.

    Args:
        dataset: Its name in the manifest.
        version: Version, like `1.0.2`.
        manifest: Path of the manifest.
        with_pixels: Whether crops are passed on.
        formats: Exports to add.
    """
    run = make_run(dataset, Path(manifest))
    log = get_run_logger()
    folder, outcome = release_dataset(
        run,
        version,
        lambda stage, done, total: log.info("%s: %d of %d shards", stage, done, total),
        with_pixels=with_pixels,
        formats=formats,
    )
    for line in outcome.remarks:
        log.warning(line)
    if not outcome.passed:
        failed = [
            f"{result.name}: {result.failed}, first {one.subject}: {one.reason}"
            for result in outcome.results
            for one in result.first[:1]
        ]
        raise FacextError(f"{dataset} {version} did not pass the gate\n" + "\n".join(failed))
    log.info("%d rows released in %s", outcome.rows.total(), folder)
    return {"rows": outcome.rows.total(), "folder": str(folder)}
