import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from model.order import Order, share

GROUPS = st.lists(st.integers(1, 30), min_size=1, max_size=8).map(
    lambda sizes: tuple(k for k, size in enumerate(sizes) for _ in range(size))
)


@given(GROUPS, st.integers(0, 5), st.integers(1, 9), st.integers(1, 40))
def test_each_epoch_holds_each_sample_once(groups, seed, window, size):
    order = Order(groups, seed, window)
    count = 2 * len(groups)
    stream = [place for step in range(-(-3 * count // size)) for place in order.batch(step, size)]
    for epoch in range(3):
        seen = [number for at, number in stream[: 3 * count] if at == epoch]
        assert sorted(seen) == list(range(count))


@given(GROUPS, st.integers(0, 20))
def test_any_number_of_ranks_sees_the_same_batch(groups, step):
    order = Order(groups, 1, 3)
    batch = order.batch(step, 16)
    for ranks in (1, 2, 4, 8):
        for micro in (1, 3, 16):
            pieces = [p for rank in range(ranks) for p in share(batch, rank, ranks, micro)]
            assert max(map(len, pieces)) <= micro
            assert sorted(place for piece in pieces for place in piece) == sorted(batch)


def test_each_rank_sees_both_sides():
    batch = Order((0,) * 40, 1, 1).batch(0, 16)
    for ranks in (1, 2, 4, 8):
        for rank in range(ranks):
            [piece] = share(batch, rank, ranks, 16)
            sides = [number % 2 for _, number in piece]
            assert sides.count(0) == sides.count(1)


def test_rows_come_from_few_groups_at_a_time_but_shuffled():
    groups = tuple(np.repeat(np.arange(20), 100).tolist())
    order = Order(groups, 0, 4)
    rows = order.epoch(0)[::2] // 2
    assert all(len({groups[r] for r in rows[k : k + 400]}) == 4 for k in range(0, 2000, 400))
    assert len({groups[r] for r in rows[:40]}) == 4
    assert not np.array_equal(order.epoch(0), order.epoch(1))
    assert not np.array_equal(order.epoch(0), Order(groups, 1, 4).epoch(0))


def test_both_sides_of_a_row_follow_each_other():
    numbers = Order((0,) * 9, 0, 1).epoch(0)
    assert (numbers[1::2] == numbers[::2] + 1).all()


def test_workers_give_the_same_samples(samples):
    places = [samples.order().batch(step, 3) for step in range(3)]

    def read(workers):
        loader = DataLoader(
            samples, batch_sampler=places, collate_fn=list, num_workers=workers,
            multiprocessing_context="spawn" if workers else None,
        )  # fmt: skip
        return [
            (one.views[0].id, one.views[0].side, [asked.question for asked, _ in one.questions])
            for batch in loader
            for one in batch
        ]

    assert read(2) == read(0)
