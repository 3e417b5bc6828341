"""Faults of the machine: full and read-only disks, jumping clocks, lost workers, two runs."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos.scene import (
    FINISHED,
    NAME,
    Compared,
    Ended,
    Results,
    Scene,
    ended,
    reached,
)

DISK_MIB = 80
STOPPED = 1
ATTEMPTS = 5
YEARS_S = 10 * 365 * 86400
CLOCK = """
import random, sys, time

real, chance = time.time, random.Random({seed})

def jumped():
    return real() + chance.uniform(-1e9, 1e9)

time.time, time.time_ns = jumped, lambda: int(jumped() * 1e9)
if __name__ == "__main__":
    from flows.cli import main
    main(sys.argv[1:])
"""


@dataclass(frozen=True)
class Fault:
    """What a fault did.

    Attributes:
        name: The fault, and how it was made.
        survived: The run stopped with one message or went on, and the rerun is byte-identical.
        told: What was seen otherwise.
    """

    name: str
    survived: bool
    told: str = ""


@dataclass(frozen=True)
class Stand:
    """What each fault needs.

    Attributes:
        scene: The dataset.
        whole: Results of an uninterrupted run.
        rng: Decides all chance.
        after: Sums of the comparisons.
    """

    scene: Scene
    whole: Results
    rng: random.Random
    after: Compared

    def judge(self, fault: str, name: str, end: Ended, expected: bool, **how: object) -> Fault:
        """Runs again after a fault and compares with an uninterrupted run."""
        again = self.scene.finish(name, **how)
        if again.code not in FINISHED:
            return Fault(fault, False, f"rerun: exit {again.code}: {again.errors[-600:]}")
        same = self.after.add(self.scene.results(name), self.whole)
        told = "" if expected and end.is_clean else f"exit {end.code}: {end.errors[-600:]}"
        return Fault(fault, expected and end.is_clean and same, told or ("" if same else "differs"))


def two_at_once(stand: Stand, number: int) -> Fault:
    """Starts two runs of the same dataset within a second."""
    name = f"twins-{number}"
    first = stand.scene.start(name)
    time.sleep(stand.rng.uniform(0, 1))
    second = stand.scene.start(name)
    ends = [ended(first), ended(second)]
    fine = all(end.code in FINISHED and end.is_clean for end in ends)
    same = stand.after.add(stand.scene.results(name), stand.whole) if fine else False
    told = "" if fine else " | ".join(f"exit {end.code}: {end.errors[-400:]}" for end in ends)
    return Fault("two runs at once", fine and same, told)


def file_limit(stand: Stand, number: int) -> Fault:
    """Lets no file grow beyond a random size: writes fail as on a full disk."""
    name, limit = f"limit-{number}", stand.rng.choice((3_000, 20_000, 60_000))

    def prepare() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    end = stand.scene.finish(name, before=prepare)
    expected = end.code == STOPPED and "error: cannot write" in end.errors
    return stand.judge(f"disk full (RLIMIT_FSIZE, {limit} bytes)", name, end, expected)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mounts a small disk in memory; false where that is not allowed here."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)


def full_disk(stand: Stand, number: int) -> Fault | None:
    """Fills a small disk while a run works; none where no disk can be mounted."""
    name, left = f"full-{number}", stand.rng.choice((0, 4_096, 40_000))
    folder = stand.scene.folder / name
    with small_disk(folder) as mounted:
        if not mounted:
            return None
        process = stand.scene.start(name)
        reached(stand.scene, name, "measure", process)
        time.sleep(stand.rng.uniform(0, 2))
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(folder).free
            (folder / "ballast").write_bytes(bytes(max(0, free - left)))
        end = ended(process)
        (folder / "ballast").unlink(missing_ok=True)
        stopped = end.code == STOPPED and "No space left" in end.errors
        expected = stopped or end.code in FINISHED  # it may have been quicker
        return stand.judge(f"disk full (tmpfs, {left} bytes left)", name, end, expected)


def read_only(stand: Stand, number: int) -> Fault:
    """Starts on an output folder that cannot be written."""
    name = f"read-only-{number}"
    folder = stand.scene.folder / name
    with small_disk(folder) as mounted:
        if mounted:
            (folder / NAME).mkdir()
            _remount(folder, "ro")
        else:
            folder.chmod(0o555)
        end = stand.scene.finish(name)
        _remount(folder, "rw") if mounted else folder.chmod(0o755)
        expected = end.code == STOPPED and "error: cannot write" in end.errors
        how = "tmpfs mounted ro" if mounted else "mode 0555"
        return stand.judge(f"read-only output ({how})", name, end, expected)


def _remount(folder: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)


def clock_jump(stand: Stand, number: int) -> Fault:
    """Runs under a clock that jumps by decades, then moves the times of all files, inputs too."""
    name = f"clock-{number}"
    program = stand.scene.folder / f"{name}.py"
    program.write_text(CLOCK.format(seed=stand.rng.randrange(2**32)))
    end = stand.scene.finish(name, program=(str(program),))
    for place in (stand.scene.run_of_files(name), stand.scene.source):
        for path in place.rglob("*"):
            moment = time.time() + stand.rng.uniform(-YEARS_S, YEARS_S)
            os.utime(path, (moment, moment))
    again = stand.scene.finish(name)
    nothing = "0 units of work done now" in again.out
    return stand.judge("clock jumps, times of files moved", name, end,
                       end.code in FINISHED and nothing)  # fmt: skip


def lost_worker(stand: Stand, number: int) -> Fault | None:
    """Kills one worker while it measures, as the kernel does when memory runs out.

    None where each of a few runs ended before a worker was met.
    """
    for attempt in range(ATTEMPTS):
        name = f"worker-{number}-{attempt}"
        process = stand.scene.start(name)
        reached(stand.scene, name, "measure", process)
        time.sleep(stand.rng.uniform(0, 2))
        killed = _kill_one(_workers(process.pid), stand.rng)
        end = ended(process)
        if killed:
            return stand.judge("worker killed (SIGKILL)", name, end, end.code in FINISHED)
    return None


def _kill_one(workers: list[int], rng: random.Random) -> bool:
    """Kills one of some processes; false where none is left."""
    with contextlib.suppress(ProcessLookupError):
        if workers:
            os.kill(rng.choice(workers), signal.SIGKILL)
            return True
    return False


def _workers(parent: int) -> list[int]:
    """Gives the worker processes of a process."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            above = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if above == parent and b"spawn_main" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return found


FAULTS: tuple[Callable[[Stand, int], Fault | None], ...] = (
    two_at_once, file_limit, full_disk, read_only, clock_jump, lost_worker,
)  # fmt: skip
