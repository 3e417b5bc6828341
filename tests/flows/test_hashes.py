"""Remembered hashes: fast, and never those of a file that changed."""

import os
import time

import pytest

from flows import hashes
from flows.hashes import Hashes
from schemas.provenance import file_hash

OLD_NS = hashes.FRESH_NS


@pytest.fixture
def reads(monkeypatch):
    """Counts the files that are read, and lets files of this moment be remembered."""
    counted = []

    def read(path):
        counted.append(path.name)
        return file_hash(path)

    monkeypatch.setattr(hashes, "file_hash", read)
    monkeypatch.setattr(hashes, "FRESH_NS", 0)
    return counted


def ask(tmp_path, *names):
    with Hashes(tmp_path / "hashes.json") as known:
        return [known(tmp_path / name) for name in names]


def test_a_file_is_read_once_over_runs(tmp_path, reads):
    (tmp_path / "a").write_text("one")
    first = ask(tmp_path, "a", "a")
    assert first == ask(tmp_path, "a", "a") == [file_hash(tmp_path / "a")] * 2
    assert reads == ["a"]


@pytest.mark.parametrize("restore", [False, True])
def test_a_change_of_the_same_size_is_noticed_also_with_its_old_time(tmp_path, reads, restore):
    path = tmp_path / "a"
    path.write_text("one")
    before = path.stat()
    [old] = ask(tmp_path, "a")
    time.sleep(0.02)
    path.write_text("two")
    if restore:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert ask(tmp_path, "a") == [file_hash(path)] != [old]


def test_a_file_in_the_place_of_another_is_noticed(tmp_path, reads):
    for name, text in (("a", "one"), ("b", "two")):
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, (1, 1))
    ask(tmp_path, "a")
    (tmp_path / "b").replace(tmp_path / "a")
    assert ask(tmp_path, "a") == [file_hash(tmp_path / "a")]


def test_a_picture_that_changed_within_a_folder_is_noticed(tmp_path, reads):
    (tmp_path / "frames").mkdir()
    for name in ("1.png", "2.png"):
        (tmp_path / "frames" / name).write_text("one")
    [old] = ask(tmp_path, "frames")
    assert ask(tmp_path, "frames") == [old]
    assert reads == ["frames"]
    time.sleep(0.02)
    (tmp_path / "frames" / "2.png").write_text("two")
    assert ask(tmp_path, "frames") == [file_hash(tmp_path / "frames")] != [old]


def test_a_file_of_this_moment_is_not_remembered(tmp_path):
    (tmp_path / "a").write_text("one")
    ask(tmp_path, "a")
    assert not (tmp_path / "hashes.json").exists()


@pytest.mark.parametrize("damage", ["", "[]", '{"x": 3}', '{"x": []}', '{"x": [1, 2]'])
def test_damaged_memory_is_no_memory(tmp_path, reads, damage):
    (tmp_path / "a").write_text("one")
    (tmp_path / "hashes.json").write_text(damage.replace("x", str(tmp_path / "a")))
    assert ask(tmp_path, "a") == [file_hash(tmp_path / "a")]


def test_a_file_that_is_not_there_has_no_hash(tmp_path, reads):
    assert ask(tmp_path, "nowhere") == [""]
