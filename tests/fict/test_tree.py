from __future__ import annotations

import re

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fict.handbook import BEGIN, END, PAGE, generated
from fict.mesh import load_mesh
from fict.tree import (
    ATOMIC,
    GROUP4,
    TREE_FILE,
    Inside,
    Loop,
    Parsing,
    TreeError,
    UnknownConceptError,
    load_tree,
    read_tree,
)

TREE = load_tree()
PARSING_CLASSES = {
    "left ear", "right ear", "hair", "neck", "glasses", "hat", "earring", "necklace", "cloth",
    "background", "other",
}  # fmt: skip
# A change here is a change of published ids: it needs a new major version of the tree.
ANCHORS = {
    1: "right upper forehead", 7: "glabella", 10: "right eyebrow head", 28: "right sclera",
    33: "left pupil", 41: "nose tip", 57: "philtrum", 62: "middle upper lip", 68: "upper teeth",
    81: "left jaw angle", 88: "hairline", 112: "occluder", 113: "image", 115: "surroundings",
    138: "inner mouth", 152: "earrings",
}  # fmt: skip


def test_the_file_is_pedantic():
    records = yaml.safe_load(TREE_FILE.read_text())["concepts"]
    assert [record["id"] for record in records] == list(range(1, len(records) + 1))
    assert len(records) <= 255
    head = ["id", "name", "parent", "side", "definition"]
    for record in records:
        atomic = record["id"] <= ATOMIC
        assert list(record) == ([*head, "where"] if atomic else head), record
        assert not re.search(r"  |[.] ", record["definition"]), record
    definitions = [record["definition"] for record in records]
    assert len(set(definitions)) == len(definitions)


def test_exactly_112_atomic_concepts_and_permanent_ids():
    assert len(TREE.atomic) == ATOMIC == 112
    assert [concept.id for concept in TREE.atomic] == list(range(1, 113))
    assert {i: TREE.by_id[i].name for i in ANCHORS} == ANCHORS


def test_every_field_of_the_file_is_described_on_top():
    top = TREE_FILE.read_text().split("version:")[0]
    for field in ("id", "name", "parent", "side", "definition", "where"):
        assert re.search(rf"^#   {field}\s", top, re.MULTILINE), field


@pytest.mark.parametrize("concept", TREE.concepts, ids=lambda concept: concept.name)
def test_twins_mirror_each_other(concept):
    twin = TREE.by_id[int(TREE.mirror[concept.id])]
    assert TREE.mirror[twin.id] == concept.id
    if concept.side in ("middle", "none"):
        assert twin == concept
        assert not re.search(r"\b(left|right)\b", concept.name)
        mirrored_parent = concept.parent
    else:
        assert {concept.side, twin.side} == {"left", "right"}
        assert concept.side in concept.name.split(" ")
        assert re.sub(r"\b(left|right)\b", "-", concept.definition) == re.sub(
            r"\b(left|right)\b", "-", twin.definition
        )
        mirrored_parent = TREE.by_id[int(TREE.mirror[TREE.by_name[concept.parent].id])].name
    assert twin.parent == mirrored_parent


@pytest.mark.parametrize("concept", TREE.atomic, ids=lambda concept: concept.name)
def test_where_is_mirrored_and_in_range(concept):
    mirror = load_mesh().mirror
    twin = TREE.by_id[int(TREE.mirror[concept.id])].where
    where = concept.where
    if isinstance(where, Parsing):
        assert where.parsing in PARSING_CLASSES
        return
    mine, other = (w.loop if isinstance(w, Loop) else w.inside for w in (where, twin))
    assert len(set(mine)) == len(mine)
    assert all(0 <= v < 468 for v in mine)
    assert {int(mirror[v]) for v in mine} == set(other)
    if isinstance(where, Inside):
        assert [int(mirror[v]) for v in where.points] == list(twin.points)


def test_ancestors_and_descendants_agree():
    for concept in TREE.concepts:
        assert all(concept in TREE.descendants_of(above) for above in TREE.ancestors_of(concept))
        assert all(concept in TREE.ancestors_of(below) for below in TREE.descendants_of(concept))
        assert bool(TREE.children_of(concept)) != TREE.is_atomic(concept)
    assert TREE.parent_of(TREE.root) is None
    assert len(TREE.descendants_of(TREE.root)) == len(TREE.concepts) - 1


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("right eyebrow tail", "eyes"),
        ("left lower eyelid", "eyes"),
        ("eyebrows", "eyes"),
        ("nose tip", "nose"),
        ("philtrum", "mouth"),
        ("upper teeth", "mouth"),
        ("middle chin", "face"),
        ("left nasolabial fold", "face"),
        ("face", "face"),
        ("hat", None),
        ("beard", None),
        ("image", None),
    ],
)
def test_fftg_groups(name, group):
    concept = TREE.by_name[name]
    assert TREE.group4(concept) == group
    expected = TREE.by_name[group].id if group else 0
    assert TREE.lookup_table("group4")[concept.id] == expected


def test_lookup_tables():
    atomic, parent = TREE.lookup_table("atomic"), TREE.lookup_table("parent")
    for concept in TREE.concepts:
        assert atomic[concept.id] == concept.id
        lifted = TREE.by_name[concept.parent].id if TREE.is_atomic(concept) else concept.id
        assert parent[concept.id] == lifted
    unused = np.arange(len(TREE.concepts) + 1, 256)
    for level in ("atomic", "parent", "group4"):
        table = TREE.lookup_table(level)
        assert table.dtype == np.uint8
        assert table.shape == (256,)
        assert table[0] == 0
        assert not table[unused].any()
    assert set(GROUP4.values()) == {"mouth", "nose", "eyes", "face"}
    with pytest.raises(ValueError, match="level is atomic, parent or group4, not 'fine'"):
        TREE.lookup_table("fine")


@given(st.lists(st.integers(1, len(TREE.concepts)), min_size=1, max_size=300))
def test_a_node_counts_what_its_children_count(ids):
    labels = np.array(ids, np.uint8)
    counts = TREE.counts(labels)
    assert counts[TREE.root.id] == len(ids)
    for concept in TREE.concepts:
        own = int((labels == concept.id).sum())
        assert counts[concept.id] == own + sum(counts[c.id] for c in TREE.children_of(concept))


def test_unknown_names_and_ids_say_what_is_near():
    with pytest.raises(UnknownConceptError, match="'rigth iris'; the nearest is 'right iris'"):
        TREE.by_name["rigth iris"]
    with pytest.raises(KeyError, match="no FICT concept has the id 250"):
        TREE.by_id[250]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("id: 7\n", "id: 8\n", "ids are not 1..152 once each"),
        ("name: glabella", "name: nose root", "same name"),
        ("parent: nose base", "parent: nose bases", "parent 'nose bases' does not exist"),
        ("parent: nose bridge", "parent: nose tip", "parent 'nose tip' is atomic"),
        ("side: none", "side: both", "side"),
        ("above the root of the nose, where frown lines stand.", "x", "definition"),
        ("    side: middle\n", "    side: middle\n    colour: red\n", "colour"),
        ("name: right pupil", "name: right iris hole", "twin 'left iris hole' does not exist"),
        ("image\n    parent: \"\"", "image\n    parent: face", "only 'image' has no parent"),
        ("nose\n    parent: face", "nose\n    parent: nose base", "form a circle: "),
        ("part: whole}\n  - id: 113", "part: whole}\n  - id: 113", None),
    ],
)  # fmt: skip
def test_a_broken_file_is_named(tmp_path, old, new, message):
    text = TREE_FILE.read_text()
    assert old in text
    broken = tmp_path / "fict.yaml"
    broken.write_text(text.replace(old, new, 1))
    if message is None:
        assert read_tree(broken).version == TREE.version
        return
    with pytest.raises(TreeError, match=message):
        read_tree(broken)


def test_the_version_follows_the_file(tmp_path):
    assert re.fullmatch(r"\d+\.\d+\.\d+\+[0-9a-f]{12}", TREE.version)
    other = tmp_path / "fict.yaml"
    other.write_text(TREE_FILE.read_text().replace("frown lines stand", "frown lines show"))
    assert read_tree(other).version.split("+")[0] == TREE.version.split("+")[0]
    assert read_tree(other).version != TREE.version


def test_the_page_is_written_from_the_tree():
    page = PAGE.read_text()
    assert page[page.index(BEGIN) : page.index(END)] == f"{BEGIN}\n{generated(TREE)}\n"
