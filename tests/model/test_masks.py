import pytest
import torch

from model.losses import bce_sum, dice_sum, iou_sum
from model.masks import DECODERS, Neck, both, sines


@pytest.mark.parametrize("name", ["query", "sam"])
def test_decoders_give_a_mask_for_each_state(name):
    torch.manual_seed(0)
    decoder = DECODERS[name](32, 20)
    maps = torch.randn(2, 32, 6, 6), torch.randn(2, 32, 12, 12), torch.randn(2, 16, 24, 24)
    states, frames = torch.randn(3, 20, requires_grad=True), torch.tensor([0, 1, 1])
    masks = decoder(states, frames, *maps)
    assert masks.shape == (3, 24, 24)
    masks[1].sum().backward()
    assert [bool(g.any()) for g in states.grad] == [False, True, False]
    alone = decoder(states[2:], frames[2:], *maps)
    assert torch.allclose(alone[0], masks[2], atol=1e-5)
    unused = [n for n, p in decoder.named_parameters() if p.requires_grad and p.grad is None]
    assert not unused  # DDP would wait for them


def test_the_neck_goes_down_to_the_finest_map():
    fine = Neck((8, 12, 32), (2, 4, 16), 16)
    grid, pixels, finest = fine([torch.randn(1, 8, 32, 32), torch.randn(1, 12, 16, 16),
                         torch.randn(1, 32, 4, 4)])  # fmt: skip
    assert (grid.shape, pixels.shape) == ((1, 16, 4, 4), (1, 16, 32, 32))
    assert finest.shape == (1, 8, 64, 64)
    alone = Neck((32,), (16,), 16)
    assert alone([torch.randn(1, 32, 4, 4)])[1].shape == (1, 16, 16, 16)


def test_each_cell_has_a_place_of_its_own():
    places = sines(torch.zeros(1, 16, 12, 12))[0]
    distances = torch.cdist(places, places) + 10 * torch.eye(144)
    assert float(distances.min()) > 0.05


def test_losses_want_the_truth():
    truth = torch.zeros(2, 8, 8)
    truth[0, 2:5, 1:6] = 1
    right, wrong = 20 * (2 * truth - 1), -20 * (2 * truth - 1)
    assert float(bce_sum(right, truth)) < 1e-6 < float(bce_sum(wrong, truth))
    assert float(dice_sum(right, truth)) < 1e-5
    assert float(dice_sum(wrong, truth)) > 1.9
    assert float(iou_sum(right, truth)) == 2.0  # the empty one was answered by nothing
    assert float(iou_sum(wrong, truth)) == 0.0


def test_a_mask_is_what_was_changed_and_where_the_text_points():
    one, other = torch.randn(50, dtype=torch.float64), torch.randn(50, dtype=torch.float64)
    assert torch.allclose(both(one, other).sigmoid(), one.sigmoid() * other.sigmoid())
    far = torch.tensor([200.0, -200.0])
    assert torch.isfinite(both(far, far.flip(0))).all()
