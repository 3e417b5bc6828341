import pytest
from safetensors.torch import load_file

from model import checkpoint
from model.start import make_model


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
