import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.pool import Workers
from schemas.errors import FacextError


def begin(settings: Path) -> None:
    os.chdir(settings)


def work(item: int) -> int:
    """Leaves a file; item 3 kills its worker, item 5 raises."""
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if item == 5:
        raise ValueError("item 5")
    with Path(str(item)).open("a") as file:
        file.write(f"{os.getpid()}\n")
    return item


def test_an_item_that_kills_its_worker_costs_that_item_alone(tmp_path):
    died = []
    done = []
    items = [0, 1, 2, 3, 4, 6, 7, *range(10, 30)]
    Workers(work, begin, tmp_path, 2).run(items, done.append, lambda item: died.append(item) or 3)
    assert died == [3]
    assert sorted(done) == sorted(items)
    assert {path.name for path in tmp_path.iterdir()} == {str(item) for item in items} - {"3"}
    workers = {pid for path in tmp_path.iterdir() for pid in path.read_text().split()}
    assert len(workers) <= 2 + 3 + 2  # the others go on together, each suspect had one of its own


def work_each(group: tuple[int, ...]) -> list[int]:
    return [work(item) for item in group]


def test_of_a_group_that_kills_its_worker_one_item_is_lost(tmp_path):
    done, died = [], []
    groups = [(0, 1), (2, 3, 4), (6, 7)]
    Workers(work_each, begin, tmp_path, 2).run(
        groups, done.extend, lambda group: died.append(group) or [3],
        parts=lambda group: [(item,) for item in group],
    )  # fmt: skip
    assert died == [(3,)]
    assert sorted(done) == [0, 1, 2, 3, 4, 6, 7]


def test_an_error_of_the_work_comes_through(tmp_path):
    with pytest.raises(ValueError, match="item 5"):
        Workers(work, begin, tmp_path, 1).run([0, 5], lambda item: None, lambda item: None)


def lacking(settings: Path) -> None:
    raise ImportError("no such library")


def test_a_worker_that_cannot_start_is_an_error_and_no_dead_item(tmp_path):
    with pytest.raises(FacextError, match="could not start: ImportError: no such library"):
        Workers(work, lacking, tmp_path, 2).run([0, 1, 2], pytest.fail, pytest.fail)


def test_no_item_means_no_process(tmp_path):
    Workers(work, begin, tmp_path / "nowhere", 2).run([], pytest.fail, pytest.fail)


SCRIPT = """
import os, sys, time
from pathlib import Path
from flows.pool import Workers

def begin(folder):
    (Path(folder) / f"{os.getpid()}.pid").touch()

def work(item):
    time.sleep(60)

if __name__ == "__main__":
    Workers(work, begin, sys.argv[1], 2).run([1, 2, 3], print, print)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_their_parent(tmp_path, end):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    parent = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("*.pid"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    workers = [int(path.stem) for path in tmp_path.glob("*.pid")]
    assert len(workers) == 2
    parent.send_signal(end)
    parent.wait(20)
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, workers))


def alive(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().split(")")[1].split()[0]
    except OSError:
        return False
