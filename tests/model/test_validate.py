from types import SimpleNamespace

import pytest
import torch

from model.validate import validate


def rank(number, ranks):
    return SimpleNamespace(
        process_index=number, num_processes=ranks, device=torch.device("cpu"),
        reduce=lambda values, reduction: values,
    )  # fmt: skip


def test_a_rank_without_a_sample_takes_part_and_counts_nothing(model, samples):
    rows = model.config.train.validate_rows
    idle = validate(model.network, samples, model, rank(2 * rows, 2 * rows + 1))
    assert idle["loss"] == 0
    busy = [validate(model.network, samples, model, rank(k, 2 * rows)) for k in range(2 * rows)]
    alone = validate(model.network, samples, model, rank(0, 1))
    assert alone["det"] == pytest.approx(sum(one["det"] for one in busy) / len(busy), rel=1e-5)
