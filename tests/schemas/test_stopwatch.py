import time
from threading import Thread

from hypothesis import given
from hypothesis import strategies as st

from schemas.stopwatch import Stopwatch


def test_a_steps_time_is_without_the_steps_inside_it():
    clock = Stopwatch()
    with clock.step("outer"):
        time.sleep(0.02)
        with clock.step("inner"):
            time.sleep(0.05)
        clock.timed("inner", time.sleep)(0.05)
    seconds = clock.take()
    assert 0.1 <= seconds["inner"] < 0.2
    assert 0.02 <= seconds["outer"] < 0.08
    assert clock.take() == {}


def test_threads_do_not_take_time_from_each_other():
    clock = Stopwatch()

    def work():
        with clock.step("thread"):
            time.sleep(0.05)

    with clock.step("main"):
        threads = [Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    seconds = clock.take()
    assert seconds["thread"] >= 0.15
    assert seconds["main"] >= 0.05


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 100))))
def test_what_workers_counted_adds_up(parts):
    clock = Stopwatch()
    for part in parts:
        clock.add(part)
    sums = {name: sum(part.get(name, 0) for part in parts) for name in "abc"}
    assert {name: spent for name, spent in clock.take().items() if spent} == {
        name: spent for name, spent in sums.items() if spent
    }
