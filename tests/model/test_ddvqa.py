"""DD-VQA in its published layout, with pictures of our own."""

import json

import cv2
import numpy as np
import pytest
import torch

from model.answer import Answer, Seen
from model.ddvqa import evaluate_ddvqa, load
from schemas.errors import OutputError, SourceMissing

WHOLE, NOSE = "Does the image looks real/fake?", "Does the person's nose look real/fake?"
ENTRIES = {
    "Deepfakes": {
        "0_114_102": {
            "0": {"question": WHOLE, "answer": ["The image looks fake. Odd nose.", "It is fake."]},
            "1": {"question": NOSE, "answer": ["The person's nose looks fake because curved."]},
        }
    },
    "Original": {
        "5_044": {"0": {"question": WHOLE, "answer": ["The image looks real. Smooth skin."]}}
    },
}


@pytest.fixture
def files(tmp_path):
    pictures = tmp_path / "pictures"
    for number, (method, content) in enumerate(ENTRIES.items()):
        folder = tmp_path / "test_set" / method
        folder.mkdir(parents=True)
        (folder / f"{method}.json").write_text(json.dumps(content))
        (pictures / method).mkdir(parents=True)
        for key in content:
            image = np.full((32, 32, 3), 50 + 100 * number, np.uint8)
            cv2.imwrite(str(pictures / method / f"{key}.png"), image)
    return tmp_path / "test_set", pictures


class Knows:
    """Tells dark pictures, which are fake, from others; answers as the first reference does."""

    def answer(self, image, prompts):
        fake = image.float().mean() < 100
        texts = {
            (WHOLE, True): "The image looks fake. Odd nose.",
            (NOSE, True): "The person's nose looks fake because curved.",
            (WHOLE, False): "The image looks real. Smooth skin.",
        }
        none = torch.zeros(0, 32, 32).bool()
        return [Answer(texts.get((p.question, bool(fake)), ""), none) for p in prompts]

    def see(self, image):
        return Seen(1 - float(image.float().mean()) / 255)


def test_right_answers_have_every_figure_at_its_maximum_and_baselines_do_not(files):
    found = evaluate_ddvqa(Knows(), load(*files))
    best = {"accuracy": 1.0, "f1": 1.0, "auc": 1.0, "rouge_l": 1.0}
    assert {name: found["model"][name] for name in best} == best
    assert found["blank"]["accuracy"] == found["constant"]["accuracy"] == 0.5
    assert found["blank"]["auc"] == found["constant"]["auc"] == 0.5
    assert found["constant"]["rouge_l"] < 1


def test_the_side_is_that_of_the_key(files):
    sides = {entry.picture.stem: entry.side for entry in load(*files)}
    assert sides == {"0_114_102": "fake", "5_044": "real"}


def test_what_is_missing_or_of_another_layout_is_named(files, tmp_path):
    folder, pictures = files
    next(pictures.rglob("5_044.png")).unlink()
    with pytest.raises(SourceMissing, match=r"1 of 2 frames have no picture .*5_044\.png"):
        load(folder, pictures)
    with pytest.raises(SourceMissing, match="is it DQ_FF"):
        load(pictures, pictures)
    (folder / "Original" / "Original.json").write_text('{"5_044": ["no questions"]}')
    with pytest.raises(OutputError, match=r"Original\.json is not in the layout of DD-VQA"):
        load(folder, pictures)
