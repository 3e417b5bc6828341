"""`facext evaluate`, `facext serve`, `facext explain`: a trained FiFa-MLLM at work."""

from __future__ import annotations

from pathlib import Path

import click

from flows.commands import DONE

checkpoint_option = click.option(
    "--checkpoint", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True,
    help="A checkpoint, or a run of `facext train`: then its best one.",
)  # fmt: skip
device_option = click.option("--device", default="cpu", show_default=True, help="Such as cuda:0.")


@click.command(short_help="Score a model on the eleven tasks.")
@checkpoint_option
@click.option(
    "--data", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A dataset's output folder, or a folder of shards.",
)  # fmt: skip
@click.option(
    "--split", default="",
    help="Only rows of this split, or all; default: test, or pairs it did not learn.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(1), help="At most so many rows, evenly; default: all.")
@click.option(
    "--truth", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with the forge's truth.parquet; default: DATA/source, where there is one.",
)  # fmt: skip
@click.option(
    "--dd-vqa", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Also a part of DD-VQA, such as DQ_FF++/test_set.",
)  # fmt: skip
@click.option(
    "--pictures", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Of --dd-vqa: folder of its frames, named by their keys.",
)  # fmt: skip
@click.option(
    "--json", "path", type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the figures here.",
)  # fmt: skip
@click.option(
    "--page", type=click.Path(dir_okay=False, path_type=Path), help="Also write a Markdown page."
)
@device_option
def evaluate(
    checkpoint: Path, data: Path | None, split: str, limit: int | None, truth: Path | None,
    dd_vqa: Path | None, pictures: Path | None, path: Path | None, page: Path | None, device: str,
) -> int:  # fmt: skip
    """Score a trained model on the eleven tasks, with baselines beside every figure.

    The same run asks a constant answer and the model before a grey image; a figure says something
    only above both.
    """
    from flows import evaluation
    from model.checkpoint import load_model

    if not data and not dd_vqa:
        raise click.UsageError("give --data, --dd-vqa, or both")
    if dd_vqa and not pictures:
        raise click.UsageError("--dd-vqa needs --pictures: the annotations come without frames")
    model = load_model(checkpoint, device)
    found: dict[str, object] = {}
    if data:
        report = evaluation.of_shards(model, data, split, limit or 0, truth)
        evaluation.print_report(report)
        found = evaluation.as_json(report)
        if page:
            evaluation.write_page(report, page, f"{checkpoint} on {data}")
            click.echo(f"page         {page}")
    if dd_vqa and pictures:
        figures = evaluation.of_ddvqa(model, dd_vqa, pictures)
        evaluation.print_ddvqa(figures)
        found["dd_vqa"] = figures
    if path:
        evaluation.write_json(found, path)
        click.echo(f"figures      {path}")
    return DONE


@click.command(short_help="Serve a model on loopback, OpenAI-compatible.")
@checkpoint_option
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True,
    help="Of loopback; 0: a free one, which is printed.",
)  # fmt: skip
@click.option("--name", default="fifa-mllm", show_default=True, help="Name of the model.")
@click.option(
    "--queue", type=click.IntRange(0), default=64, show_default=True,
    help="Requests that may wait; more are answered with 429.",
)  # fmt: skip
@device_option
def serve(checkpoint: Path, port: int, name: str, queue: int, device: str) -> int:
    """Serve a trained model at http://127.0.0.1:PORT/v1, until Ctrl-C.

    Chat completions take one picture as a data URL and a question; answers bring their masks. As a
    captioning server of `facext annotate` it is asked by the recipe `fifa_mllm`.
    """
    from model.checkpoint import load_model
    from model.serving.app import run

    run(load_model(checkpoint, device), name, port, queue)
    return DONE


@click.command(short_help="Explain one picture.")
@click.argument("image", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@checkpoint_option
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("out/explained"),
    show_default=True, help="Folder for what is written.",
)  # fmt: skip
@device_option
def explain(image: Path, checkpoint: Path, out: Path, device: str) -> int:
    """Explain IMAGE: find the face, say what is forged and where, draw it.

    Writes the text with a mask for each phrase (explanation.json) and a picture whose phrases have
    the colours of their masks (explanation.png).
    """
    from flows.one_picture import cut_face, explain_face, write
    from model.checkpoint import load_model

    face = cut_face(image)  # before the model is loaded, which takes longer
    told = explain_face(load_model(checkpoint, device), face)
    click.echo(told.text)
    click.echo(f"probability of a forgery {told.fake_probability:.2f}")
    for name, path in write(told, face, out).items():
        click.echo(f"{name:<12} {path}")
    return DONE
