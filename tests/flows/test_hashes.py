"""Remembered hashes: fast, and never those of a file that changed."""

import json
import os
import time
from pathlib import Path

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


def test_files_are_learnt_once_and_only_those_that_changed_are_told(tmp_path, reads):
    paths = [tmp_path / name for name in "abcdef"]
    for path in paths:
        path.write_text(path.name)
    told = []
    for _ in range(2):
        with Hashes(tmp_path / "hashes.json") as known:
            known.learn([*paths, *paths], lambda *what: told.append(what))
            assert [known(path) for path in paths] == [file_hash(path) for path in paths]
        time.sleep(0.02)
        paths[0].write_text("other")
    assert sorted(reads) == ["a", *"abcdef"]
    assert told == [*(("hash", n, 6) for n in range(7)), ("hash", 0, 1), ("hash", 1, 1)]


def remembered(tmp_path):
    path = tmp_path / "hashes.json"
    return {Path(name).name for name in json.loads(path.read_text())} if path.exists() else set()


def test_an_interruption_ends_at_once_and_keeps_what_was_learnt(tmp_path, reads, monkeypatch):
    names = [f"{number:02d}" for number in range(60)]
    for name in names:
        (tmp_path / name).write_text(name)
    ask(tmp_path, names[-1])
    quickly = hashes.file_hash
    monkeypatch.setattr(hashes, "file_hash", lambda path: time.sleep(0.005) or quickly(path))

    def interrupt(stage, done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped, Hashes(tmp_path / "hashes.json") as known:
        known.learn([tmp_path / name for name in names[:-1]], interrupt)
    assert {*names[:3], names[-1]} <= remembered(tmp_path)
    time.sleep(0.1)
    assert len(reads) < len(names), stopped


def test_a_kill_loses_little(tmp_path, reads, monkeypatch):
    monkeypatch.setattr(hashes, "SAVE_EACH_S", 0.0)
    for name in "abcdef":
        (tmp_path / name).write_text(name)
    seen = []
    with Hashes(tmp_path / "hashes.json") as known:
        known.learn(
            [tmp_path / name for name in "abcdef"],
            lambda stage, done, total: seen.append(len(remembered(tmp_path)) >= done - 1),
        )
    assert all(seen)


@pytest.mark.parametrize("damage", ["", "[]", '{"x": 3}', '{"x": []}', '{"x": [1, 2]'])
def test_damaged_memory_is_no_memory(tmp_path, reads, damage):
    (tmp_path / "a").write_text("one")
    (tmp_path / "hashes.json").write_text(damage.replace("x", str(tmp_path / "a")))
    assert ask(tmp_path, "a") == [file_hash(tmp_path / "a")]


def test_a_file_that_is_not_there_has_no_hash(tmp_path, reads):
    assert ask(tmp_path, "nowhere") == [""]
