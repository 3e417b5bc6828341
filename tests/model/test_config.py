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
        ("tiny", {"train.stepz": 3}, r"^--set train\.stepz: .*\(did you mean 'train\.steps'\?\)"),
        ("tiny", {"trian.steps": 3}, r"^--set trian\.steps: .*\(did you mean 'train\.steps'\?\)"),
        ("tiny", {"train.lr": -1}, r"^--set train\.lr: Input should be greater"),
        ("tiny", {"train.lr.x": 1}, r"^--set train\.lr\.x: train\.lr is a value, not a block"),
        ("tiny", {"network": 1}, r"^--set network: Input should be"),
        ("tiny", {"data.frames": 99}, "exceeds network.most_frames"),
        ("tiny", {"data.weights": {"I-LOC": 1}}, r"data\.weights"),
    ],
)
def test_mistakes_are_named(name, changes, message):
    with pytest.raises(UsageError, match=message):
        load_config(name, changes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("train: {steps: 1", r"own\.yaml cannot be read as YAML: .*line 1"),
        ("- train\n- data\n", r"own\.yaml must hold keys with values, not a list"),
        ("tiny", r"own\.yaml must hold keys with values, not a str"),
        ("train: {stepz: 1}", r"own\.yaml: train\.stepz: .*\(did you mean 'train\.steps'\?\)"),
    ],
)
def test_mistakes_in_a_file_name_the_file(tmp_path, content, message):
    path = tmp_path / "own.yaml"
    path.write_text(content)
    with pytest.raises(UsageError, match="(?s)" + message):
        load_config(path)


def test_a_parent_that_is_a_text_takes_no_key():
    with pytest.raises(UsageError, match=r"network\.language\.words is a value, not a block"):
        load_config("tiny", {"network.language.words.x": 1})
