"""Shared parts of the tests: one real face crop, and one small annotated dataset of real video."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from skimage.data import astronaut

from fict.labelmap import PARSERS
from fict.landmarks import MeshLandmarks
from fict.tree import Tree, load_tree
from flows.local import annotate_dataset
from flows.run import Run, Summary, make_run
from schemas.manifest import Measure
from schemas.records import AnnotatedFrame, MeasuredFrame
from schemas.reviews import Decision, Review, labels_hash
from schemas.shards import read_records
from sources.crop import CropPair, crop_clip
from sources.forge import forge
from sources.pairs import FramePair
from sources.tracking import FaceSearch

os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
cv2.setNumThreads(1)

METHODS = ("LipRecolour", "SkinSmoothing", "Unforged")
LEVELS = ("c23", "c40")


def silent(stage: str, done: int, total: int) -> None:
    """A progress display for tests."""


def review(row: AnnotatedFrame, decision: Decision) -> Review:
    """Gives what somebody decided of a row as it is."""
    labels = labels_hash(row.model_dump())
    return Review(id=row.id, reviewer="ada", decision=decision, labels_hash=labels, at=1.0)


@pytest.fixture(scope="session")
def tree() -> Tree:
    return load_tree()


@pytest.fixture(scope="session")
def unforged() -> CropPair:
    """A crop pair of a real face whose sides are equal."""
    frame = astronaut()
    search = FaceSearch(MeshLandmarks())
    crops, rejected = crop_clip([FramePair(0, 0.0, frame, frame)], search, Measure())
    assert not rejected
    return crops[0]


@pytest.fixture(scope="session")
def labels(unforged: CropPair, tree: Tree) -> NDArray[np.uint8]:
    return PARSERS["mesh"](unforged.real, unforged.landmarks, tree)


@pytest.fixture(scope="session")
def where(labels: NDArray[np.uint8], tree: Tree) -> Callable[[str], NDArray[np.bool_]]:
    """Gives the pixels of a FICT concept, by name."""

    def pixels(name: str) -> NDArray[np.bool_]:
        node = tree.by_name[name]
        return np.isin(labels, [node.id, *(below.id for below in tree.descendants_of(node))])

    return pixels


@pytest.fixture(scope="session")
def edited(unforged: CropPair) -> Callable[..., CropPair]:
    """Makes a crop pair whose fake side is an edit of the real one inside a mask.

    Both sides get sensor noise of their own, as two encodings would.
    """

    def edit(
        mask: NDArray[np.bool_],
        change: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        noise: float = 1.0,
    ) -> CropPair:
        generator = np.random.default_rng(0)
        soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.0)[..., None]
        real = unforged.real.astype(np.float32)
        fake = real * (1 - soft) + change(real) * soft
        sides = (side + generator.normal(0, noise, side.shape) for side in (real, fake))
        real, fake = (np.clip(side, 0, 255).astype(np.uint8) for side in sides)
        return replace(unforged, real=real, fake=fake)

    return edit


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small forged dataset of real video, in FaceForensics++ layout."""
    folder = tmp_path_factory.mktemp("forged") / "source"
    forge(folder, methods=METHODS, frames=12, compressions=LEVELS)
    return folder


@pytest.fixture(scope="session")
def write_manifest(source: Path) -> Callable[..., Path]:
    """Writes a manifest like the project's, with the small dataset and another output folder."""

    def write(folder: Path, **changes: object) -> Path:
        content = yaml.safe_load(Path("data_manifest.yaml").read_text())
        content["output"] = str(folder / "out")
        content["measure"]["frames"] = 3
        toy = content["datasets"]["toy"]
        toy["root"] = str(source)
        toy["methods"] = {method: toy["methods"][method] for method in METHODS}
        toy["compressions"] = list(LEVELS)
        for path, value in changes.items():
            block = content
            *blocks, key = path.split("__")
            for name in blocks:
                block = block[name]
            block[key] = value
        path = folder / "manifest.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


@pytest.fixture(scope="session")
def annotated(
    tmp_path_factory: pytest.TempPathFactory, write_manifest: Callable[..., Path]
) -> tuple[Run, Summary]:
    """The small dataset, annotated once for all tests that only look."""
    folder = tmp_path_factory.mktemp("annotated")
    run = make_run("toy", write_manifest(folder), workers=1)
    return run, annotate_dataset(run, silent).summary


@pytest.fixture(scope="session")
def recoloured(annotated: tuple[Run, Summary]) -> MeasuredFrame:
    """A measured frame whose lips were recoloured."""
    run, _ = annotated
    paths = [path for path in run.measured.folder.glob("*.parquet") if "rejects" not in path.name]
    rows = read_records(sorted(paths), MeasuredFrame)
    return next(row for row in rows if row.method == "LipRecolour")
