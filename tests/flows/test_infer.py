"""A model at work: scored, served to the project's own client, asked about one picture."""

import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from skimage.data import astronaut

from flows import cli
from flows.local import annotate_dataset
from flows.one_picture import cut_face, draw, explain_face, write
from flows.run import make_run
from model import checkpoint
from model.config import load_config
from model.data import Shards
from model.start import make_model
from qa.pictures import colour
from schemas import rle
from schemas.errors import OutputError, UsageError
from schemas.phrasebook import plain
from schemas.records import Segmentation
from tests.conftest import silent
from tests.own_server import NAME, Scripted, serving
from tests.results import rows_of

TINY = {
    "network.max_new_tokens": 6,
    "network.language.words": 400,
}
LIE = (
    "The <p>forehead</p> [SEG] is much darker than in the real face, by 40 of 100 lightness steps."
)
BLORP = "Blorp the <p>chin</p> [SEG] wildly."


@pytest.fixture(scope="module")
def trained(annotated, tmp_path_factory):
    """A checkpoint of a model that has learnt nothing."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("run")
    model = make_model(load_config("tiny", TINY), Shards(annotated[0].shards), folder)
    known = dict(model.network.named_parameters())
    weights = {name: known[name] for name in checkpoint.saved_names(model.network)}
    checkpoint.save(folder, model, weights, {}, checkpoint.Trained())
    return folder


@pytest.fixture
def asking(annotated, tmp_path, write_manifest):
    """Makes a run that asks our own server about the small dataset, measured already."""
    whole, _ = annotated
    shutil.copytree(whole.output / "units" / "measure", tmp_path / "out/toy/units/measure")

    def make(url):
        path = write_manifest(tmp_path, mllms__local__base_url=url)
        content = yaml.safe_load(path.read_text())
        content["mllms"]["local"] |= {"retries": 0, "in_flight": 4, "model": NAME}
        path.write_text(yaml.safe_dump(content))
        asks = {"explainer": "mllm", "recipe": "fifa_mllm"}
        return make_run("toy", path, explain=asks, workers=1)

    return make


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "astronaut.png"
    Image.fromarray(astronaut()).save(path)
    return path


def ends(arguments, code):
    with pytest.raises(SystemExit) as ended:
        cli.main([str(each) for each in arguments])
    assert ended.value.code == code


def test_the_captioning_client_publishes_what_the_pixels_support_of_our_own_model(
    asking, annotated
):
    true = next(row for row in rows_of(annotated[0]) if row.method == "LipRecolour").claims[0]
    marked = true.sentence.replace("</p>", "</p> [SEG]")
    model = Scripted(f"This face is fake. {marked} {LIE} {BLORP}")
    with serving(model) as url:
        run = asking(url)
        annotate_dataset(run, silent)
    rows = rows_of(run)
    assert len(model.asked) >= len(rows)
    assert all(image.shape == (3, 512, 512) for image, _ in model.asked)
    told = [row for row in rows if row.explainer == "mllm"]
    assert {row.method for row in told} >= {"LipRecolour"}
    for row in told:
        assert (row.recipe, row.model) == ("fifa_mllm", NAME)
        assert [one.direction for one in row.claims] == [true.direction]
        assert plain(row.claims[0].sentence).split(",")[0].rstrip(".") in plain(true.sentence)
        assert not any(letter.isdigit() for letter in row.claims[0].sentence)
        assert len(row.requests) == 1  # it is asked once, and told nothing
    for row in rows:
        fates = {one.region: one.fate for one in row.dropped}
        assert fates["forehead"] in ("contradicted", "untestable")
        assert fates["chin"] == "refused"
        assert "Blorp" not in row.explanation
        assert LIE.split("</p>")[1] not in row.explanation


def test_nonsense_of_our_own_model_is_refused_as_of_any(asking):
    with serving(Scripted(BLORP)) as url:
        run = asking(url)
        annotate_dataset(run, silent)
    rows = rows_of(run)
    assert {row.explainer for row in rows} == {"evidence"}
    assert {row.fallback_reason.split(":")[0] for row in rows} == {"cannot_tell"}
    assert {one.fate for row in rows for one in row.dropped} == {"refused"}


def test_a_checkpoint_is_scored_with_its_baselines(trained, annotated, source, tmp_path, capsys):
    figures, page = tmp_path / "figures.json", tmp_path / "page.md"
    data = ["--data", annotated[0].output, "--truth", source, "--limit", 1]
    ends(["evaluate", "--checkpoint", trained, *data, "--json", figures, "--page", page], 0)
    found = json.loads(figures.read_text())
    assert found["truth"] == "forge"
    assert (found["chosen"], found["learnt"]) == ("all, of pairs that it did not learn from", 0)
    assert set(found["figures"]["I-AGE"]["miou_strict"]) == {"model", "constant", "blank"}
    assert found["answers"]["model"]["truncated"] > 0
    printed = capsys.readouterr().out
    assert "miou_glamm" in printed
    assert "truncated" in printed
    assert "| `miou_strict` |" in page.read_text()


def test_what_the_tiny_preset_learnt_is_scored(annotated, tmp_path, capsys):
    data, run, figures = annotated[0].output, tmp_path / "run", tmp_path / "figures.json"
    steps = ["train.steps=3", "train.look=1", "train.batch=2", "data.val_share=0.0"]
    short = [part for one in (*steps, "network.max_new_tokens=16") for part in ("--set", one)]
    ends(["train", "--preset", "tiny", "--data", data, "--out", run, *short], 0)
    losses = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in losses] == [1, 2, 3]
    assert losses[0]["text"] == 0 < losses[1]["text"]
    asked = ["--data", data, "--limit", 1, "--json", figures]
    ends(["evaluate", "--checkpoint", run, *asked], 0)
    found = json.loads(figures.read_text())["figures"]
    assert len(found) == 12  # the eleven tasks, and what is seen without being asked
    assert 0 < found["Sight"]["concept_accuracy"]["model"] < 1
    assert "concept_accuracy" in capsys.readouterr().out


def test_wrong_uses_of_evaluate_are_told(trained, annotated, tmp_path, capsys):
    data = annotated[0].output
    ends(["evaluate", "--checkpoint", trained], 2)
    ends(["evaluate", "--checkpoint", trained, "--dd-vqa", data], 2)
    ends(["evaluate", "--checkpoint", trained, "--data", data, "--split", "x"], 2)
    ends(["evaluate", "--checkpoint", tmp_path, "--data", data], 2)
    said = capsys.readouterr().err
    for part in ("give --data", "needs --pictures", "split 'x'", "no checkpoint in"):
        assert part in said


def test_a_checkpoint_of_another_configuration_is_an_error(trained, tmp_path, picture, capsys):
    other = tmp_path / "other"
    shutil.copytree(checkpoint.latest(trained), other)
    config = yaml.safe_load((other / "config.yaml").read_text())
    config["network"]["mask_width"] = 32
    (other / "config.yaml").write_text(yaml.safe_dump(config))
    ends(["explain", picture, "--checkpoint", other, "--out", tmp_path / "x"], 2)
    assert "another configuration" in capsys.readouterr().err


def test_one_picture_is_explained_in_text_masks_and_colours(trained, picture, tmp_path, capsys):
    ends(["explain", picture, "--checkpoint", trained, "--out", tmp_path / "a"], 0)
    assert "probability of a forgery 0." in capsys.readouterr().out
    face = cut_face(picture)
    told = explain_face(Scripted(f"This face is fake. {LIE} The <p>nose</p> [SEG] too."), face)
    files = write(told, face, tmp_path / "b")
    facts = json.loads(files["text, masks"].read_text())
    assert facts["phrases"] == ["forehead", "nose"]
    masks = [rle.decode(Segmentation(**mask)) for mask in facts["masks"]]
    assert np.array_equal(np.stack(masks), told.masks)
    drawn = np.asarray(Image.open(files["picture"]))
    assert drawn.shape == (512, 512 + 620, 3)
    beside = drawn[:, 512:].reshape(-1, 3)
    for number in (0, 1):  # each phrase has the colour of its mask
        assert (beside == colour(number)).all(axis=1).sum() > 200
    only = told.masks[0] & ~told.masks[1]
    expected = 0.55 * face.crop[only] + 0.45 * np.array(colour(0))
    assert np.abs(drawn[:, :512][only] - expected).max() <= 1


def test_a_long_text_makes_the_drawing_higher_and_bare_segs_are_marked(picture):
    face = cut_face(picture)
    told = explain_face(Scripted(f"{LIE} " * 30 + "[SEG]."), face)
    drawn = draw(told, face.crop)
    assert drawn.shape[0] > 512
    assert len(told.masks) == 31


def test_pictures_without_a_face_and_files_that_are_none_are_told(tmp_path, trained, capsys):
    flat, text = tmp_path / "flat.png", tmp_path / "text.jpg"
    Image.new("RGB", (200, 200), "white").save(flat)
    text.write_text("no picture")
    for path, said in ((flat, "no face found in flat.png"), (text, "text.jpg cannot be read")):
        ends(["explain", path, "--checkpoint", trained], 2)
        assert said in capsys.readouterr().err
    with pytest.raises(UsageError):
        cut_face(flat)


def test_an_answer_with_more_seg_than_masks_is_not_drawn(picture):
    with pytest.raises(OutputError, match="not one mask"):
        explain_face(Scripted("[SEG] [SEG]", masks=1), cut_face(picture))


def test_the_server_is_started_with_the_checkpoint(trained, monkeypatch):
    started = {}
    monkeypatch.setattr("uvicorn.run", lambda app, **settings: started.update(settings))
    ends(["serve", "--checkpoint", trained, "--port", 8123], 0)
    assert (started["host"], started["port"]) == ("127.0.0.1", 8123)
