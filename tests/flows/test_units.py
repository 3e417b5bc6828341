import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.units import Store, measuring_code, unit_id
from schemas.errors import RejectReason
from schemas.provenance import file_hash
from schemas.records import Pair, Reject

ROW = Pair(
    dataset="d", method="m", compression="c23", pair="0_1", split="", real_path="r", fake_path="f"
)
REJECT = Reject(
    id="d/m", dataset="d", method="m", compression="c23", pair="0_1", frame_index=1,
    stage="measure", reason="no_face", detail="",
)  # fmt: skip

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=4))
def test_an_id_depends_on_facts_and_not_on_their_order(facts):
    backwards = dict(reversed(list(facts.items())))
    assert unit_id(facts) == unit_id(backwards)
    assert unit_id(facts) != unit_id({**facts, "another fact": 1})


def test_a_unit_is_done_once_its_sidecar_is_there(tmp_path):
    store = Store(tmp_path, Pair)
    assert not store.is_done("u")
    store.commit("u", [ROW], [REJECT])
    assert store.is_done("u")
    assert store.rows(["u"]) == [ROW]
    assert store.rejects(["u"]) == [REJECT]
    (tmp_path / "u.json").unlink()
    assert not store.is_done("u")


def test_a_torn_sidecar_means_not_done(tmp_path):
    store = Store(tmp_path, Pair)
    store.commit("u", [], [])
    (tmp_path / "u.json").write_text('{"rows": 0, "rej')
    assert not store.is_done("u")


@pytest.mark.parametrize("name", ["u.parquet", "u.rejects.parquet"])
def test_a_torn_or_missing_file_means_not_done(tmp_path, name):
    store = Store(tmp_path, Pair)
    store.commit("u", [ROW], [REJECT])
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[:-40])
    assert not store.is_done("u")
    (tmp_path / name).unlink()
    assert not store.is_done("u")
    (tmp_path / name).write_bytes(whole)
    assert store.is_done("u")


def test_bugs_and_unreached_servers_are_tried_again(tmp_path):
    store = Store(tmp_path, Pair)
    bug = REJECT.model_copy(update={"reason": RejectReason.INTERNAL_ERROR.value})
    store.commit("bug", [], [bug])
    store.commit("server", [ROW], [], retry=True)
    assert not store.is_done("bug")
    assert not store.is_done("server")


def test_no_temporary_file_stays(tmp_path):
    store = Store(tmp_path, Pair)
    store.commit("u", [ROW], [])
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "u.json", "u.parquet", "u.rejects.parquet",
    ]  # fmt: skip


def test_hashes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_hash(tmp_path / "a").startswith("ba7816bf8f01cfea")
    assert file_hash(tmp_path / "nowhere") == ""
    release, _, source = measuring_code().partition("+")
    assert release.count(".") == 2
    assert len(source) == 8
