import pytest
import torch


@torch.no_grad()
@pytest.mark.parametrize("count", range(1, 11))
def test_any_number_of_texts_is_read_in_as_many_passes(model, monkeypatch, count):
    """Ranks of FSDP2 gather layers together: one that reads once less would wait for ever."""
    torch.manual_seed(count)
    network = model.network.eval()
    embeds = torch.randn(count, 12, network.language.width)
    lengths = torch.randint(1, 13, (count,))
    alone = [network.language(embeds[k : k + 1, : int(n)])[0] for k, n in enumerate(lengths)]
    passes = []
    read = network.language.forward
    monkeypatch.setattr(
        network.language, "forward", lambda embeds: passes.append(len(embeds)) or read(embeds)
    )
    states = network._read(embeds, lengths)
    assert len(passes) == 4
    for found, expected in zip(states, alone, strict=True):
        assert torch.allclose(found[: len(expected)], expected, atol=1e-5)
