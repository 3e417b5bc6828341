"""The chaos bench: figures, goals and the table."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.chaos.damage import annotate_damaged, damaged_scene
from benchmarks.chaos.faults import FAULTS, Fault, Stand
from benchmarks.chaos.kills import Kills, interrupt_at_random, kill_at_random
from benchmarks.chaos.scene import FINISHED, Scene
from schemas.errors import FacextError
from schemas.provenance import source_hash

SEED, KILLS, INTERRUPTS, INPUTS, ROUNDS = 5, 50, 15, 500, 2
CODE = ("schemas", "fict", "sources", "annotators", "qa", "flows", "benchmarks/chaos")
Progress = Callable[[str, int, int], None]

GOALS: tuple[tuple[str, str, int, bool], ...] = (
    ("kills at random moments", "kills", KILLS, False),
    ("stages that were hit", "stages_hit", 5, False),
    ("rows lost", "rows_lost", 0, True),
    ("rows doubled", "rows_doubled", 0, True),
    ("runs whose shards differ", "different", 0, True),
    ("reruns that did not end", "reruns_failed", 0, True),
    ("temporary files left", "temporaries_left", 0, True),
    ("Ctrl-C and SIGTERM", "interrupts", INTERRUPTS, False),
    ("of them not answered cleanly", "interrupts_unclean", 0, True),
    ("damaged inputs", "damaged_inputs", INPUTS, False),
    ("crashes over them", "crashes", 0, True),
    ("faults of the machine not survived", "faults_failed", 0, True),
)
"""Name, key, bound, and whether the figure should be at most the bound."""


def run(
    seed: int = SEED,
    kills: int = KILLS,
    interrupts: int = INTERRUPTS,
    inputs: int = INPUTS,
    rounds: int = ROUNDS,
    progress: Progress = lambda stage, done, total: None,
    faults: Sequence[Callable[[Stand, int], Fault | None]] = FAULTS,
) -> dict[str, Any]:
    """Runs the bench.

    Args:
        seed: Decides moments, damage and signals.
        kills: Kills at random moments.
        interrupts: Signals at random moments.
        inputs: Damaged inputs.
        rounds: How often each fault of the machine is played.
        progress: Called as `(stage, done, total)`.
        faults: Faults of the machine.

    Returns:
        The figures.

    Raises:
        FacextError: The uninterrupted run failed.
    """
    rng, start = random.Random(seed), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="facext-chaos-") as folder:
        scene = Scene.forged(Path(folder))
        end = scene.finish("whole")
        if end.code not in FINISHED:
            raise FacextError(f"the uninterrupted run failed: {end.errors}")
        whole = scene.results("whole")
        found = kill_at_random(scene, whole, kills, rng, lambda n: progress("kills", n, kills))
        signals = lambda n: progress("signals", n, interrupts)  # noqa: E731
        interrupt_at_random(scene, whole, interrupts, rng, found, signals)
        stand = Stand(scene, whole, rng, found.after)
        played = _play(stand, faults, rounds, progress)
        broken = damaged_scene(scene.folder, scene.source, inputs, rng)
        damaged = annotate_damaged(broken, inputs, lambda n: progress("damage", n, inputs))
    figures = _figures(found, played)
    figures |= {
        "damaged_inputs": damaged.inputs,
        "crashes": damaged.crashes,
        "damaged_rejects": dict(sorted(damaged.reasons.items())),
        "damaged_but_readable": damaged.readable,
    }
    return figures | {
        "told": [*found.told, *_told(played), *damaged.told],
        "seed": seed,
        "seconds": round(time.monotonic() - start, 1),
        "code": source_hash(*CODE),
    }


def _play(
    stand: Stand,
    faults: Sequence[Callable[[Stand, int], Fault | None]],
    rounds: int,
    progress: Progress,
) -> list[Fault]:
    played: list[Fault] = []
    todo = [(fault, number) for number in range(rounds) for fault in faults]
    for done, (fault, number) in enumerate(todo, 1):
        outcome = fault(stand, number)
        if outcome is not None:
            played.append(outcome)
        progress("faults", done, len(todo))
    return played


def _told(played: Sequence[Fault]) -> list[str]:
    return [f"{one.name}: {one.told}" for one in played if one.told]


def _figures(found: Kills, played: Sequence[Fault]) -> dict[str, Any]:
    return {
        "kills": found.stages.total(),
        "kills_by_stage": dict(found.stages),
        "stages_hit": len(found.stages),
        "runs_compared": found.after.runs,
        "rows_lost": found.after.lost,
        "rows_doubled": found.after.doubled,
        "different": found.after.different,
        "identical": found.after.different == 0 and found.failed == 0,
        "reruns_failed": found.failed,
        "temporaries_left": found.after.temporaries,
        "interrupts": found.interrupts,
        "interrupts_unclean": found.unclean,
        "faults": [asdict(one) for one in played],
        "faults_failed": sum(not one.survived for one in played),
    }


def lines(found: dict[str, Any]) -> list[str]:
    """Gives the table with its goals, what was hit, and what failed."""
    table = [f"{'':<38}{'found':>8}{'goal':>9}"]
    for name, key, bound, at_most in GOALS:
        met = found[key] <= bound if at_most else found[key] >= bound
        sign = "<=" if at_most else ">="
        table.append(f"{name:<38}{found[key]:>8}{f'{sign} {bound}':>9}  {'' if met else 'not met'}")
    hit = ", ".join(f"{stage} {number}" for stage, number in found["kills_by_stage"].items())
    reasons = ", ".join(f"{why} {number}" for why, number in found["damaged_rejects"].items())
    table += ["", f"kills hit: {hit}", f"damaged inputs: {reasons}, "
              f"readable all the same {found['damaged_but_readable']}"]  # fmt: skip
    survived = sorted({one["name"] for one in found["faults"] if one["survived"]})
    table += [f"survived: {name}" for name in survived]
    table += [f"failed: {told}" for told in found["told"]]
    return [*table, f"{found['seconds']:.0f} s, seed {found['seed']}"]


def write(found: dict[str, Any], path: Path) -> None:
    """Writes the figures as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
