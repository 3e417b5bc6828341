"""The figures and pictures of `docs/model.md`, from a run of `benchmarks.model`.

python -m benchmarks.model_page out/bench/model.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.model import FOLDER, GOALS, JUDGED, TITLES, verdict
from flows.one_picture import Told, draw
from model.checkpoint import load_model
from model.metrics.rows import EvaluationSet
from schemas.atomic import write_text

PAGE, PICTURE = Path("docs/model.md"), Path("docs/img/model_age.jpg")
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
SHOWN = 4
"""Held-out rows that are drawn."""
SIDE = 384
"""Side of a drawn face."""


def figures(found: dict[str, Any]) -> str:
    """Gives the Markdown table of a run."""
    lines = ["| proof | figure | value | goal | |", "|---|---|---|---|---|"]
    for proof, titles in TITLES.items():
        for name, title in titles.items():
            value = found[proof][name]
            wanted, met = verdict(name, value, GOALS[proof])
            told = f"{value:.0f}" if value >= 100 else f"{value:.2f}"
            lines.append(f"| {proof} | {title} | {told} | {wanted} | {met.lower()} |")
        if seconds := found[proof].get("cpu_seconds"):
            lines.append(f"| {proof} | seconds of one CPU thread | {seconds} | | |")
    return "\n".join(lines)


def pictures() -> None:
    """Draws what the held-out model says of forged faces (left) and what is true (right)."""
    model = load_model(FOLDER / "run-heldout")
    rows = []
    for shown in EvaluationSet(FOLDER / "heldout", limit=JUDGED).shown():
        for case in shown.cases:
            if case.task != "I-AGE" or case.is_clean or len(rows) == SHOWN:
                continue
            answer = model.answer(shown.image, [case.prompt])[0]
            seen = model.see(shown.image).fake_probability
            said = Told(answer.text, answer.masks.numpy(), seen)
            right = Told(case.references[0], case.masks, 1.0)
            rows.append([_drawn(each, shown.image) for each in (said, right)])
    sheet = _stacked([_stacked(pair, 1) for pair in rows], 0)
    cv2.imwrite(str(PICTURE), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])


def _drawn(told: Told, image: torch.Tensor) -> np.ndarray[Any, Any]:
    crop = cv2.resize(image.permute(1, 2, 0).numpy(), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    masks = [
        cv2.resize(mask.astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST) > 0
        for mask in told.masks
    ]
    whole = np.stack(masks) if masks else np.zeros((0, SIDE, SIDE), np.bool_)
    return draw(Told(told.text, whole, told.fake_probability), np.asarray(crop))


def _stacked(parts: list[np.ndarray[Any, Any]], axis: int) -> np.ndarray[Any, Any]:
    """Puts pictures beside or below each other on white."""
    other = 1 - axis
    longest = max(part.shape[other] for part in parts)
    filled = []
    for part in parts:
        room = [(0, 0), (0, 0), (0, 0)]
        room[other] = (0, longest - part.shape[other])
        filled.append(np.pad(part, room, constant_values=255))
    return np.concatenate(filled, axis=axis)


def write(found: dict[str, Any]) -> None:
    """Puts a run's figures into the page."""
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    write_text(PAGE, f"{head}{BEGIN}\n{figures(found)}\n{END}{rest.split(END)[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("json", type=Path, help="figures of `python -m benchmarks.model`")
    found = json.loads(parser.parse_args().json.read_text())
    write(found)
    pictures()


if __name__ == "__main__":
    main()
