"""How the strength of a forgery runs over the frames of a clip."""

from __future__ import annotations

from typing import Literal

import numpy as np

Profile = Literal["stable", "flicker"]

LOWEST = 0.4
"""Least share of the strength where it flickers."""
RATES = (0.08, 0.22)
"""Slowest and fastest flicker, in periods per frame."""


def flicker(strength: float, index: int, seed: int, profile: Profile = "flicker") -> float:
    """Gives the strength in one frame.

    Args:
        strength: The nominal strength, which is the greatest.
        index: Number of the frame, from 0.
        seed: Decides rate and phase.
        profile: `stable` is constant; `flicker` runs smoothly between `LOWEST` and 1 times the
            strength.
    """
    if profile == "stable":
        return strength
    rng = np.random.default_rng([seed, 2])
    rate, phase = rng.uniform(*RATES), rng.uniform()
    wave = 0.5 + 0.5 * float(np.sin(2 * np.pi * (rate * index + phase)))
    return strength * (LOWEST + (1 - LOWEST) * wave)
