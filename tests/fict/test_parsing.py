"""The parsing backends: real loading code, random weights; a class map drawn by hand."""

import importlib
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from annotators.backends import backends
from benchmarks.drawn_classes import drawn_classes
from fict import facexlib_parsing, labelmap
from fict.crop import upright_crop
from fict.facexlib_parsing import NETWORKS, build, class_map, in_our_order, load_network
from fict.labelmap import PARSERS, label_map
from fict.mesh import load_mesh
from fict.parsing_parts import CLASSES, with_parts
from fict.parsing_rules import RULES
from fict.tree import Parsing, load_tree
from fict.weights import WEIGHTS
from schemas.errors import BackendUnavailable
from schemas.manifest import Measure

SIZE = 512
TREE = load_tree()
PARSED = [one for one in TREE.atomic if isinstance(one.where, Parsing)]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FACEXT_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    load_network.cache_clear()
    yield tmp_path
    load_network.cache_clear()


@pytest.fixture(scope="module")
def crop(pictures, faces):
    return upright_crop(pictures["astronaut"], faces["astronaut"].landmarks, SIZE, 0.4)


@pytest.fixture(scope="module")
def mesh_labels(crop):
    return label_map(crop[1], SIZE, TREE, crop[0])


@pytest.fixture(scope="module", params=[False, True], ids=["free", "covered"])
def scene(request, crop, mesh_labels):
    classes = drawn_classes(crop[1], mesh_labels, TREE, covered=request.param)
    return classes, with_parts(mesh_labels, classes, crop[1], TREE)


@pytest.fixture(scope="module")
def free(crop, mesh_labels):
    classes = drawn_classes(crop[1], mesh_labels, TREE, covered=False)
    return classes, with_parts(mesh_labels, classes, crop[1], TREE)


@pytest.fixture(scope="module")
def covered(crop, mesh_labels):
    classes = drawn_classes(crop[1], mesh_labels, TREE, covered=True)
    return classes, with_parts(mesh_labels, classes, crop[1], TREE)


def pixels(labels, *names):
    nodes = [TREE.by_name[name] for name in names]
    below = [one.id for node in nodes for one in TREE.descendants_of(node)]
    return np.isin(labels, [*(node.id for node in nodes), *below])


def middle(labels, name):
    y, x = np.nonzero(pixels(labels, name))
    assert len(y) > 50, name
    return float(x.mean()), float(y.mean())


def of_class(classes, *names):
    return np.isin(classes, [CLASSES.index(name) for name in names])


# ---- networks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_a_weight_file_gives_a_label_map(folder, crop, name):
    torch.manual_seed(0)
    torch.save(build(name).state_dict(), folder / WEIGHTS[name].file)
    size = 96
    part = np.ascontiguousarray(crop[0][::4, ::4][:size, :size])
    labels = PARSERS[name](part, crop[1] / 4, TREE)
    assert labels.shape == (size, size)
    assert labels.dtype == np.uint8
    assert labels.min() > 0


@pytest.mark.parametrize("wrapper", ["params_ema", "state_dict"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_wrapped_weight_file_fills_its_network(folder, name, wrapper):
    state = {f"module.{key}": value for key, value in build(name).state_dict().items()}
    torch.save({wrapper: state}, folder / WEIGHTS[name].file)
    assert backends(Measure(parser=name))[1] is PARSERS[name]
    filled = load_network(name)
    assert not filled.training
    assert torch.equal(next(iter(filled.parameters())), next(iter(state.values())))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_gets_what_facexlib_gives_it(crop, name):
    """Their own reading of a picture, without the torchvision that it imports."""
    img2tensor = importlib.import_module("facexlib.utils.misc").img2tensor
    about, seen = NETWORKS[name], []

    class Spy(torch.nn.Module):
        def forward(self, batch):
            seen.append(batch)
            return (torch.nn.functional.one_hot(torch.arange(19), 19)[None, :, :, None].float(),)

    facexlib_parsing.classify(Spy(), crop[0], about)
    theirs = img2tensor(crop[0][..., ::-1].astype("float32") / 255.0, bgr2rgb=True, float32=True)
    mean, deviation = (torch.tensor(one)[:, None, None] for one in (about.mean, about.deviation))
    assert torch.allclose(seen[0][0], (theirs - mean) / deviation, atol=1e-5)


def test_the_orders_are_those_of_facexlib():
    """Its ParseNet mask drops background, hat, necklace, neck and cloth."""
    path = importlib.util.find_spec("facexlib").submodule_search_locations[0]
    with open(f"{path}/utils/face_restoration_helper.py") as file:
        row = next(line for line in file if "MASK_COLORMAP = [" in line)
    kept = [int(value) > 0 for value in row.split("[")[1].split("]")[0].split(",")]
    named = zip(NETWORKS["parsenet"].order, kept, strict=True)
    assert {name for name, keep in named if not keep} == {
        "background",
        "hat",
        "necklace",
        "neck",
        "cloth",
    }
    assert NETWORKS["bisenet"].order[17:] == ("hair", "hat")
    for network in NETWORKS.values():
        assert len(network.order) == 19
        assert set(network.order) == set(CLASSES) - {"other"}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_missing_weight_stops_before_any_work(folder, name):
    with pytest.raises(BackendUnavailable, match=rf"{WEIGHTS[name].file}.*parser: mesh"):
        backends(Measure(parser=name))


def test_wrong_files_are_one_error_each(folder):
    path = folder / WEIGHTS["bisenet"].file
    planted = folder / "executed"

    class Attack:
        def __reduce__(self):
            return (open, (str(planted), "w"))

    for content, message in (
        (b"\x80\x02broken", "cannot be read"),
        (pickle.dumps({"weight": Attack()}), "cannot be read"),
        ({"conv.weight": torch.ones(2, 2)}, "does not fit its network"),
        (build("parsenet").state_dict(), "does not fit its network"),
    ):
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        with pytest.raises(BackendUnavailable, match=message):
            backends(Measure(parser="bisenet"))
    assert not planted.exists()


def test_facexlib_that_is_not_installed_is_one_error(monkeypatch):
    absent = replace(NETWORKS["bisenet"], module="facexlib.parsing.absent")
    monkeypatch.setitem(NETWORKS, "bisenet", absent)
    with pytest.raises(BackendUnavailable, match="needs the package facexlib"):
        build("bisenet")


@pytest.mark.parametrize("torchvision", ["raise ImportError('none')", "raise RuntimeError('nms')"])
def test_facexlib_is_imported_without_a_working_torchvision(tmp_path, torchvision):
    (tmp_path / "torchvision.py").write_text(torchvision)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from fict.facexlib_parsing import import_facexlib\n"
        "import_facexlib(); import_facexlib()\n"
        "from facexlib.parsing.bisenet import BiSeNet; print(BiSeNet.__name__)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "BiSeNet"


def test_none_is_another_name_of_the_mesh():
    assert Measure(parser="none") == Measure()
    assert Measure(parser="none").digest() == Measure().digest()


# ---- geometry -----------------------------------------------------------------------------------


def test_every_rule_of_the_file_is_known_and_every_known_one_is_used():
    assert {one.where.part for one in PARSED} == set(RULES)
    assert {one.where.parsing for one in PARSED} <= set(CLASSES)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_drawn_classes_reach_the_labels_through_each_networks_numbers(
    monkeypatch, crop, covered, name
):
    classes, labels = covered
    raw = np.zeros_like(classes)
    for number, one in enumerate(NETWORKS[name].order):
        raw[classes == CLASSES.index(one)] = number
    monkeypatch.setattr(facexlib_parsing, "load_network", lambda _name: None)
    monkeypatch.setattr(facexlib_parsing, "classify", lambda *_arguments: raw)
    assert np.array_equal(PARSERS[name](*crop, TREE), labels)
    assert np.array_equal(class_map(crop[0], name), in_our_order(raw, name))


def test_every_atomic_concept_that_is_drawn_is_found(free, covered):
    found = set(np.unique(free[1])) | set(np.unique(covered[1]))
    shown = {one.name for one in PARSED if one.id in found}
    lacking = {"right long hair", "moustache", "beard", "right sideburn", "left sideburn"}
    assert {one.name for one in PARSED} - shown == lacking


def test_left_is_the_subjects_left(scene):
    _, labels = scene
    for name in ("upper ear", "middle ear", "earlobe", "earring", "side hair", "neck"):
        right, left = (middle(labels, f"{side} {name}")[0] for side in ("right", "left"))
        assert right < SIZE / 2 < left, name
    assert middle(labels, "left long hair")[0] > SIZE / 2


def test_thirds_are_in_order(scene):
    _, labels = scene
    for side in ("right", "left"):
        heights = [middle(labels, f"{side} {part}")[1] for part in ("upper ear", "middle ear")]
        assert heights[0] < heights[1] < middle(labels, f"{side} earlobe")[1]
    across = [middle(labels, name)[0] for name in ("right neck", "front neck", "left neck")]
    assert across == sorted(across)
    assert middle(labels, "under-chin")[1] < middle(labels, "front neck")[1]


def test_hair_is_told_by_place(free, crop):
    _, labels = free
    points = crop[1]
    assert middle(labels, "hair top")[1] < points[10, 1]
    assert points[54, 1] < middle(labels, "right side hair")[1] < points[172, 1]
    assert middle(labels, "left long hair")[1] > points[397, 1]
    assert points[10, 1] < middle(labels, "hair fringe")[1] < points[105, 1]
    hairline = pixels(labels, "hairline")
    assert np.nonzero(hairline)[0].max() < points[172, 1]
    assert hairline.sum() < 0.15 * pixels(labels, "hair").sum()


def test_classes_keep_their_area(scene):
    classes, labels = scene
    for concept, name in (("hair", "hair"), ("ears", "right ear"), ("neck", "neck"), ("hat", "hat"),
                          ("glasses", "glasses"), ("earrings", "earring"),
                          ("necklace", "necklace")):  # fmt: skip
        assert np.array_equal(pixels(labels, concept), of_class(classes, name)), name


def test_what_covers_the_face_is_cut_out_of_it(covered, crop, mesh_labels):
    classes, labels = covered
    face = of_class(classes, *CLASSES[:7])
    inside = pixels(mesh_labels, "face")
    assert np.array_equal(labels[inside & face], mesh_labels[inside & face])
    assert not (pixels(labels, "face") & ~face).any()
    hand = pixels(labels, "occluder")
    assert np.array_equal(hand & inside, hand)
    assert hand.sum() > 0.95 * (of_class(classes, "background") & inside).sum()
    cheek = pixels(mesh_labels, "left lower cheek")
    assert 0 < (cheek & hand).sum() == (cheek & ~face).sum()
    for side in ("right", "left"):
        eye = middle(labels, f"{side} eyeball")
        lens = middle(labels, f"{side} lens")
        assert np.hypot(eye[0] - lens[0], eye[1] - lens[1]) < 0.05 * SIZE
        seen = (pixels(one, f"{side} eyeball") for one in (labels, mesh_labels))
        assert np.array_equal(*seen)


def test_a_slip_of_the_outline_is_no_hand(crop, mesh_labels):
    skin, background = (np.uint8(CLASSES.index(name)) for name in ("skin", "background"))
    moved = np.roll(np.where(pixels(mesh_labels, "face"), skin, background), 6, axis=1)
    labels = with_parts(mesh_labels, moved, crop[1], TREE)
    assert not pixels(labels, "occluder").any()
    assert pixels(labels, "background").sum() == of_class(moved, "background").sum()


@pytest.mark.parametrize(
    ("over", "concept"),
    [
        ("philtrum", "moustache"), ("middle chin", "beard"), ("left lower cheek", "beard"),
        ("right side cheek", "right sideburn"), ("left side cheek", "left sideburn"),
        ("middle lower forehead", "hair fringe"), ("right upper eyelid", "hair fringe"),
        ("middle lower lip", "hair"),
    ],
)  # fmt: skip
def test_hair_over_the_face_is_told_by_what_it_covers(crop, mesh_labels, over, concept):
    hair = pixels(mesh_labels, over)
    classes = np.where(hair, CLASSES.index("hair"), CLASSES.index("skin")).astype(np.uint8)
    labels = with_parts(mesh_labels, classes, crop[1], TREE)
    assert set(labels[hair]) == {TREE.by_name[concept].id}


def test_what_cannot_be_told_keeps_the_concept_above(crop, mesh_labels):
    classes = np.full((SIZE, SIZE), CLASSES.index("background"), np.uint8)
    x, y = (int(v) for v in crop[1][234, :2])
    classes[y : y + 12, x - 30 : x - 10] = CLASSES.index("left ear")
    classes[:20, :20] = CLASSES.index("skin")
    classes[:20, 40:60] = CLASSES.index("brow")
    labels = with_parts(mesh_labels, classes, crop[1], TREE)
    assert labels[y + 5, x - 20] == TREE.by_name["right ear"].id
    assert labels[5, 5] == TREE.by_name["face"].id
    assert labels[5, 50] == TREE.by_name["eyebrows"].id


@pytest.mark.parametrize("is_covered", [False, True])
def test_a_mirrored_picture_swaps_the_sides(crop, mesh_labels, is_covered):
    classes = drawn_classes(crop[1], mesh_labels, TREE, is_covered)
    labels = with_parts(mesh_labels, classes, crop[1], TREE)
    points = crop[1][load_mesh().mirror].copy()
    points[:, 0] = SIZE - 1 - points[:, 0]
    flipped = with_parts(TREE.mirror[mesh_labels][:, ::-1].copy(), classes[:, ::-1].copy(), points,
                         TREE)  # fmt: skip
    assert (TREE.mirror[flipped[:, ::-1]] == labels).mean() > 0.999


def test_a_turned_picture_has_the_same_parts(crop, mesh_labels, turned):
    classes = drawn_classes(crop[1], mesh_labels, TREE, covered=True)
    labels = with_parts(mesh_labels, classes, crop[1], TREE)
    quarter = crop[1].copy()
    quarter[:, 0], quarter[:, 1] = SIZE - 1 - crop[1][:, 1], crop[1][:, 0]
    spun = with_parts(*(np.rot90(one, -1).copy() for one in (mesh_labels, classes)), quarter, TREE)
    assert (np.rot90(spun) == labels).mean() > 0.999


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data(), name=st.sampled_from(sorted(NETWORKS)), scale=st.sampled_from([1, 8, 64]))
def test_any_class_map_gives_a_partition(mesh_labels, crop, data, name, scale):
    size = 64
    few = data.draw(arrays(np.uint8, size // scale, elements=st.integers(0, 18)))
    other = data.draw(arrays(np.uint8, size // scale, elements=st.integers(0, 18)))
    raw = ((few[:, None].astype(int) + other[None]) % 19).astype(np.uint8)
    raw = np.kron(raw, np.ones((scale, scale), np.uint8))
    mesh = np.ascontiguousarray(mesh_labels[::8, ::8])
    classes = in_our_order(raw, name)
    labels = with_parts(mesh, classes, crop[1] / 8, TREE)
    known = {one.id for one in TREE.concepts}
    assert set(np.unique(labels)) <= known - {TREE.by_name["surroundings"].id, TREE.root.id}
    hair = pixels(labels, "hair", "facial hair")
    assert np.array_equal(hair, of_class(classes, "hair"))
    assert np.array_equal(pixels(labels, "ears"), of_class(classes, "right ear", "left ear"))


def test_a_face_at_the_edge_of_the_crop_is_parsed(crop, mesh_labels):
    classes = drawn_classes(crop[1], mesh_labels, TREE, covered=True)
    points = crop[1] - np.float32([256, 128, 0])
    part = (slice(128, 384), slice(256, 512))
    labels = with_parts(mesh_labels[part].copy(), classes[part].copy(), points, TREE)
    assert labels.min() > 0
    assert labelmap.label_map(points, 256, TREE, crop[0][part].copy()).shape == labels.shape
