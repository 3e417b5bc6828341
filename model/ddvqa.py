"""DD-VQA, a test set of other people's questions about FaceForensics++ frames.

Source: Zhang et al., "Common Sense Reasoning for Deepfake Detection" (ECCV 2024). Its annotations
are published without pictures:

    <folder>/<Method>/<Method>.json     {"0_114_102": {"0": {"question": "...", "answer": ["..."]}}}
    <pictures>/**/0_114_102.png         or .jpg: the frame that you cut from FaceForensics++

A key is method, target and source; method 5 is `Original`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from model.answer import Answers, Prompt
from model.baselines import Blank, Constant
from model.evaluate import BLANK, CONSTANT, MODEL, Progress
from model.metrics.case import Case, Figures, Truth
from model.metrics.labels import Detection, auc, said_label
from model.metrics.words import Words
from schemas.errors import OutputError, SourceMissing
from schemas.records import Side

ORIGINAL = "5"
SUFFIXES = (".png", ".jpg", ".jpeg")


class _Asked(BaseModel):
    model_config = ConfigDict(extra="ignore")

    question: str
    answer: list[str]


_FILE = TypeAdapter(dict[str, dict[str, _Asked]])


@dataclass(frozen=True, eq=False)
class Entry:
    """One frame with its questions.

    Attributes:
        picture: Its file.
        side: `real` for an original.
        cases: Its questions; the first asks about the whole image.
    """

    picture: Path
    side: Side
    cases: tuple[Case, ...]


def load(folder: Path, pictures: Path) -> list[Entry]:
    """Reads the annotations and finds the pictures.

    Args:
        folder: A part of DD-VQA, such as `DQ_FF++/test_set`.
        pictures: Folder with the frames, named by their keys.

    Raises:
        SourceMissing: There are no annotations, or a frame has no picture; the message counts them.
        OutputError: A file is not in the layout above.
    """
    paths = sorted(folder.glob("*/*.json")) or sorted(folder.glob("*.json"))
    if not paths:
        raise SourceMissing(f"no <Method>/<Method>.json in {folder}: is it DQ_FF++/test_set?")
    found = {path.stem: path for path in pictures.rglob("*") if path.suffix.lower() in SUFFIXES}
    annotated = {key: asked for path in paths for key, asked in _read(path).items()}
    missing = sorted(annotated.keys() - found.keys())
    if missing:
        raise SourceMissing(
            f"{len(missing)} of {len(annotated)} frames have no picture in {pictures}, such as "
            f"{missing[0]}.png: cut them from FaceForensics++ and name them by their keys"
        )
    return [_entry(key, found[key], asked) for key, asked in annotated.items()]


def _read(path: Path) -> dict[str, dict[str, _Asked]]:
    try:
        return _FILE.validate_json(path.read_bytes())
    except (ValidationError, json.JSONDecodeError) as error:
        raise OutputError(f"{path} is not in the layout of DD-VQA: {str(error)[:200]}") from error


def _entry(key: str, picture: Path, asked: Mapping[str, _Asked]) -> Entry:
    side: Side = "real" if key.split("_")[0] == ORIGINAL else "fake"
    none = np.zeros((0, 1, 1), np.bool_)
    blank = np.zeros((1, 1), np.uint8)
    cases = [
        Case(
            one.question, Prompt(one.question), tuple(one.answer), none, (), blank,
            Truth(), is_clean=False,
        )
        for one in asked.values()
        if one.answer
    ]  # fmt: skip
    return Entry(picture, side, tuple(cases))


@dataclass
class _Scores:
    words: Words = field(default_factory=Words)
    detection: Detection = field(default_factory=Detection)
    seen: list[float] = field(default_factory=list)

    def ask(self, system: Answers, image: torch.Tensor, entry: Entry) -> None:
        answers = system.answer(image, [case.prompt for case in entry.cases])
        for case, answer in zip(entry.cases, answers, strict=True):
            self.words.add(case, answer)
            if "image" in case.prompt.question and said_label(case.references[0]):
                self.detection.add(case, answer)
        self.seen.append(system.see(image).fake_probability)


def evaluate_ddvqa(
    model: Answers, entries: list[Entry], progress: Progress | None = None
) -> dict[str, Figures]:
    """Scores a model on DD-VQA, with a constant answer to each question and a blank image beside.

    Accuracy and F1 are of the question about the whole image, by the word that answers it; the
    AUC is of the vision side; words are compared over all questions, with all right answers.

    Returns:
        System to figures.
    """
    constant = Constant(case for entry in entries for case in entry.cases)
    systems: dict[str, Answers] = {MODEL: model, CONSTANT: constant, BLANK: Blank(model)}
    scores = {name: _Scores() for name in systems}
    for number, (entry, image) in enumerate(_images(entries), 1):
        for name, system in systems.items():
            scores[name].ask(system, image, entry)
        if progress:
            progress("dd-vqa", number, len(entries))
    is_fake = [entry.side == "fake" for entry in entries]
    return {
        name: each.detection.figures() | {"auc": auc(each.seen, is_fake)} | each.words.figures()
        for name, each in scores.items()
    }


def _images(entries: list[Entry]) -> Iterator[tuple[Entry, torch.Tensor]]:
    for entry in entries:
        image = cv2.imread(str(entry.picture), cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise OutputError(f"{entry.picture} is no picture")
        yield entry, torch.from_numpy(image).permute(2, 0, 1).contiguous()
