import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from model import checkpoint
from model import encoder as encoders
from model.checkpoint import load_model
from model.config import EncoderConfig
from model.encoder import ClipEncoder, convert_openai, read_openai
from model.fifa import FifaMLLM
from model.network import FifaNetwork
from model.start import make_model, train
from schemas.errors import UsageError

ARCHITECTURE = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2,
    "patch_size": 8,
}  # fmt: skip


class QuickGelu(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    """A block as OpenAI-CLIP and FaRL name and compute it."""

    def __init__(self, width):
        super().__init__()
        self.attn = nn.MultiheadAttention(width, width // 64)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, 4 * width))
        self.mlp.add_module("gelu", QuickGelu())
        self.mlp.add_module("c_proj", nn.Linear(4 * width, width))

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class OpenAiVit(nn.Module):
    def __init__(self, width=128, patch=8, cells=4, layers=3):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width))
        self.positional_embedding = nn.Parameter(torch.randn(cells**2 + 1, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.Sequential(*(Block(width) for _ in range(layers)))
        self.proj = nn.Parameter(torch.randn(width, 32))

    def forward(self, x):
        x = self.conv1(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], dim=1)
        x = self.ln_pre(x + self.positional_embedding).transpose(0, 1)
        return self.transformer.resblocks(x).transpose(0, 1)


@torch.no_grad()
def test_a_farl_checkpoint_gives_the_same_states(tmp_path):
    torch.manual_seed(0)
    ours = OpenAiVit().eval()
    for parameter in ours.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    state = {f"visual.{name}": value for name, value in ours.state_dict().items()}
    path = tmp_path / "FaRL.pth"
    torch.save({"state_dict": state | {"logit_scale": torch.ones(())}}, path)
    converted = read_openai(path).eval()
    images = torch.randn(2, 3, 32, 32)
    found = converted(images).last_hidden_state
    assert torch.allclose(found, ours(images), atol=1e-4, rtol=1e-4)
    loaded = ClipEncoder(EncoderConfig(path=str(path), layers=(1, 3)), 64)
    assert loaded(torch.rand(1, 3, 64, 64))[-1].shape == (1, 2 * 128, 8, 8)


def test_a_file_that_is_no_checkpoint_is_named(tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(b"nothing")
    with pytest.raises(UsageError, match="no plain checkpoint"):
        read_openai(path)
    torch.save({"other.weight": torch.ones(1)}, path)
    with pytest.raises(UsageError, match="no vision transformer"):
        read_openai(path)
    with pytest.raises(UsageError, match=r"encoder\.path: there is no"):
        ClipEncoder(EncoderConfig(path=str(tmp_path / "missing")), 64)


def test_every_weight_is_used():
    visual = OpenAiVit().state_dict()
    with pytest.raises(RuntimeError, match="Missing key"):
        convert_openai({k: v for k, v in visual.items() if "in_proj_bias" not in k})


@pytest.mark.parametrize("detail", [0, 8])
def test_maps_are_as_announced(detail):
    config = EncoderConfig(architecture=ARCHITECTURE, layers=(1, 2), detail=detail)
    encoder = ClipEncoder(config, 48)
    maps = encoder(torch.rand(2, 3, 48, 48))
    announced = zip(encoder.channels, encoder.strides, strict=True)
    assert [m.shape[1:] for m in maps] == [(c, 48 // s, 48 // s) for c, s in announced]


@pytest.mark.parametrize(
    ("changes", "size", "message"),
    [({"layers": (3,)}, 48, "the encoder has 2"), ({"layers": (1,)}, 50, "no multiple")],
)
def test_what_does_not_fit_is_named(changes, size, message):
    with pytest.raises(UsageError, match=message):
        ClipEncoder(EncoderConfig(architecture=ARCHITECTURE, **changes), size)


class Convolutions(nn.Module):
    """An encoder of another kind: two feature maps of a few convolutions."""

    channels, strides = (6, 12), (4, 16)

    def __init__(self, config, image_size):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 4, stride=4)
        self.second = nn.Conv2d(6, 12, 4, stride=4)

    def forward(self, images):
        fine = self.first(images)
        return fine, self.second(fine)


def test_another_encoder_fits_into_the_slot(monkeypatch, small, model, shards):
    from model.answer import Prompt

    monkeypatch.setitem(encoders.ENCODERS, "convolutions", Convolutions)
    config = small(network__encoder={"kind": "convolutions"}, network__shuffle=1)
    network = FifaNetwork(config.network, model.vocabulary, shards.categories)
    other = FifaMLLM(network, model.vocabulary, shards.categories, config)
    image = torch.randint(0, 255, (3, 60, 60), dtype=torch.uint8)
    assert len(other.answer(image, [Prompt("Real?"), Prompt("<region>?", None, 5)])) == 2
    assert other.see(image).artifact.shape == (60, 60)


class Normed(Convolutions):
    """The same with running means, which no gradient teaches."""

    def __init__(self, config, image_size):
        super().__init__(config, image_size)
        self.norm = nn.BatchNorm2d(12)
        self.register_buffer("scratch", torch.zeros(1), persistent=False)

    def forward(self, images):
        fine, coarse = super().forward(images)
        return fine, self.norm(coarse)


def test_running_means_of_an_encoder_are_kept(monkeypatch, small, folder, shards, tmp_path):
    monkeypatch.setitem(encoders.ENCODERS, "normed", Normed)
    config = small(network__encoder={"kind": "normed"}, network__shuffle=1, train__steps=2)
    made = []
    monkeypatch.setattr(
        "model.start.make_model", lambda *args: made.append(make_model(*args)) or made[-1]
    )
    train(config, folder, tmp_path)
    trained = made[0].network.encoder.norm.running_mean
    assert trained.abs().min() > 0
    folder_of = tmp_path / "step-00000002"
    assert torch.equal(load_model(tmp_path).network.encoder.norm.running_mean, trained)
    weights = load_file(folder_of / checkpoint.WEIGHTS)
    assert [name for name in weights if name.startswith("encoder.norm.running")]
    assert "encoder.scratch" not in weights
    bare = {name: value for name, value in weights.items() if "running" not in name}
    save_file(bare, folder_of / checkpoint.WEIGHTS)  # as older checkpoints were
    assert load_model(tmp_path).network.encoder.norm.running_mean.abs().max() == 0


def test_an_unknown_encoder_is_named(small, model, shards):
    config = small(network__encoder={"kind": "klip"})
    with pytest.raises(UsageError, match=r"no 'klip' \(did you mean 'clip'\?\)"):
        FifaNetwork(config.network, model.vocabulary, shards.categories)


@pytest.fixture
def pretrained(tmp_path):
    torch.manual_seed(0)
    CLIPVisionModel(CLIPVisionConfig(image_size=48, **ARCHITECTURE)).save_pretrained(tmp_path)
    return str(tmp_path)


@torch.no_grad()
def test_convolutions_beside_a_pretrained_encoder_change_nothing_at_first(pretrained):
    images = torch.rand(2, 3, 48, 48)
    alone = ClipEncoder(EncoderConfig(path=pretrained, layers=(1, 2)), 48)(images)[-1]
    both = ClipEncoder(EncoderConfig(path=pretrained, layers=(1, 2), detail=8), 48)
    assert torch.equal(both(images)[-1], alone)
    assert both(images)[0].std() > 0.1  # their own maps are there


def test_only_the_transformer_is_frozen_or_slow(pretrained, small, shards, tmp_path):
    from model.descent import make_optimizer

    changes = {"path": pretrained, "layers": (1, 2), "detail": 8}
    config = small(network__encoder=changes | {"frozen": True})
    frozen = make_model(config, shards, tmp_path / "none").network.encoder
    learns = {name for name, value in frozen.named_parameters() if value.requires_grad}
    assert learns == {n for n, _ in frozen.named_parameters() if not n.startswith("vit.")}
    assert any(name.startswith("detail.") for name in learns)
    config = small(network__encoder=changes, train__encoder_lr=0.1)
    network = make_model(config, shards, tmp_path / "none").network
    groups = make_optimizer(network, config.train).param_groups
    slow = {id(one) for group in groups for one in group["params"] if group["share"] == 0.1}
    assert slow == {id(one) for one in network.encoder.vit.parameters()}
