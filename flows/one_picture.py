"""`facext explain`: the face of one picture, what a model says of it, and a drawing of that."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from annotators.questions import wording
from fict.landmarks import MeshLandmarks
from model.answer import Answers, Prompt
from model.metrics.grounding import phrases
from qa.pictures import colour
from schemas import rle
from schemas.atomic import whole_file, write_text
from schemas.errors import OutputError, Rejected, UsageError
from schemas.manifest import Measure
from schemas.records import SEG, Segmentation
from sources.crop import crop_affine, warp
from sources.pictures import open_pictures

Picture = NDArray[np.uint8]

SETTINGS = Measure()
MARGIN, LINE, LETTER = 20, 26, 18
WIDTH = 620
"""Of the text beside the picture, in pixels."""
INK, PAPER = (26, 29, 33), (255, 255, 255)
DARK = 110
"""Lightness of a colour, 0..255, below which words on it are white."""
_WORD = re.compile(rf"<p>.*?</p>(?:\s*{re.escape(SEG)})?|{re.escape(SEG)}|\S+")
_MARKS = re.compile(rf"</?p>|{re.escape(SEG)}")


@dataclass(frozen=True, eq=False)
class Face:
    """The face of a picture, cut as the faces of the shards are.

    Attributes:
        crop: `(S, S, 3) uint8` RGB.
        affine: `(2, 3) float64`, from pixels of the picture to pixels of the crop.
        others: Further faces in the picture, which nothing is said of.
    """

    crop: Picture
    affine: NDArray[np.float64]
    others: int


@dataclass(frozen=True, eq=False)
class Told:
    """What a model says of a face.

    Attributes:
        text: `<p>phrase</p> [SEG]` where something is grounded.
        masks: `(K, S, S) bool` in crop pixels, the k-th of the k-th `[SEG]`.
        fake_probability: 0..1.
    """

    text: str
    masks: NDArray[np.bool_]
    fake_probability: float


def cut_face(path: Path) -> Face:
    """Finds and cuts the largest face of a picture.

    Raises:
        UsageError: The file is no picture, or there is no face in it.
    """
    try:
        image = open_pictures(path).read(0)
    except Rejected as error:
        raise UsageError(error.detail) from error
    faces = MeshLandmarks().detect(image)
    if not faces:
        raise UsageError(f"no face found in {path.name}: it must be seen from the front, unhidden")
    affine = crop_affine(faces[0].landmarks, SETTINGS.crop_size, SETTINGS.crop_margin)
    crop = warp(image, affine, SETTINGS.crop_size)
    return Face(crop, affine, len(faces) - 1)


def explain_face(model: Answers, face: Face) -> Told:
    """Asks a model to explain a face and ground what it says.

    Raises:
        OutputError: It gave not one mask for each `[SEG]`.
    """
    image = torch.from_numpy(face.crop).permute(2, 0, 1).contiguous()
    [answer] = model.answer(image, [Prompt(str(wording()["I-AGE"]["ask"][0]))])
    if answer.text.count(SEG) != len(answer.masks):
        raise OutputError(f"the model gave not one mask for each {SEG}")
    return Told(answer.text, answer.masks.cpu().numpy(), model.see(image).fake_probability)


def write(told: Told, face: Face, folder: Path) -> dict[str, Path]:
    """Writes the text with its masks, and the drawing.

    Returns:
        What each file is, and where.
    """
    text, picture = folder / "explanation.json", folder / "explanation.png"
    masks: list[Segmentation] = [rle.encode(mask) for mask in told.masks]
    facts = {
        "text": told.text,
        "phrases": phrases(told.text),
        "masks": [mask.model_dump() for mask in masks],
        "fake_probability": told.fake_probability,
        "affine": face.affine.ravel().tolist(),
        "other_faces": face.others,
    }
    write_text(text, json.dumps(facts, indent=1) + "\n")
    encoded = io.BytesIO()
    Image.fromarray(draw(told, face.crop)).save(encoded, "png")
    with whole_file(picture) as file:
        file.write(encoded.getvalue())
    return {"text, masks": text, "picture": picture}


def draw(told: Told, crop: Picture) -> Picture:
    """Draws the crop with its masks, and the text beside it, phrases in the colours of their masks.

    Args:
        told: What is said.
        crop: `(S, S, 3) uint8` RGB.

    Returns:
        `(H, W, 3) uint8` RGB, as high as the text needs, at least S.
    """
    font = ImageFont.load_default(LETTER)
    lines = _lines(told.text, font)
    height = max(len(crop), 2 * MARGIN + LINE * (len(lines) + 2))
    canvas = Image.new("RGB", (crop.shape[1] + WIDTH, height), PAPER)
    canvas.paste(Image.fromarray(tinted(crop, told.masks)), (0, 0))
    pen = ImageDraw.Draw(canvas)
    left = crop.shape[1] + MARGIN
    head = f"probability of a forgery {told.fake_probability:.2f}"
    pen.text((left, MARGIN), head, INK, font)
    for number, line in enumerate(lines):
        _write(pen, line, left, MARGIN + LINE * (number + 2), font)
    return np.asarray(canvas, dtype=np.uint8)


def tinted(crop: Picture, masks: NDArray[np.bool_]) -> Picture:
    """Tints each mask of an `(S, S, 3)` crop in its colour; where masks overlap, both show."""
    drawn = crop.astype(np.float32)
    for number, mask in enumerate(masks):
        drawn[mask] = 0.55 * drawn[mask] + 0.45 * np.array(colour(number), np.float32)
    return drawn.astype(np.uint8)


@dataclass(frozen=True)
class _Word:
    text: str
    mask: int | None


def _lines(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[list[_Word]]:
    """Breaks a text into lines of `WIDTH`."""
    lines: list[list[_Word]] = [[]]
    used = 0.0
    for word in _words(text):
        wide = font.getlength(word.text + " ")
        if lines[-1] and used + wide > WIDTH - 2 * MARGIN:
            lines.append([])
            used = 0.0
        lines[-1].append(word)
        used += wide
    return lines


def _words(text: str) -> list[_Word]:
    """Gives the words of a text, those of a grounded phrase with the number of its mask."""
    words, number = [], 0
    for found in _WORD.findall(text):
        mask = number if SEG in found else None
        number += mask is not None
        bare = _MARKS.sub("", found).strip() or "●"
        words += [_Word(each, mask) for each in bare.split()]
    return words


def _write(
    pen: ImageDraw.ImageDraw,
    line: list[_Word],
    left: float,
    top: float,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    for word in line:
        wide, ink = font.getlength(word.text), INK
        if word.mask is not None:
            red, green, blue = shade = colour(word.mask)
            box = (left - 2, top - 1, left + wide + 2, top + LETTER + 4)
            pen.rectangle(box, fill=shade)
            ink = PAPER if 0.3 * red + 0.59 * green + 0.11 * blue < DARK else INK
        pen.text((left, top), word.text, ink, font)
        left += wide + font.getlength(" ")
