"""Portraits from a folder: pictures, clips, and files that are neither."""

import shutil

import cv2
import numpy as np
import pytest

from benchmarks.faces import portraits
from schemas.errors import UsageError
from sources.encode import write_video
from sources.forge.still import default_pictures, load_still


@pytest.fixture
def folder(tmp_path):
    """A portrait, a clip that shows a face in its last frames only, and three useless files."""
    astronaut, hopper = default_pictures()
    faces = tmp_path / "faces"
    faces.mkdir()
    shutil.copy(astronaut, faces / "a.png")
    face = load_still(hopper, (360, 480)).image[:360, :480]
    wall = np.full_like(face, 90)
    write_video(faces / "b.mp4", [wall] * 6 + [face] * 6, 25, 10)
    cv2.imwrite(str(faces / "c.png"), wall)
    (faces / "d.txt").write_text("no face")
    (faces / "e.jpg").write_bytes(b"")
    (faces / ".hidden").write_text("")
    return faces


def test_pictures_and_clips_are_used_and_the_rest_is_named(folder, tmp_path):
    told = []
    found = portraits(folder, tmp_path, told.append)
    assert found == [folder / "a.png", tmp_path / "b.mp4.png"]
    assert load_still(found[1], (360, 480)).landmarks.shape == (478, 2)
    assert [line.split(" is skipped: ")[0] for line in told] == ["c.png", "d.txt", "e.jpg"]
    assert told[0].endswith("no face found")
    assert "neither a picture nor a clip" in told[1]


def test_one_face_is_too_few(folder, tmp_path):
    (folder / "b.mp4").unlink()
    with pytest.raises(UsageError, match="1 usable faces; the bench needs 2"):
        portraits(folder, tmp_path, lambda _: None)
