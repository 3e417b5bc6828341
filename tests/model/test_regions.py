import pytest
import torch

from model.regions import RegionPrompt, ancestry, weighted_mean

FICT = [
    {"id": 1, "name": "left iris", "supercategory": "left eye"},
    {"id": 2, "name": "left eye", "supercategory": "eyes"},
    {"id": 3, "name": "eyes", "supercategory": ""},
]


def test_a_node_is_the_sum_of_its_ancestors():
    above = ancestry(FICT)
    assert above[1].tolist() == [0, 1, 1, 1]
    assert above[3].tolist() == [0, 0, 0, 1]
    prompt = RegionPrompt(4, 8, above)
    blank = torch.zeros(3, 16, 16)
    zero = torch.zeros(3, dtype=torch.long)
    iris, eye, none = prompt(torch.zeros(3, 4, 8, 8), blank, zero, torch.tensor([1, 2, 0]))
    assert torch.allclose(iris - eye, prompt.concept.weight[1], atol=1e-6)
    assert torch.allclose(eye - none, prompt.concept.weight[2:].sum(0), atol=1e-6)


def test_pooling_weighs_by_area():
    pixels = torch.randn(1, 5, 4, 4)
    mask = torch.zeros(1, 4, 4)
    mask[0, 1, 2], mask[0, 3, 3] = 1.0, 0.25
    expected = (pixels[0, :, 1, 2] + 0.25 * pixels[0, :, 3, 3]) / 1.25
    assert torch.allclose(weighted_mean(pixels, mask)[0], expected, atol=1e-6)


def test_a_region_smaller_than_a_cell_still_tells_where_it_is():
    prompt = RegionPrompt(4, 8, ancestry(FICT))
    pixels = torch.randn(1, 4, 8, 8).expand(2, -1, -1, -1)
    mask = torch.zeros(2, 64, 64)
    mask[0, 3, 4] = mask[1, 60, 50] = 1
    zero = torch.zeros(2, dtype=torch.long)
    one, other = prompt(pixels, mask, zero, zero)
    assert not torch.allclose(one, other, atol=1e-3)
    small = torch.nn.functional.adaptive_avg_pool2d(mask, (8, 8))
    assert torch.allclose(weighted_mean(pixels, small)[0], pixels[0, :, 0, 0], atol=1e-5)
    assert float(small.sum()) == pytest.approx(2 / 64)  # no cell became full: the area is kept


def test_boxes_and_regions_differ_by_their_type():
    prompt = RegionPrompt(4, 8, ancestry(FICT))
    pixels, mask = torch.randn(1, 4, 8, 8).expand(2, -1, -1, -1), torch.ones(2, 16, 16)
    zero = torch.zeros(2, dtype=torch.long)
    region, box = prompt(pixels, mask, torch.tensor([0, 1]), zero)
    assert torch.allclose(box - region, prompt.kind.weight[1] - prompt.kind.weight[0], atol=1e-6)
