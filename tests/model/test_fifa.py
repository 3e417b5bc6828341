from collections import Counter

import pytest
import torch
from torch.nn import functional

from model.answer import Prompt
from model.batch import Collate, point
from model.data import Asked, View, soft
from model.fifa import MOST_MASKS, mask_at
from model.samples import Sample
from schemas.errors import UsageError

THREE = (
    "This face is fake. The <p>nose</p> [SEG] is darker. The <p>lips</p> [SEG] are redder, and "
    "the <p>chin</p> [SEG] is smoother."
)
QUESTION = "Explain the artifacts of this face."


def force(monkeypatch, model, answers):
    """Lets the model say given answers, token by token, whatever its weights want."""
    scripts = [
        [*model.vocabulary.encode("", answer, 0).ids[model.vocabulary.encode("", None, 0)
         .answer_from :]] for answer in answers
    ]  # fmt: skip
    turn = iter(range(10_000))

    def logits(states):
        at = next(turn)
        ids = [script[min(at, len(script) - 1)] for script in scripts]
        return functional.one_hot(torch.tensor(ids), len(model.vocabulary)).float()

    monkeypatch.setattr(model.network.language, "logits", logits)


@torch.no_grad()
def forced(model, monkeypatch, image, prompt, answer):
    """Gives the masks' logits as training reads an answer: a batch through the whole network."""
    size = model.size
    blank = torch.zeros(size, size)
    view = View(
        "a", "fake", model._pixels(image[None])[0], blank, blank.long(), torch.zeros(3, size, size)
    )
    query = None if prompt.query is None else soft(prompt.query.numpy(), size)
    asked = Asked(
        "R-AGE", prompt.question, answer, blank.expand(answer.count("[SEG]"), -1, -1), query,
        prompt.query_category_id,
    )  # fmt: skip
    encoded = model.vocabulary.encode(prompt.question, answer, model.network.image_tokens)
    batch = Collate(model.vocabulary)([Sample((view,), ((asked, encoded),), Counter())])
    found, decode = [], model.network.decode
    model.network.eval()
    with monkeypatch.context() as patch:
        patch.setattr(
            model.network, "decode", lambda *args: found.append(decode(*args)) or found[-1]
        )
        model.network(batch)
    return found[0]


def box_of(height, width):
    box = torch.zeros(height, width)
    box[13:51, 20:71] = 1
    return box


PROMPTS = {
    "plain": Prompt(QUESTION),
    "box": Prompt("What was changed in <box>?", box_of(90, 90)),
    "region": Prompt("What was changed of the nose <region>?", box_of(90, 90), 5),
    "node": Prompt("What was changed of the nose <region>?", None, 5),
}


@pytest.mark.parametrize("answer", ["No [SEG]", THREE], ids=["one", "three"])
@pytest.mark.parametrize("kind", PROMPTS)
def test_generated_masks_are_those_of_training_pixel_by_pixel(model, monkeypatch, kind, answer):
    torch.manual_seed(1)
    for part in (model.network.neck, model.network.masks.end):
        for parameter in part.parameters():
            torch.nn.init.normal_(parameter, std=0.5)  # masks with many borders
    torch.nn.init.constant_(model.network.heads.artifact.bias, 99.0)
    image = torch.randint(0, 255, (3, 90, 90), dtype=torch.uint8)
    model.config = model.config.model_copy(
        update={"network": model.config.network.model_copy(update={"max_new_tokens": 200})}
    )
    prompt = PROMPTS[kind]
    middle = forced(model, monkeypatch, image, prompt, answer).median()
    with torch.no_grad():
        model.network.masks.end[1].bias[-1] -= middle
    expected = mask_at(forced(model, monkeypatch, image, prompt, answer), (90, 90))
    force(monkeypatch, model, [answer, "real"])
    longer = Prompt("Which pixels, and where, and why were they changed?")  # padding in front
    said, _ = model.answer(image, [prompt, longer])
    assert said.text == answer
    assert said.masks.shape == (answer.count("[SEG]"), 90, 90)
    assert 0 < int(expected.sum()) < expected.numel()
    assert torch.equal(said.masks, expected)
    assert len({mask.numpy().tobytes() for mask in expected}) == len(expected)


def test_masks_are_scaled_one_by_one_and_are_bool(monkeypatch):
    logits = torch.randn(5, 12, 12)
    together = functional.interpolate(
        logits[:, None], (50, 40), mode="bilinear", align_corners=False
    )[:, 0] > 0  # fmt: skip
    counts, scale = [], functional.interpolate
    monkeypatch.setattr(
        functional, "interpolate", lambda x, *rest, **more: counts.append(len(x))
        or scale(x, *rest, **more),
    )  # fmt: skip
    masks = mask_at(logits, (50, 40))
    assert counts == [1] * 5  # floats of one mask at a time
    assert masks.dtype == torch.bool
    assert torch.equal(masks, together)
    assert mask_at(logits[:0], (50, 40)).shape == (0, 50, 40)


def test_an_answer_is_cut_behind_its_last_allowed_mask(model, monkeypatch):
    model.config = model.config.model_copy(
        update={"network": model.config.network.model_copy(update={"max_new_tokens": 150})}
    )
    force(monkeypatch, model, ["[SEG] " * (MOST_MASKS + 3), "real"])
    many, one = model.answer(torch.zeros(3, 48, 48, dtype=torch.uint8), [Prompt("q"), Prompt("?")])
    assert many.text.count("[SEG]") == len(many.masks) == MOST_MASKS
    assert many.text.endswith("[SEG]")
    assert (many.truncated, one.truncated, one.text) == (True, False, "real")


def test_no_answer_holds_what_would_be_read_as_a_place(model, monkeypatch):
    """An untrained model may want any token most; read again, `<box>` would stand for a query."""
    ids = [model.vocabulary.id_of[mark] for mark in ("[SEG]", "<box>", "<region>", "<image>")]
    wanted = torch.zeros(len(model.vocabulary))
    wanted[[*ids, model.vocabulary.pad_id]] = torch.arange(1.0, 6)  # padding most of all
    monkeypatch.setattr(model.network.language, "logits", lambda s: wanted.repeat(len(s), 1))
    box = torch.ones(48, 48)
    answers = model.answer(
        torch.zeros(3, 48, 48, dtype=torch.uint8), [Prompt("q"), Prompt("What of <box>?", box)]
    )
    limit = model.config.network.max_new_tokens
    assert [answer.text.count("[SEG]") for answer in answers] == [limit, limit]
    assert [answer.text.replace("[SEG]", "").strip() for answer in answers] == ["", ""]
    assert [len(answer.masks) for answer in answers] == [limit, limit]


def test_a_seg_at_the_length_limit_has_its_mask(model, monkeypatch):
    length = len(model.vocabulary.encode("", "a [SEG]", 0).ids) - len(
        model.vocabulary.encode("", None, 0).ids
    ) - 1  # fmt: skip
    model.config = model.config.model_copy(
        update={"network": model.config.network.model_copy(update={"max_new_tokens": length})}
    )
    force(monkeypatch, model, ["a [SEG] and more"])
    answer = model.answer(torch.zeros(3, 48, 48, dtype=torch.uint8), [Prompt("q")])[0]
    assert (answer.text, answer.truncated, len(answer.masks)) == ("a [SEG]", True, 1)


@torch.no_grad()
def test_answers_do_not_depend_on_what_else_is_asked(model):
    torch.manual_seed(1)
    for parameter in model.network.language.parameters():
        torch.nn.init.normal_(parameter, std=0.5)  # an untrained model would say one word
    image = torch.randint(0, 255, (3, 48, 48), dtype=torch.uint8)
    box = torch.zeros(48, 48)
    box[4:20, 10:30] = 1
    prompts = [
        Prompt("Is it real?"),
        Prompt("Explain what was changed inside <box> of this face, please.", box),
        Prompt("What of the nose <region>?", None, 5),
        Prompt("What of the nose <region>?", box > 0, 5),
    ]
    together = model.answer(image, prompts)
    assert [model.answer(image, [one])[0].text for one in prompts] == [a.text for a in together]
    assert len({answer.text for answer in together}) > 1


@torch.no_grad()
def test_where_a_query_points_changes_what_the_model_reads(model):
    from model.fifa import _pointed

    image = torch.randint(0, 255, (1, 3, 48, 48), dtype=torch.uint8)
    left, right = torch.zeros(48, 48), torch.zeros(48, 48)
    left[20, 5], right[20, 40] = 1, 1
    features = model.network.look(image)
    prompts = [Prompt("<region>", left), Prompt("<region>", right), Prompt("<region>", None, 3)]
    frame = torch.zeros(3, dtype=torch.long)
    tokens = model.network._point(_pointed(prompts, 48), frame, features)
    assert float(torch.pdist(tokens).min()) > 1e-3


@torch.no_grad()
def test_a_clip_is_read_frame_by_frame(model):
    clip = torch.randint(0, 255, (3, 3, 48, 48), dtype=torch.uint8)
    assert len(model.answer(clip, [Prompt("Is this clip real?")])) == 1
    model.network.frame.weight[1:] = torch.randn_like(model.network.frame.weight[1:])
    features = model.network.look(clip)
    ids = torch.tensor([model.vocabulary.encode("q", None, 3 * model.network.image_tokens).ids])
    nothing = point([], model.size)
    embeds = model.network.embed(ids, torch.tensor([0]), nothing, features, torch.tensor([3]))
    count = model.network.image_tokens
    for frame in range(3):
        expected = features.tokens_FND[frame] + model.network.frame.weight[frame]
        assert torch.allclose(embeds[0, frame * count : (frame + 1) * count], expected, atol=1e-6)


def test_what_is_seen_has_the_size_of_the_picture(model):
    seen = model.see(torch.randint(0, 255, (3, 70, 70), dtype=torch.uint8))
    assert 0 < seen.fake_probability < 1
    assert (seen.concepts.shape, seen.concepts.dtype) == ((70, 70), torch.uint8)
    assert 0 <= float(seen.artifact.min()) <= float(seen.artifact.max()) <= 1


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (Prompt("What of <region>?"), "a question with a query holds one"),
        (Prompt("What of it?", torch.ones(48, 48)), "a question with a query holds one"),
        (Prompt("<box>", torch.ones(20, 20)), r"query is \(20, 20\) pixels, the image \(48, 48\)"),
        (Prompt("<box>", torch.zeros(48, 48)), "points at no pixel"),
        (Prompt("<region>", None, 999), "no FICT node 999"),
        (Prompt("[SEG]"), r"may not hold \[SEG\]"),
    ],
)
def test_a_prompt_that_does_not_fit_is_refused(model, prompt, message):
    with pytest.raises(UsageError, match=message):
        model.answer(torch.zeros(3, 48, 48, dtype=torch.uint8), [prompt])


def test_no_prompts_give_no_answers(model):
    assert model.answer(torch.zeros(3, 48, 48, dtype=torch.uint8), []) == []


def test_losses_of_pieces_add_up_to_those_of_the_whole(model, samples):
    from model.losses import counts

    some: list[Sample] = [samples[(0, k)] for k in range(4)]
    collate = Collate(model.vocabulary)
    model.network.train()
    whole, pieces = collate(some), [collate(some[:1]), collate(some[1:])]
    summed = sum(model.network(piece).losses for piece in pieces)
    assert torch.equal(sum(map(counts, pieces)), counts(whole))
    assert torch.allclose(summed, model.network(whole).losses, rtol=1e-4, atol=1e-4)


def test_a_batch_without_a_mask_uses_every_parameter(model, samples):
    real = [samples[(0, k)] for k in range(0, 4, 2)]
    batch = Collate(model.vocabulary)(real)
    assert len(batch.masks_MSS) == 0
    found = model.network(batch)
    assert found.losses[1:3].tolist() == [0.0, 0.0]
    found.losses.sum().backward()
    assert not [n for n, p in model.network.named_parameters() if p.grad is None]


@torch.no_grad()
def test_a_mask_stays_where_the_question_points(model, monkeypatch):
    torch.nn.init.constant_(model.network.heads.artifact.bias, 9.0)
    model.network.trust.fill_(50.0)
    end = model.network.masks.end[1]
    torch.nn.init.zeros_(end.weight)
    end.bias.copy_(torch.nn.functional.one_hot(torch.tensor(len(end.bias) - 1), len(end.bias)) * 9)
    box = torch.zeros(48, 48)
    box[8:24, 16:40] = 1
    force(monkeypatch, model, ["There [SEG]", "There [SEG]"])
    prompts = [Prompt("Segment what was changed in <box>.", box), Prompt("Segment all.")]
    inside, whole = model.answer(torch.zeros(3, 48, 48, dtype=torch.uint8), prompts)
    assert torch.equal(inside.masks[0], box > 0)
    assert whole.masks.all()
