"""`facext forge`."""

from __future__ import annotations

from pathlib import Path

import click

from flows.commands import DONE, progress_bar, workers_option


@click.command()
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
@workers_option
def forge(
    out: Path, pictures: tuple[Path, ...], methods: tuple[str, ...], frames: int, seed: int,
    workers: int,
) -> int:  # fmt: skip
    """Make real/fake pairs with known truth from face pictures.

    Moves each picture as a short clip, forges it by every method, and encodes both sides with
    H.264 at c0, c23 and c40. The truth of each frame (mask, concepts, kinds) is in truth.parquet.
    """
    from flows.run import cores
    from sources.forge import forge as make

    with progress_bar() as progress:
        summary = make(
            out,
            pictures=pictures,
            seed=seed,
            frames=frames,
            methods=methods or None,
            workers=workers or cores(),
            progress=lambda done, total: progress("forge", done, total),
        )
    click.echo(
        f"{summary.pairs} pairs of {summary.pictures} faces, {summary.videos} videos in {out}/"
        + ("" if summary.made else " (they were there already)")
    )
    return DONE
