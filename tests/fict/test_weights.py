import pickle

import pytest
import torch

from fict.weights import WEIGHTS, fill, find_weight, places, read_weight, weights_used
from schemas.errors import BackendUnavailable

FILE = WEIGHTS["bisenet"].file


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FACEXT_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_missing_file_is_named_with_its_source_its_place_and_a_way_on(folder, name):
    with pytest.raises(BackendUnavailable) as error:
        find_weight(name)
    weight = WEIGHTS[name]
    for part in (weight.file, weight.url, "FACEXT_WEIGHTS", weight.meanwhile):
        assert part in str(error.value)


def test_the_users_folder_comes_before_the_libraries_own(folder):
    own = folder / "torch" / "hub" / "checkpoints"
    own.mkdir(parents=True)
    (own / FILE).write_bytes(b"")
    assert find_weight("bisenet") == own / FILE
    (folder / FILE).write_bytes(b"")
    assert find_weight("bisenet") == folder / FILE
    assert places(WEIGHTS["bisenet"])[-1].name == "weights"


@pytest.mark.parametrize("wrapper", [None, "state_dict", "params"])
def test_tensors_are_read_from_each_form_of_file(folder, wrapper):
    state = {"module.weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    torch.save({wrapper: state} if wrapper else state, folder / FILE)
    assert read_weight("bisenet").keys() == {"weight", "bias"}


def test_a_file_that_would_execute_code_is_refused(folder):
    planted = folder / "executed"

    class Attack:
        def __reduce__(self):
            return (open, (str(planted), "w"))

    for write in (pickle.dump, torch.save):
        with (folder / FILE).open("wb") as file:
            write({"weight": Attack()}, file)
        with pytest.raises(BackendUnavailable, match="cannot be read as a weight file"):
            read_weight("bisenet")
        assert not planted.exists()


@pytest.mark.parametrize("content", [b"", b"not a weight file", b"PK\x03\x04" + b"\0" * 100])
def test_a_damaged_file_is_one_error(folder, content):
    (folder / FILE).write_bytes(content)
    with pytest.raises(BackendUnavailable, match=FILE):
        read_weight("bisenet")


def test_a_cut_file_is_one_error(folder):
    torch.save({"weight": torch.ones(1000)}, folder / FILE)
    (folder / FILE).write_bytes((folder / FILE).read_bytes()[:900])
    with pytest.raises(BackendUnavailable, match="get it again from"):
        read_weight("bisenet")


def test_tensors_of_another_shape_are_one_error(folder):
    torch.save({"weight": torch.ones(2, 3), "bias": torch.ones(2)}, folder / FILE)
    with pytest.raises(BackendUnavailable, match="does not fit its network: size mismatch"):
        fill(torch.nn.Linear(4, 2), "bisenet")
    network = fill(torch.nn.Linear(3, 2), "bisenet")
    assert torch.equal(network.weight, torch.ones(2, 3))
    assert not network.training


def test_a_list_is_no_weight_file(folder):
    torch.save([torch.ones(2)], folder / FILE)
    with pytest.raises(BackendUnavailable, match="named tensors"):
        read_weight("bisenet")


def test_the_files_of_a_backend_are_those_that_it_would_read_now(folder):
    assert weights_used("face_alignment_2d", "bisenet", "mesh") == []
    for name in ("bisenet", "sfd", "fan_3d"):
        (folder / WEIGHTS[name].file).write_bytes(b"")
    assert weights_used("face_alignment_2d", "bisenet") == [
        folder / WEIGHTS["sfd"].file, folder / FILE,
    ]  # fmt: skip
