"""`data_manifest.yaml`: the datasets, the settings of the pipeline, the captioning servers.

Wrong input is answered with the key, where it stands, and the nearest key that exists.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator

from schemas.calibration import load_calibration
from schemas.datasets import Dataset, Licence
from schemas.errors import ManifestError, UsageError, nearest
from schemas.explaining import Explain, Mllm
from schemas.gates import Gates
from schemas.settings import Settings

__all__ = [
    "MANIFEST", "Dataset", "DiffSettings", "EvidenceSettings", "Licence", "LocaliseSettings",
    "Manifest", "Measure", "RunSettings", "load_manifest",
]  # fmt: skip

MANIFEST = Path("data_manifest.yaml")
FITTED = load_calibration()


class DiffSettings(Settings):
    """How the artifact mask is recovered; each policy reads the keys of its name."""

    policy: Literal["calibrated", "top_fraction", "fixed", "ssim", "otsu"] = "calibrated"
    low: float = Field(FITTED.diff.low, gt=0, description="calibrated: weak cut, units of noise")
    high: float = Field(
        FITTED.diff.high, gt=0, description="calibrated: strong cut, units of noise"
    )
    mass: float = Field(
        FITTED.diff.mass, ge=0, description="calibrated: least weight over the noise's heaviest"
    )
    noisy_low: float = Field(
        FITTED.diff.noisy_low, gt=0, description="low where noise hides changes"
    )
    noisy_high: float = Field(
        FITTED.diff.noisy_high, gt=0, description="high where noise hides them"
    )
    noisy_mass: float = Field(
        FITTED.diff.noisy_mass, ge=0, description="mass where noise hides them"
    )
    noisy_extend: float = Field(
        FITTED.diff.noisy_extend, gt=0, description="cut of the area around a find, where it does"
    )
    min_area: float = Field(0.0004, ge=0, lt=1, description="smallest spot, share of the crop")
    max_area: float = Field(0.70, gt=0, le=1, description="above this share, everything changed")
    fraction: float = Field(0.05, gt=0, lt=1, description="top_fraction: share of pixels")
    level: float = Field(10.0, gt=0, description="fixed: CIELAB difference")
    dissimilarity: float = Field(0.4, gt=0, lt=1, description="ssim: 1 - SSIM")


class LocaliseSettings(Settings):
    """Costs of the region rule: gain = hit - `miss` x (concept - hit) - `entry` x crop area."""

    miss: float = Field(FITTED.localise.miss, ge=0)
    entry: float = Field(FITTED.localise.entry, ge=0)


class EvidenceSettings(Settings):
    """What a change must reach to be reported."""

    min_significance: float = Field(4.0, ge=0, description="least effect over its spread")
    refuting: float = Field(2.0, ge=0, description="spreads that a refuted claim must be away")
    change: float = Field(1.0, ge=0, description="CIELAB units")
    lightness: float = Field(1.0, ge=0, description="L* units")
    colour: float = Field(1.0, ge=0, description="a*b* units")
    sharpness: float = Field(0.10, ge=0, description="ln of the ratio of contrasts")
    texture: float = Field(0.10, ge=0, description="ln of the ratio of contrasts")
    seam: float = Field(3.0, ge=0, description="L* step across the border")
    position: float = Field(0.01, ge=0, description="share of the distance between the eyes")
    size: float = Field(0.015, ge=0, description="relative change of linear size")


class Measure(Settings):
    """Settings of the measure stage; their hash is part of each unit's identity."""

    frames: int = Field(4, ge=1, le=100_000, description="evenly spaced frames of each pair")
    context: int = Field(
        3, ge=1, le=99, description="frames looked at for each one that is annotated; odd"
    )
    crop_size: int = Field(512, ge=64, le=2048)
    crop_margin: float = Field(1.7, ge=1.0, le=4.0, description="crop side / face height")
    crop_quality: int = Field(95, ge=1, le=100, description="JPEG quality of stored crops")
    landmarks: str = "mesh"
    steady: bool = Field(True, description="take the jitter of landmarks out over close frames")
    parser: str = Field("mesh", description="`none` is another name of `mesh`")
    min_face_score: float = Field(10.0, description="score of the face mesh")
    max_registration_px: float = Field(6.0, gt=0)
    swapped_noise: float = Field(
        0.2, ge=0, description="c0: departure of the real side's noise that is too much; 0: off"
    )
    gates: Gates = Gates()
    diff: DiffSettings = DiffSettings()
    localise: LocaliseSettings = LocaliseSettings()
    evidence: EvidenceSettings = EvidenceSettings()

    @field_validator("parser")
    @classmethod
    def _one_name(cls, parser: str) -> str:
        return "mesh" if parser == "none" else parser


class RunSettings(Settings):
    """Where the measure stage runs; no result depends on it, and no unit's identity."""

    runner: Literal["processes", "threads", "dask", "ray"] = "processes"
    batch: int = Field(32, ge=1, description="dask, ray: pairs of a Prefect task")
    address: str = Field("", description="dask, ray: a cluster that is there; else one is started")


class Manifest(Settings):
    """The whole file."""

    output: str = Field("out", min_length=1)
    run: RunSettings = RunSettings()
    measure: Measure = Measure()
    explain: Explain = Explain()
    mllms: dict[str, Mllm] = Field({})
    datasets: dict[str, Dataset] = Field(min_length=1)

    def dataset(self, name: str) -> Dataset:
        """Gives a dataset's block.

        Raises:
            UsageError: There is none of that name; the message lists those there are.
        """
        if name not in self.datasets:
            raise UsageError(
                f"no dataset '{name}' in the manifest{nearest(name, self.datasets)}; "
                f"known: {', '.join(self.datasets)}"
            )
        return self.datasets[name]

    def mllm(self, name: str) -> Mllm:
        """Gives a captioning server's block; an empty name means the only or first one.

        Raises:
            UsageError: There is none of that name.
        """
        if not name and self.mllms:
            return next(iter(self.mllms.values()))
        if name not in self.mllms:
            raise UsageError(
                f"no captioning server '{name}' under mllms:{nearest(name, self.mllms)}; "
                f"known: {', '.join(self.mllms) or 'none'}"
            )
        return self.mllms[name]


def load_manifest(path: Path = MANIFEST) -> Manifest:
    """Reads and checks the manifest.

    Raises:
        ManifestError: The file is absent, is not YAML, or a key or value is wrong.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ManifestError(f"cannot read the manifest {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ManifestError(f"{path} must hold keys and values; it holds {content!r:.40}")
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        raise ManifestError(_explain(error, path)) from error


def _explain(error: ValidationError, path: Path) -> str:
    """Turns pydantic's findings into one line a problem: where, what, remedy."""
    lines = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            known = _known_keys(problem["loc"][:-1])
            hint = nearest(str(problem["loc"][-1]), known)
            lines.append(f"unknown key '{where}'{hint}; known here: {', '.join(known)}")
        elif problem["type"] == "missing":
            lines.append(f"key '{where}' is missing")
        else:
            said = problem["msg"].removeprefix("Value error, ")
            lines.append(f"'{where}': {said} (found {problem['input']!r:.60})")
    return f"{path} is wrong:\n" + "\n".join(f"  - {line}" for line in lines)


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """Gives the keys that the block at a location may hold."""
    block: Any = Manifest
    for part in location:
        named = not _is_block(block)  # a mapping of names to blocks
        block = get_args(block)[1] if named else block.model_fields[str(part)].annotation
    return list(block.model_fields) if _is_block(block) else []


def _is_block(block: Any) -> bool:
    return isinstance(block, type) and issubclass(block, BaseModel)
