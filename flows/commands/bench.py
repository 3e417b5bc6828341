"""`facext bench ...` and `facext calibrate`: measurements against known truth."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import click

from flows.commands import DONE, manifest_option, progress_bar, workers_option


@click.group()
def bench() -> None:
    """Measure how good the annotations are, and the client that asks for them."""


@bench.command()
@click.option(
    "--json", "path", type=click.Path(path_type=Path), help="Also write the figures here."
)
@click.option(
    "--docs", type=click.Path(file_okay=False, path_type=Path), is_flag=False,
    flag_value=Path("docs"), metavar="[FOLDER]",
    help="Also write the page truth.md, its figures and pictures; default folder: docs.",
)  # fmt: skip
@click.option("--cases", type=click.IntRange(10), default=165, show_default=True, help="Clips.")
@click.option("--seed", type=int, default=3, show_default=True, help="Which clips.")
@click.option(
    "--faces", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of pictures and clips of faces to use instead of the two packaged portraits.",
)  # fmt: skip
@click.option(
    "--recipe", "recipes", multiple=True,
    help="Also let a captioning model explain by this recipe, repeatable; or `all`.",
)  # fmt: skip
@click.option("--mllm", default="", help="Which captioning server of the manifest explains.")
@manifest_option
@workers_option
def truth(
    path: Path | None, docs: Path | None, cases: int, seed: int, faces: Path | None,
    recipes: tuple[str, ...], mllm: str, manifest: Path, workers: int,
) -> int:  # fmt: skip
    """Score masks, regions and claims against forgeries whose truth is known.

    Films, forges and encodes faces at c0, c23 and c40 by every operation, at graded strengths,
    with real-vs-real controls, annotates them as any pair, and compares with what was changed.
    With --recipe, a captioning server of the manifest explains the same frames, and the claims that
    would be published are judged beside those of the measurements; the page holds none of it.
    """
    import tempfile

    from benchmarks.faces import portraits
    from benchmarks.figures import write
    from benchmarks.publish import publish
    from benchmarks.tables import lines
    from benchmarks.truth import run
    from flows.run import cores

    comparison = _comparison(recipes, mllm, manifest) if recipes else None
    processes = workers or cores()
    with tempfile.TemporaryDirectory() as made:
        warn = functools.partial(click.echo, err=True)
        pictures = portraits(faces, Path(made), warn) if faces else []
        with progress_bar() as progress:
            found = run(seed, cases, processes, pictures, progress, comparison)
        click.echo("\n".join(lines(found)))
        if path:
            write(found, path)
        if docs:
            with progress_bar() as progress:
                own = {k: v for k, v in found.items() if k not in ("recipes", "captioning")}
                publish(own, docs, pictures, progress)
            click.echo(f"\npage         {docs / 'truth.md'}")
    return DONE


@bench.command()
@click.option(
    "--json", "path", type=click.Path(path_type=Path), help="Also write the figures here."
)
@click.option("--kills", type=click.IntRange(1), default=50, show_default=True, help="kill -9.")
@click.option(
    "--interrupts", type=click.IntRange(0), default=15, show_default=True, help="Ctrl-C, SIGTERM."
)
@click.option(
    "--inputs", type=click.IntRange(1), default=500, show_default=True, help="Damaged videos."
)
@click.option("--seed", type=int, default=5, show_default=True, help="Moments and damage.")
def chaos(path: Path | None, kills: int, interrupts: int, inputs: int, seed: int) -> int:
    """Break `facext annotate` in many ways and compare what it leaves with an unbroken run.

    Kills and interrupts runs at random moments of every stage, starts two at once, fills the disk,
    makes it read-only, lets the clock jump, kills workers, and annotates damaged videos. It takes
    15 minutes; the exit code is 0 also where a goal is missed.
    """
    from benchmarks.chaos.bench import lines, run, write

    with progress_bar() as progress:
        found = run(seed, kills, interrupts, inputs, progress=progress)
    click.echo("\n".join(lines(found)))
    if path:
        write(found, path)
    return DONE


@bench.command("explain")
@click.option(
    "--json", "path", type=click.Path(path_type=Path), help="Also write the figures here."
)
def bench_explain(path: Path | None) -> int:
    """Measure what the captioning client adds, loses, pays and lets through.

    Runs the real explain stage against a scripted server on loopback that is slow, fails, lies and
    bills: throughput, CPU and memory; lost records; what is paid twice after kill -9, or above the
    budget; false claims that are published. Needs 5 GB in the temporary folder.
    """
    from benchmarks.explain import Size, run
    from benchmarks.explain_goals import lines
    from benchmarks.figures import write

    with progress_bar() as progress:
        found = run(Size(), progress)
    click.echo("\n".join(lines(found)))
    if path:
        write(found, path)
    return DONE


@bench.command()
@click.option(
    "--json", "path", type=click.Path(path_type=Path), help="Also write the figures here."
)
@click.option(
    "--docs", type=click.Path(file_okay=False, path_type=Path), is_flag=False,
    flag_value=Path("docs"), metavar="[FOLDER]",
    help="Also write the page speed.md and its figures; default folder: docs.",
)  # fmt: skip
def speed(path: Path | None, docs: Path | None) -> int:
    """Measure what the measure stage costs beyond decoding and face finding.

    Compares it with that floor and with a straightforward script over the same frames, one process
    with two, few frames with 10,000 by their memory; times the rerun of a finished dataset of 5,000
    pairs, what Prefect adds, and the shards. Takes a quarter of an hour; nothing else should run.
    """
    from benchmarks.figures import write
    from benchmarks.speed.bench import Size, run
    from benchmarks.speed.goals import lines
    from benchmarks.speed.page import publish

    with progress_bar() as progress:
        found = run(Size(), progress)
    click.echo("\n".join(lines(found)))
    if path:
        write(found, path)
    if docs:
        publish(found, docs)
        click.echo(f"\npage         {docs / 'speed.md'}")
    return DONE


def _comparison(recipes: tuple[str, ...], mllm: str, manifest: Path) -> Any:
    """Prepares a comparison of recipes."""
    from benchmarks.compare import comparison_of
    from schemas.manifest import load_manifest

    return comparison_of(recipes, mllm, load_manifest(manifest))


@click.command(short_help="Fit cuts, costs and chance on known truth.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; default: schemas/calibration.yaml, where the settings read it.",
)  # fmt: skip
@click.option("--cases", type=click.IntRange(10), default=110, show_default=True, help="Clips.")
@workers_option
def calibrate(out: Path | None, cases: int, workers: int) -> int:
    """Fit the cuts of the mask, the costs of the region rule, and what chance does to evidence.

    Uses forgeries whose truth is known, of another seed than `facext bench truth` publishes. The
    fitted values become the defaults of the settings; rows carry their hash.
    """
    from benchmarks.calibrate import calibrate as fit
    from benchmarks.calibrate import write
    from flows.run import cores
    from schemas.calibration import FILE

    with progress_bar() as progress:
        found = fit(cases, workers or cores(), progress=progress)
    write(found, out or FILE)
    for key, value in (
        found.provenance | found.diff.model_dump() | found.localise.model_dump()
    ).items():
        click.echo(f"{key:<18} {value}")
    click.echo(f"written to {out or FILE}")
    return DONE
