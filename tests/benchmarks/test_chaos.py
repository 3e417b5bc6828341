"""A small version of `facext bench chaos`: real processes, kills, signals and damaged videos."""

import random
import subprocess
from types import SimpleNamespace

import pytest

from benchmarks.chaos import bench
from benchmarks.chaos.damage import KINDS
from benchmarks.chaos.faults import ATTEMPTS, Stand, lost_worker, two_at_once
from benchmarks.chaos.scene import Compared, Results


@pytest.fixture(scope="module")
def found():
    faults = (two_at_once,)
    return bench.run(seed=1, kills=2, interrupts=1, inputs=30, rounds=1, faults=faults)


def test_kills_and_interrupts_lose_and_double_nothing(found):
    assert (found["kills"], found["interrupts"]) == (2, 1)
    assert found["runs_compared"] >= 4
    zero = ("rows_lost", "rows_doubled", "different", "reruns_failed", "temporaries_left",
            "interrupts_unclean", "faults_failed")  # fmt: skip
    assert {name: found[name] for name in zero} == dict.fromkeys(zero, 0), found["told"]
    assert found["identical"]


def test_damaged_inputs_crash_nothing(found):
    assert found["crashes"] == 0, found["told"]
    rejected = sum(found["damaged_rejects"].values())
    assert rejected + found["damaged_but_readable"] == found["damaged_inputs"] == 30
    assert rejected >= 20


def test_the_table_tells_goals_that_were_missed(found):
    told = "\n".join(bench.lines(found | {"rows_lost": 4}))
    assert "rows lost                                    4     <= 0  not met" in told
    assert "rows doubled                                 0     <= 0" in told


def test_a_lost_a_doubled_and_a_changed_row_are_each_counted():
    whole = Results(["a", "b"], {"x": b"1"}, 0)
    sums = Compared()
    assert sums.add(whole, whole)
    assert not sums.add(Results(["a"], {"x": b"2"}, 1), whole)
    assert not sums.add(Results(["a", "b", "b"], {"x": b"3"}, 0), whole)
    assert (sums.runs, sums.lost, sums.doubled, sums.different, sums.temporaries) == (3, 1, 1, 2, 1)


class AtOnce(random.Random):
    """Chance that never waits."""

    def uniform(self, low, high):
        return low


def test_a_fault_that_met_no_worker_was_not_survived_but_not_played():
    started = []

    def start(name):
        started.append(name)
        return subprocess.Popen(["true"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    scene = SimpleNamespace(start=start, stage=lambda name: "start")
    assert lost_worker(Stand(scene, None, AtOnce(1), Compared()), 0) is None
    assert len(set(started)) == ATTEMPTS


def boxes(rng):
    """Boxes as those of an MP4 file."""
    for kind in (b"ftyp", b"free", b"moov", b"mdat"):
        content = rng.randbytes(rng.randrange(200, 2000))
        yield (8 + len(content)).to_bytes(4, "big") + kind + content


@pytest.mark.parametrize("damage", KINDS)
def test_damage_is_damage_and_the_same_for_the_same_seed(damage):
    whole, other = (b"".join(boxes(random.Random(n))) for n in (1, 2))
    made = [damage(whole, other, random.Random(seed)) for seed in range(20)]
    assert made == [damage(whole, other, random.Random(seed)) for seed in range(20)]
    assert sum(one != whole for one in made) >= 17
