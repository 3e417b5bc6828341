import pytest

from model.config import ModelConfig, differences, load_config
from schemas.errors import UsageError


@pytest.mark.parametrize("name", ["tiny", "base", "paper"])
def test_presets_are_read_and_come_back_as_they_were(name):
    config = load_config(name)
    assert ModelConfig.model_validate(config.model_dump(mode="json")) == config


def test_values_are_changed_by_dotted_key():
    config = load_config("tiny", {"train.steps": 7, "network.language.lora": {"rank": 2}})
    assert (config.train.steps, config.network.language.lora.rank) == (7, 2)
    assert differences(load_config("tiny"), load_config("tiny", {"train.lr": 1.0})) == [
        "train.lr: 0.002 -> 1.0"
    ]


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("tinny", {}, r"no preset or file 'tinny' \(did you mean 'tiny'\?\)"),
        ("tiny", {"train.stepz": 3}, r"train\.stepz: Extra inputs"),
        ("tiny", {"train.lr": -1}, r"train\.lr: Input should be greater"),
        ("tiny", {"data.frames": 99}, "exceeds network.most_frames"),
        ("tiny", {"data.weights": {"I-LOC": 1}}, r"data\.weights"),
    ],
)
def test_mistakes_are_named(name, changes, message):
    with pytest.raises(UsageError, match=message):
        load_config(name, changes)
