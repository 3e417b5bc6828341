"""kill -9, Ctrl-C and SIGTERM at random moments of every stage, then the same command again."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.chaos.scene import (
    FINISHED,
    STAGES,
    Compared,
    Results,
    Scene,
    ended,
    strike,
)

INTERRUPTED = 130
LONGEST_CHAIN = 3
AIMS = STAGES[:-1]
STARTUP_S = 0.5
"""The interpreter's own start: what it answers before our first line is not ours to decide."""


@dataclass
class Kills:
    """What kills and interrupts did.

    Attributes:
        stages: Kills by the stage that they fell into, told from the files.
        after: Comparison of what the reruns left with an uninterrupted run.
        failed: Reruns that did not come to their end.
        interrupts: Signals sent.
        unclean: Signals that were answered with a traceback or another exit code than 130.
        told: What was seen of those.
    """

    stages: Counter[str] = field(default_factory=Counter)
    after: Compared = field(default_factory=Compared)
    failed: int = 0
    interrupts: int = 0
    unclean: int = 0
    told: list[str] = field(default_factory=list)


def kill_at_random(
    scene: Scene, whole: Results, kills: int, rng: random.Random, progress: Callable[[int], None]
) -> Kills:
    """Kills runs until so many kills met a living one; each chain of up to three ends in a rerun.

    A kill takes the parent alone or the whole process group. The next run starts at once, also
    while workers of the last one still end.
    """
    found = Kills()
    chain = 0
    while found.stages.total() < kills:
        name, chain = f"killed-{chain}", chain + 1
        aims = sorted(rng.choices(AIMS, k=rng.randint(1, LONGEST_CHAIN)), key=AIMS.index)
        for aim in aims[: kills - found.stages.total()]:
            process = scene.start(name)
            stage = strike(scene, name, aim, process, rng)
            _kill(process.pid, group=rng.random() < 0.5)
            process.communicate()
            if stage:
                found.stages[stage] += 1
                progress(found.stages.total())
        _rerun(scene, name, whole, found)
    return found


def interrupt_at_random(
    scene: Scene,
    whole: Results,
    interrupts: int,
    rng: random.Random,
    found: Kills,
    progress: Callable[[int], None],
) -> None:
    """Sends SIGINT to the group, as a terminal does, or SIGTERM to the parent; then runs again."""
    tries = 0
    while found.interrupts < interrupts and tries < 3 * interrupts:
        name, tries = f"interrupted-{tries}", tries + 1
        aim = AIMS[tries % len(AIMS)]
        process = scene.start(name)
        if aim == "start":
            time.sleep(STARTUP_S)
        stage = strike(scene, name, aim, process, rng)
        number = rng.choice((signal.SIGINT, signal.SIGTERM))
        if stage:
            _send(process.pid, number)
        end = ended(process)
        if not stage or (end.code in FINISHED and end.is_clean):
            continue  # it was at its end
        found.interrupts += 1
        progress(found.interrupts)
        if end.code != INTERRUPTED or not end.is_clean or "goes on from here" not in end.errors:
            found.unclean += 1
            found.told.append(f"{number.name} in {stage}: exit {end.code}: {end.errors[-800:]}")
        _rerun(scene, name, whole, found)


def _send(process: int, number: signal.Signals) -> None:
    if number == signal.SIGINT:
        os.killpg(process, number)
    else:
        os.kill(process, number)


def _kill(process: int, group: bool) -> None:
    """Kills a process that may have ended, or all of its group."""
    try:
        (os.killpg if group else os.kill)(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def _rerun(scene: Scene, name: str, whole: Results, found: Kills) -> None:
    end = scene.finish(name)
    if end.code in FINISHED and end.is_clean:
        found.after.add(scene.results(name), whole)
    else:
        found.failed += 1
        found.told.append(f"rerun of {name}: exit {end.code}: {end.errors[-800:]}")
