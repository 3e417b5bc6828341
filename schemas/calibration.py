"""What `facext calibrate` fits: cuts of the mask, costs of the region rule, chance of evidence.

`calibration.yaml` is data with its provenance. Its values are the defaults of the manifest's
settings, so a row's `config_hash` covers them; a manifest may still set its own.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field

FILE = Path(__file__).with_name("calibration.yaml")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cuts(_Part):
    """Fitted keys of `DiffSettings`."""

    low: float = Field(gt=0)
    high: float = Field(gt=0)
    mass: float = Field(ge=0)
    noisy_low: float = Field(gt=0)
    noisy_high: float = Field(gt=0)
    noisy_mass: float = Field(ge=0)
    noisy_extend: float = Field(gt=0)


class Costs(_Part):
    """Fitted keys of `LocaliseSettings`."""

    miss: float = Field(ge=0)
    entry: float = Field(ge=0)


class Trust(_Part):
    """How much of a mask was truly changed, by what noise does not explain of it.

    Attributes:
        unexplained: Share of a mask that noise does not explain, ascending.
        changed: Share of such masks that was truly changed, never falling.
    """

    unexplained: tuple[float, ...] = Field(min_length=1)
    changed: tuple[float, ...] = Field(min_length=1)


class Null(_Part):
    """What chance does to measurements at one compression level.

    Attributes:
        noise_floor: Median noise of the level's pairs, CIELAB units, as an artifact mask's.
        spread: By probe, its standard deviation over unchanged windows, one for each side of
            `Calibration.windows`, in the probe's own unit.
    """

    noise_floor: float = Field(ge=0)
    spread: dict[str, tuple[float, ...]]


class Calibration(_Part):
    """The whole file."""

    provenance: dict[str, Any]
    diff: Cuts
    confidence: Trust
    localise: Costs
    windows: tuple[int, ...]
    null: dict[str, Null]

    def confidence_of(self, unexplained: float) -> float:
        """Gives the share of a mask that was truly changed, to be expected of one like it."""
        return float(np.interp(unexplained, self.confidence.unexplained, self.confidence.changed))

    def null_of(self, compression: str, noise_floor: float) -> Null:
        """Gives the null of a level; of an unknown level, the one with the nearest noise floor."""
        if compression in self.null:
            return self.null[compression]
        return min(self.null.values(), key=lambda null: abs(null.noise_floor - noise_floor))


@functools.cache
def load_calibration() -> Calibration:
    """Reads the calibration that the project ships.

    Raises:
        ValidationError: The file is damaged; `git checkout schemas/calibration.yaml` restores it.
    """
    return Calibration.model_validate(yaml.safe_load(FILE.read_text(encoding="utf-8")))
