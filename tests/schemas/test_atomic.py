"""Files whole or not at all, told by processes that are really killed."""

import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.atomic import TEMPORARY, sweep, whole_file, write_text
from schemas.errors import OutputError

WRITER = """
import sys, time
from pathlib import Path
from schemas.atomic import whole_file

with whole_file(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path):
    """A process that is half way through a file."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "a")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "writing\n"
    yield process
    process.kill()
    process.communicate()


def temporaries(folder):
    return list(folder.glob(TEMPORARY))


def test_a_living_writers_file_is_never_swept_and_a_dead_ones_always(tmp_path, writer):
    for path in temporaries(tmp_path):
        os.utime(path, (0, 0))  # whatever its age seems to be
    assert sweep(tmp_path) == 0
    assert len(temporaries(tmp_path)) == 1
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    assert not (tmp_path / "a").exists()
    assert sweep(tmp_path) == 1
    assert temporaries(tmp_path) == []


def test_an_older_files_content_stays_until_the_new_one_is_whole(tmp_path):
    write_text(tmp_path / "a", "old")

    def break_off():
        with whole_file(tmp_path / "a") as file:
            file.write(b"new, half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert (tmp_path / "a").read_text() == "old"
    assert temporaries(tmp_path) == []


def test_writers_of_one_path_and_sweeps_at_once_leave_one_whole_file(tmp_path):
    code = (
        "import sys; from pathlib import Path; from schemas.atomic import sweep, write_text\n"
        "for n in range(150):\n"
        "    write_text(Path(sys.argv[1]) / 'a', sys.argv[2] * 5000)\n"
        "    sweep(Path(sys.argv[1]))\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), letter]) for letter in "xyz"
    ]
    seen = set()
    while any(one.poll() is None for one in writers):
        if (tmp_path / "a").exists():
            seen.add((tmp_path / "a").read_text())
        time.sleep(0.001)
    assert [one.returncode for one in writers] == [0, 0, 0]
    assert seen <= {letter * 5000 for letter in "xyz"}
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_text_comes_back_as_it_was(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("text") / "a"
    write_text(path, text)
    assert path.read_bytes().decode() == text


def test_an_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*file/x\.json"):
        write_text(tmp_path / "file" / "x.json", "")
