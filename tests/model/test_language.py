import pytest
import torch
from safetensors.torch import load_file

from model import checkpoint
from model.answer import Prompt
from model.checkpoint import load_model
from model.config import load_config
from model.network import FifaNetwork
from model.start import make_model, train
from tests.model.test_fifa import force

QWEN = {
    "model_type": "qwen3", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
    "tie_word_embeddings": False,
}  # fmt: skip
GPT = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 512}
"""Places of tokens are embeddings of their own."""


@pytest.fixture
def untied(small, shards, tmp_path):
    """A folder of a language model whose output has weights of its own."""
    llama = small().network.language.architecture | {"tie_word_embeddings": False}
    whole = make_model(small(network__language__architecture=llama), shards, tmp_path / "none")
    whole.network.language.model.save_pretrained(tmp_path / "lm")
    whole.vocabulary.save(tmp_path / "lm")
    return str(tmp_path / "lm")


@pytest.mark.parametrize("how", [{"frozen": True}, {"lora": {"rank": 2}}])
def test_the_marks_are_learnt_in_and_out_where_these_are_two(small, shards, tmp_path, untied, how):
    config = small(network__language={"path": untied} | how)
    model = make_model(config, shards, tmp_path / "none")
    known = dict(model.network.named_parameters())
    weights = {name: known[name] for name in checkpoint.saved_names(model.network)}
    folder = checkpoint.save(tmp_path / "run", model, weights, {}, checkpoint.Trained())
    saved = [n for n in load_file(folder / checkpoint.WEIGHTS) if n.startswith("language.")]
    marks = [name for name in saved if "trainable_tokens_delta" in name]
    assert len(marks) == 2
    assert {known[name].shape for name in marks} == {(len(model.vocabulary.new_ids), 32)}
    assert any("embed_tokens" in name for name in marks)
    assert any("lm_head" in name for name in marks)
    assert all(known[name].requires_grad for name in marks)


@pytest.mark.parametrize("known", [QWEN, GPT], ids=["qwen3", "gpt2"])
def test_other_language_models_train_answer_and_segment(
    small, folder, tmp_path, monkeypatch, known
):
    train(small(network__language__architecture=known, train__steps=2), folder, tmp_path)
    model = load_model(tmp_path)
    assert model.network.language.bare.config.model_type == known["model_type"]
    image = torch.randint(0, 255, (3, 60, 60), dtype=torch.uint8)
    prompts = [Prompt("Real?"), Prompt("What of the nose <region>, and why?", None, 5)]
    alone = [model.answer(image, [each])[0].text for each in prompts]
    assert [each.text for each in model.answer(image, prompts)] == alone
    force(monkeypatch, model, ["The [SEG] and [SEG]", "No"])
    said = model.answer(image, prompts)
    assert [each.text for each in said] == ["The [SEG] and [SEG]", "No"]
    assert [len(each.masks) for each in said] == [2, 0]


@pytest.mark.parametrize("name", ["base", "paper"])
def test_presets_can_be_built(model, name):
    """Without memory: their weights are on the device `meta`."""
    config = load_config(name)
    with torch.device("meta"):
        network = FifaNetwork(config.network, model.vocabulary, model.categories)
    parameters = list(network.parameters())
    assert {each.device.type for each in parameters} == {"meta"}
    layers = config.network.language.architecture["num_hidden_layers"]
    assert len(network.language.bare.get_decoder().layers) == layers
    names = {name for name, each in network.named_parameters() if each.requires_grad}
    assert sum("lora_A" in each for each in names) == layers * len(
        config.network.language.lora.targets
    )
    assert not [each for each in names if each.endswith("mlp.up_proj.weight")]
    assert network.image_tokens < config.data.max_tokens
