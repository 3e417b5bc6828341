"""The command line `facext`. Heavy imports wait until a command needs them: help is instant."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from schemas.errors import FacextError, UsageError

if TYPE_CHECKING:
    from flows.local import Outcome
    from flows.run import Resume, Run, Summary

DONE, FAILED, WRONG_USE, DONE_WITH_REJECTS, INTERRUPTED = 0, 1, 2, 3, 130

manifest_option = click.option(
    "--manifest",
    type=click.Path(path_type=Path),
    default=Path("data_manifest.yaml"),
    show_default=True,
    help="Datasets and settings.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="fake-in-facext", prog_name="facext")
def facext() -> None:
    """Turn real/fake face-video pairs into forgery explanations grounded in facial regions.

    First steps: `facext forge` makes pairs with known truth, `facext annotate toy` annotates them,
    then open out/toy/qa/index.html.

    Exit codes: 0 done, 1 failed, 2 wrong use, 3 done, but some pairs or frames were
    rejected or explained by measurements instead of the model.
    """


@facext.command()
@click.argument("dataset")
@manifest_option
@click.option("--explainer", default="", help="`evidence` or `mllm` instead of the manifest's.")
@click.option("--recipe", default="", help="How the model is asked, instead of the manifest's.")
@click.option("--mllm", default="", help="Which captioning server of the manifest.")
@click.option(
    "--max-cost",
    type=click.FloatRange(0, min_open=True),
    help="Budget of the dataset over all its runs, in the unit of the prices.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what asking the model would cost.")
@click.option("--limit", type=click.IntRange(0), default=0, help="At most so many more pairs.")
@click.option(
    "--resume", type=click.Choice(["same", "if-possible", "never"]), default="same",
    help="Where results of other settings are there: stop and say what changed (default), keep "
    "what fits, or start anew beside them.",
)  # fmt: skip
@click.option("--profile", is_flag=True, help="At the end, print where the time went.")
@click.option(
    "--workers", type=click.IntRange(0), default=0, help="Processes; default: one per core."
)
def annotate(
    dataset: str, manifest: Path, explainer: str, recipe: str, mllm: str, max_cost: float | None,
    dry_run: bool, limit: int, resume: Resume, profile: bool, workers: int,
) -> int:  # fmt: skip
    """Annotate a DATASET of the manifest.

    Writes out/DATASET/annotations/*.parquet, rejects/ and the report qa/index.html. What is done
    stays done: the same command goes on after an interruption, and a second run only checks.
    No Prefect server is needed.
    """
    from flows.local import annotate_dataset
    from flows.run import make_run

    explain = {"explainer": explainer, "recipe": recipe, "mllm": mllm, "max_cost": max_cost}
    run = make_run(dataset, manifest, explain=explain, limit=limit, workers=workers, resume=resume)
    if dry_run:
        from flows.estimate import estimate

        click.echo("\n".join(estimate(run).lines()))
        return DONE
    with _bar() as progress:
        outcome = annotate_dataset(run, progress)
    summary = outcome.summary
    _print_summary(dataset, summary, outcome.done)
    _print_costs(run)
    if profile:
        _print_profile(outcome)
    click.echo(f"annotations  {run.shards}/")
    click.echo(f"report       {run.output / 'qa' / 'index.html'}")
    if outcome.stopped:
        raise outcome.stopped
    if summary.fallbacks["server_error"]:
        server = run.manifest.mllm(run.manifest.explain.mllm)
        click.echo(f"the captioning server {server.base_url} failed; run again to ask it again")
    return DONE_WITH_REJECTS if summary.rejects or summary.fallbacks else DONE


@facext.command(short_help="Show what annotating a dataset would do.")
@click.argument("dataset")
@manifest_option
@click.option(
    "--workers", type=click.IntRange(0), default=0, help="Processes; default: one per core."
)
def plan(dataset: str, manifest: Path, workers: int) -> int:
    """Show what annotating a DATASET of the manifest would do, and start nothing.

    Pairs by method, compression and split; what cannot be paired and why; units of work done and
    open; hours and bytes. All files are read once, to tell what was done with them before.
    """
    from flows.console import print_preview
    from flows.preview import preview
    from flows.run import make_run

    run = make_run(dataset, manifest, workers=workers)
    found = preview(run)
    print_preview(dataset, found)
    click.echo(f"plan         {run.plan_path}")
    if found.rejects:
        click.echo(f"rejects      {run.unplanned_path}")
    return DONE_WITH_REJECTS if found.rejects else DONE


@facext.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out/toy/source"), show_default=True,
    help="Folder to make, in FaceForensics++ layout.",
)  # fmt: skip
@click.option(
    "--pictures", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A face picture, repeatable; default: two public-domain faces.",
)  # fmt: skip
@click.option("--method", "methods", multiple=True, help="Only this method, repeatable.")
@click.option("--frames", type=click.IntRange(1), default=50, show_default=True, help="Per clip.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same bytes.")
@click.option(
    "--workers", type=click.IntRange(0), default=0, help="Processes; default: one per core."
)
def forge(
    out: Path, pictures: tuple[Path, ...], methods: tuple[str, ...], frames: int, seed: int,
    workers: int,
) -> int:  # fmt: skip
    """Make real/fake pairs with known truth from face pictures.

    Moves each picture as a short clip, forges it by every method, and encodes both sides with
    H.264 at c0, c23 and c40. The truth of each frame (mask, concepts, kinds) is in truth.parquet.
    """
    import os

    from sources.forge import forge as make

    with _bar() as progress:
        summary = make(
            out,
            pictures=pictures,
            seed=seed,
            frames=frames,
            methods=methods or None,
            workers=workers or len(os.sched_getaffinity(0)),
            progress=lambda done, total: progress("forge", done, total),
        )
    click.echo(
        f"{summary.pairs} pairs of {summary.pictures} faces, {summary.videos} videos in {out}/"
        + ("" if summary.made else " (they were there already)")
    )
    return DONE


@facext.command(short_help="Write a dataset's report again.")
@click.argument("dataset")
@manifest_option
@click.option(
    "--parroting", type=click.IntRange(2), metavar="FRAMES",
    help="First ask the captioning model about so many frames twice, told their true and "
    "another method, and compare: does it say what it sees or what it is told?",
)  # fmt: skip
@click.option("--recipe", default="", help="Of --parroting: how the model is asked.")
@click.option("--mllm", default="", help="Of --parroting: which captioning server.")
def qa(dataset: str, manifest: Path, parroting: int | None, recipe: str, mllm: str) -> int:
    """Write the report of an annotated DATASET again: out/DATASET/qa/index.html."""
    from flows.report import report
    from flows.run import make_run

    run = make_run(dataset, manifest)
    if parroting:
        from flows.parroting import run_parroting

        asks = {"explainer": "mllm", "recipe": recipe, "mllm": mllm}
        with _bar() as progress:
            run_parroting(make_run(dataset, manifest, explain=asks), parroting, progress)
    click.echo(report(run, anew=True))
    return DONE


@facext.command(short_help="Print the Facial Image Concept Tree.")
@click.option("--definitions", is_flag=True, help="With the definition of each concept.")
def tree(definitions: bool) -> int:
    """Print the Facial Image Concept Tree: 112 atomic regions and their parents."""
    from rich.console import Console
    from rich.tree import Tree as Drawing

    from fict.tree import Concept, load_tree

    concepts = load_tree()

    def label(concept: Concept) -> str:
        number = f"[cyan]{concept.id:>3}[/]" if concepts.is_atomic(concept) else "[dim]  ·[/]"
        told = f"  [dim]{concept.definition}[/]" if definitions else ""
        return f"{number} {concept.name}{told}"

    def grow(drawing: Drawing, concept: Concept) -> None:
        branch = drawing.add(label(concept))
        for child in concepts.children_of(concept):
            grow(branch, child)

    drawing = Drawing(f"{concepts.root.name} · FICT {concepts.version}")
    for child in concepts.children_of(concepts.root):
        grow(drawing, child)
    Console().print(drawing)
    click.echo(f"{len(concepts.atomic)} atomic concepts")
    return DONE


@facext.command(short_help="Show what is installed and works.")
def doctor() -> int:
    """Show what is installed and which backends work on this machine."""
    from flows.doctor import examine

    return DONE if examine() else FAILED


@facext.command(short_help="Fit cuts, costs and chance on known truth.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; default: schemas/calibration.yaml, where the settings read it.",
)  # fmt: skip
@click.option("--cases", type=click.IntRange(10), default=110, show_default=True, help="Clips.")
@click.option("--workers", type=click.IntRange(0), default=0, help="Default: one per core.")
def calibrate(out: Path | None, cases: int, workers: int) -> int:
    """Fit the cuts of the mask, the costs of the region rule, and what chance does to evidence.

    Uses forgeries whose truth is known, of another seed than `facext bench truth` publishes. The
    fitted values become the defaults of the settings; rows carry their hash.
    """
    import os

    from benchmarks.calibrate import calibrate as fit
    from benchmarks.calibrate import write
    from schemas.calibration import FILE

    with _bar() as progress:
        found = fit(cases, workers or len(os.sched_getaffinity(0)), progress=progress)
    write(found, out or FILE)
    for key, value in (
        found.provenance | found.diff.model_dump() | found.localise.model_dump()
    ).items():
        click.echo(f"{key:<18} {value}")
    click.echo(f"written to {out or FILE}")
    return DONE


@facext.group()
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
@click.option("--workers", type=click.IntRange(0), default=0, help="Default: one per core.")
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
    import os
    import tempfile

    from benchmarks.faces import portraits
    from benchmarks.figures import write
    from benchmarks.publish import publish
    from benchmarks.tables import lines
    from benchmarks.truth import run

    comparison = _comparison(recipes, mllm, manifest) if recipes else None
    cores = workers or len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as made:
        warn = functools.partial(click.echo, err=True)
        pictures = portraits(faces, Path(made), warn) if faces else []
        with _bar() as progress:
            found = run(seed, cases, cores, pictures, progress, comparison)
        click.echo("\n".join(lines(found)))
        if path:
            write(found, path)
        if docs:
            with _bar() as progress:
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

    with _bar() as progress:
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

    with _bar() as progress:
        found = run(Size(), progress)
    click.echo("\n".join(lines(found)))
    if path:
        write(found, path)
    return DONE


def _comparison(recipes: tuple[str, ...], mllm: str, manifest: Path) -> Any:
    """Prepares a comparison of recipes."""
    from benchmarks.compare import comparison_of
    from schemas.manifest import load_manifest

    return comparison_of(recipes, mllm, load_manifest(manifest))


def _bar() -> Any:
    from flows.console import ProgressBar

    return ProgressBar()


def _print_summary(dataset: str, summary: Summary, done: int) -> None:
    from flows.console import print_summary

    print_summary(dataset, summary, done)


def _print_profile(outcome: Outcome) -> None:
    from flows.console import print_profile

    print_profile(outcome.seconds, outcome.frames)


def _print_costs(run: Run) -> None:
    from flows.console import print_costs

    if run.manifest.explain.explainer == "mllm":
        print_costs(run.costs_path, run.manifest.explain.max_cost)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; errors become one message and an exit code.

    Args:
        arguments: The words after `facext`; by default those of this process, which then ends.
    """
    before = signal.signal(signal.SIGTERM, _as_ctrl_c)
    code = _guarded(lambda: facext.main(args=arguments, prog_name="facext", standalone_mode=False))
    if arguments is None:
        _let_end()
    else:  # the signals are the caller's
        signal.signal(signal.SIGTERM, before)
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
        _let_end()
        click.echo("\nstopped; the same command goes on from here", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return WRONG_USE
    except UsageError as error:
        click.echo(f"error: {error}", err=True)
        return WRONG_USE
    except FacextError as error:
        click.echo(f"error: {error}", err=True)
        return FAILED


if __name__ == "__main__":
    main()
