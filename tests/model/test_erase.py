"""Rectangles laid over samples: where, and that both sides of a frame get the same."""

import numpy as np
import torch

from model.data import soft_mask
from model.samples import SIDES
from tests.model.conftest import of


def covered(plain, erased):
    return (plain.image != erased.image).any(dim=0)


def test_rectangles_cover_the_same_of_both_sides_and_nothing_that_was_changed(samples):
    some, plain = of(samples, erase=1.0), of(samples, erase=0.0)
    areas = []
    for index in range(len(samples.shards)):
        mask = samples.shards.row(index)["artifact"]["segmentation"]
        changed = soft_mask(mask, samples.size) > 0
        sides = []
        for number in range(index * len(SIDES), (index + 1) * len(SIDES)):
            before, after = plain[(0, number)].views[0], some[(0, number)].views[0]
            here = covered(before, after)
            assert not (here & changed).any()
            assert len(torch.unique(after.image[:, here], dim=1).T) <= 6
            assert torch.equal(before.artifact, after.artifact)
            told = (after.shift != 0).any(dim=0)
            assert not (told & here).any()
            assert torch.equal(before.shift[:, told], after.shift[:, told])
            sides.append((here, after.image[:, here]))
        (ours, one), (theirs, other) = sides
        both = ours & theirs  # a pixel may have had the rectangle's colour before
        assert (ours ^ theirs).float().mean() < 0.01
        assert both.any() == bool(len(one.T) and len(other.T))
        areas.append(float(both.float().mean()))
    assert np.mean(areas) > 0.1


def test_both_sides_get_the_same_colours(samples):
    some = of(samples, erase=1.0)
    for row in range(len(samples.shards)):
        real, fake = (some[(0, 2 * row + k)].views[0] for k in range(2))
        plain = of(samples, erase=0.0)[(0, 2 * row)].views[0]
        here = covered(plain, real)
        assert torch.equal(real.image[:, here], fake.image[:, here])


def test_so_many_samples_get_rectangles_and_epochs_differ(samples):
    half, plain = of(samples, erase=0.5), of(samples, erase=0.0)
    laid = [
        bool(covered(plain[(epoch, n)].views[0], half[(epoch, n)].views[0]).any())
        for epoch in range(20)
        for n in range(len(plain))
    ]
    assert 0.3 < np.mean(laid) < 0.6
    whole = of(samples, erase=1.0)
    first, second = (whole[(epoch, 0)].views[0].image for epoch in range(2))
    assert not torch.equal(first, second)


def test_all_frames_of_a_clip_get_the_same(samples):
    clips, plain = (of(samples, erase=share, frames=3) for share in (1.0, 0.0))
    for number in range(0, len(clips), 2):
        before, after = plain[(0, number)].views, clips[(0, number)].views
        covers = [covered(one, other) for one, other in zip(before, after, strict=True)]
        for cover in covers[1:]:
            assert (cover ^ covers[0]).float().mean() < 0.02
