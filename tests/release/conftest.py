"""One release with pixels and all formats, one without, of the small annotated dataset."""

import os
import shutil
from dataclasses import replace

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from flows.release import source_of
from release.formats import FORMATS
from release.make import Order, make_release
from release.released import open_release
from schemas.records import AnnotatedFrame
from schemas.releasing import ReleasedFrame
from schemas.shards import read_metadata, read_records, write_records
from tests.conftest import silent


@pytest.fixture(scope="session")
def ready(annotated):
    """What a release of the small dataset is made from."""
    return source_of(annotated[0])


@pytest.fixture(scope="session")
def rows(ready):
    return read_records(ready.shards, AnnotatedFrame)


def released_rows(folder):
    """The rows of a release as records."""
    return read_records(open_release(folder).files, ReleasedFrame)


@pytest.fixture(scope="session")
def make(ready):
    """Makes a release without pixels, of the small dataset or of one like it."""

    def make(folder, source=ready, **changes):
        order = {"version": "1.0.0", "folder": folder / "1.0.0", "with_pixels": False} | changes
        return make_release(source, Order(**order), silent)

    return make


@pytest.fixture(scope="session")
def full(tmp_path_factory, make):
    """Folder of a release with pixels and all formats."""
    folder = tmp_path_factory.mktemp("full")
    assert make(folder, with_pixels=True, formats=tuple(FORMATS)).passed
    return folder / "1.0.0"


@pytest.fixture(scope="session")
def bare(tmp_path_factory, make):
    """Folder of a release without pixels."""
    folder = tmp_path_factory.mktemp("bare")
    assert make(folder, formats=("coco",)).passed
    return folder / "1.0.0"


@pytest.fixture(scope="session")
def split(tmp_path_factory, make, ready, rows):
    """Folder of a release without pixels or formats, as it is made by default, in three splits."""
    folder = tmp_path_factory.mktemp("split")
    names = ("train", "val", "test")
    parts = [row.model_copy(update={"split": names[k % 3]}) for k, row in enumerate(rows)]
    leaky = ready.dataset.model_copy(update={"splits_may_leak": True})  # it has two people
    assert make(folder, _like(ready, folder / "toy-00000.parquet", parts, dataset=leaky)).passed
    return folder / "1.0.0"


@pytest.fixture
def like(tmp_path, ready):
    """Gives a source like the small dataset with other rows, rejects as they are."""

    def like(rows, name="toy-00000.parquet", **changes):
        return _like(ready, tmp_path / "shards" / name, rows, **changes)

    return like


def _like(ready, path, rows, **changes):
    write_records(path, rows, AnnotatedFrame, _facts(ready))
    return replace(ready, **{"shards": [path]} | changes)


@pytest.fixture
def copied(tmp_path, ready):
    """The small dataset with a copy of its shard, to be damaged."""
    path = tmp_path / "copy" / ready.shards[0].name
    path.parent.mkdir()
    shutil.copyfile(ready.shards[0], path)
    return replace(ready, shards=[path])


def _facts(ready):
    facts = read_metadata(ready.shards[0])
    return {key: facts[key] for key in facts if key not in ("format_version", "record")}
