"""Draws a balanced, deterministic set of cases over everything that the forge can do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from sources.encode import CRF
from sources.forge.cases import Case, fitting
from sources.forge.controls import CONTROLS
from sources.forge.flicker import Profile
from sources.forge.looks import LOOKS
from sources.forge.mixture import distinct
from sources.forge.occlude import OCCLUDERS
from sources.forge.operation import Operation
from sources.forge.operations import OPERATIONS
from sources.forge.still import default_pictures

STRENGTHS = (0.25, 0.5, 0.75, 1.0)
REGIONS = (1, 2, 3, 4)
FACES = (180, 200, 220, 240, 260)
PROFILES: tuple[Profile, ...] = ("stable", "flicker")
ONE_IN = 5
"""One case in so many is a control, and one in so many is occluded."""

Level = TypeVar("Level")


def sample_cases(seed: int, count: int, pictures: Sequence[Path] = ()) -> list[Case]:
    """Gives cases that cover all operations, strengths, looks and compressions evenly.

    Args:
        seed: Another seed gives other cases.
        count: Number of cases.
        pictures: Portraits, two or more; without any, the default ones.

    Raises:
        UsageError: A picture cannot be read or shows no face.
    """
    rng = np.random.default_rng([seed, 7])
    paths = list(pictures) or default_pictures()
    cases = _plain_cases(rng, count, paths)
    regions = _column(rng, REGIONS, count)
    strengths = [_column(rng, STRENGTHS, count) for _ in REGIONS]
    used: Counter[str] = Counter()
    made = []
    for number, case in enumerate(cases):
        if not case.control:
            chosen = _choose(rng, case, regions[number], used)
            parts = zip(chosen, (column[number] for column in strengths), strict=False)
            case = replace(case, operations=tuple(parts), name=f"{case.name}_{chosen[0]}")
        made.append(case)
    return made


def _plain_cases(rng: np.random.Generator, count: int, paths: list[Path]) -> list[Case]:
    """Gives cases without operations, each factor balanced on its own."""
    controls = _spread(rng, tuple(CONTROLS), count)
    occluders = _spread(rng, tuple(OCCLUDERS), count)
    targets, looks = _column(rng, range(len(paths)), count), _column(rng, LOOKS, count)
    faces, profiles = _column(rng, FACES, count), _column(rng, PROFILES, count)
    levels = _column(rng, tuple(CRF), count)
    donors = rng.integers(1, max(2, len(paths)), count)
    return [
        Case(
            name=f"{k:04}" + (f"_{controls[k]}" if controls[k] else ""),
            picture=paths[targets[k]],
            donor=paths[(targets[k] + int(donors[k])) % len(paths)],
            look=looks[k],
            operations=(),
            control=controls[k] or "",
            profile="stable" if controls[k] else profiles[k],
            occluder=occluders[k],
            compression=levels[k],
            seed=int(rng.integers(2**31)),
            face=faces[k],
        )
        for k in range(count)
    ]


def _column(rng: np.random.Generator, levels: Sequence[Level], count: int) -> list[Level]:
    """Gives each level equally often, to within one, in a random order."""
    order = [levels[int(k)] for k in rng.permutation(len(levels))]
    return [order[int(k) % len(levels)] for k in rng.permutation(count)]


def _spread(rng: np.random.Generator, levels: Sequence[str], count: int) -> list[str | None]:
    """Gives levels to one case in `ONE_IN`, and None to the others."""
    some = round(count / ONE_IN)
    column: list[str | None] = [*_column(rng, levels, some), *[None] * (count - some)]
    return [column[int(k)] for k in rng.permutation(count)]


def _choose(rng: np.random.Generator, case: Case, regions: int, used: Counter[str]) -> list[str]:
    """Chooses operations that fit the face and do not overlap, the least used first."""
    fit, chosen = fitting(case), list[Operation]()
    order = [list(OPERATIONS.values())[int(k)] for k in rng.permutation(len(OPERATIONS))]
    for operation in sorted(order, key=lambda operation: used[operation.name]):
        if len(chosen) == regions:
            break
        alone = operation.covers_face and regions > 1
        if not alone and operation.name in fit and distinct([*chosen, operation]):
            chosen.append(operation)
    used.update(operation.name for operation in chosen)
    return [operation.name for operation in chosen]
