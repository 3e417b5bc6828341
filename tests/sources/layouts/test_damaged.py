"""Damaged input of every kind: a reject with a reason, or one error that names file and remedy."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.datasets import Licence
from schemas.errors import Rejected, RejectReason, SourceMissing, UsageError
from schemas.manifest import Dataset
from schemas.records import Pair
from sources.layouts import find_pairs
from sources.pairs import PairReader
from tests.films import panned, save

PAIR = Pair(
    dataset="d", method="m", compression="", pair="p", split="", real_path="real.mp4",
    fake_path="fake.mp4",
)  # fmt: skip
Spoil = Callable[[bytes], bytes]


def csv_block(**changes: object) -> Dataset:
    block = {
        "title": "t", "root": "unused", "layout": "csv", "methods": {"swap": "identity swap"},
        "licence": Licence(name="none"),
    }  # fmt: skip
    return Dataset.model_validate({**block, **changes})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    save(folder / "real.mp4", panned(30))
    save(folder / "fake.mp4", panned(30))
    return folder


def pair_with(whole: Path, folder: Path, content: bytes, side: str = "fake") -> Path:
    other = "real" if side == "fake" else "fake"
    (folder / f"{other}.mp4").write_bytes((whole / f"{other}.mp4").read_bytes())
    (folder / f"{side}.mp4").write_bytes(content)
    return folder


def outcome(root: Path, pair: Pair = PAIR) -> tuple[RejectReason | None, str]:
    """Reads a pair that may be damaged; whatever but `Rejected` it raises fails the test."""
    try:
        frames = PairReader().read(root, pair, 8)
    except Rejected as rejection:
        told = rejection.detail.replace(str(root), "a path that no reject may publish")
        return rejection.reason, told
    assert all(frame.real.shape == frame.fake.shape == (120, 160, 3) for frame in frames)
    return None, ""


@pytest.mark.parametrize("seed", range(16))
def test_flipped_bits_are_read_or_rejected(whole: Path, tmp_path: Path, seed: int) -> None:
    """A flip in the picture's data may decode to other pixels, which nothing can tell."""
    content = bytearray((whole / "fake.mp4").read_bytes())
    rng = np.random.default_rng(seed)
    for place in rng.integers(0, len(content), 1 + 4 * seed):
        content[place] ^= 1 << int(rng.integers(0, 8))
    reason, detail = outcome(pair_with(whole, tmp_path, bytes(content)))
    assert reason is None or "fake" in detail


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999])
def test_a_cut_off_video_is_rejected(whole: Path, tmp_path: Path, share: float) -> None:
    content = (whole / "fake.mp4").read_bytes()
    root = pair_with(whole, tmp_path, content[: int(share * len(content))])
    reason, detail = outcome(root)
    assert reason in {RejectReason.UNREADABLE_VIDEO, RejectReason.NO_VIDEO_STREAM}
    assert detail.startswith("fake.mp4")


def without_head(content: bytes) -> bytes:
    return content[2000:]


def doubled(content: bytes) -> bytes:
    return content[: len(content) // 2] * 2


def zeroed(content: bytes) -> bytes:
    return bytes(len(content))


def as_text(content: bytes) -> bytes:
    return b"<html>403 Forbidden</html>\n"


def as_pointer(content: bytes) -> bytes:
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4711\n"


def as_png(content: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + content[:500]


def as_zip(content: bytes) -> bytes:
    return b"PK\x03\x04" + content[:500]


def as_nothing(content: bytes) -> bytes:
    return b""


def one_byte(content: bytes) -> bytes:
    return b"\x00"


@pytest.mark.parametrize("side", ["real", "fake"])
@pytest.mark.parametrize(
    "spoil",
    [without_head, doubled, zeroed, as_text, as_pointer, as_png, as_zip, as_nothing, one_byte],
)
def test_what_is_called_a_video_and_is_none(
    whole: Path, tmp_path: Path, spoil: Spoil, side: str
) -> None:
    content = spoil((whole / f"{side}.mp4").read_bytes())
    reason, detail = outcome(pair_with(whole, tmp_path, content, side))
    assert reason in {RejectReason.UNREADABLE_VIDEO, RejectReason.NO_VIDEO_STREAM}
    assert detail.startswith(f"{side}.mp4")


@pytest.mark.parametrize("container", ["matroska", "mpegts", "mov", "flv"])
def test_another_container_under_the_name_of_mp4_is_read(
    whole: Path, tmp_path: Path, container: str
) -> None:
    with av.open(whole / "fake.mp4") as source:
        path = tmp_path / "other"
        with av.open(path, "w", format=container) as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(source.streams.video[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
    assert outcome(pair_with(whole, tmp_path, path.read_bytes()))[0] is None


def test_sound_alone_is_no_video(whole: Path, tmp_path: Path) -> None:
    with av.open(tmp_path / "sound.mp4", "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.rate = 44100
        container.mux([*stream.encode(silence), *stream.encode()])
    root = pair_with(whole, tmp_path, (tmp_path / "sound.mp4").read_bytes())
    assert outcome(root)[0] is RejectReason.NO_VIDEO_STREAM


def test_a_folder_called_like_a_video_has_no_frames(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "real.mp4").write_bytes((whole / "real.mp4").read_bytes())
    (tmp_path / "fake.mp4").mkdir()
    reason, detail = outcome(tmp_path)
    assert reason is RejectReason.UNREADABLE_VIDEO
    assert "folder without pictures" in detail


@pytest.mark.parametrize("seed", range(8))
def test_flipped_bits_in_pictures_are_read_or_rejected(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    suffix = (".png", ".jpg")[seed % 2]
    for side in ("real", "fake"):
        save(tmp_path / f"{side}{suffix}", panned(1))
    content = bytearray((tmp_path / f"fake{suffix}").read_bytes())
    for place in rng.integers(0, min(len(content), 3000), 1 + seed):
        content[place] ^= 1 << int(rng.integers(0, 8))
    (tmp_path / f"fake{suffix}").write_bytes(content)
    paths = {"real_path": f"real{suffix}", "fake_path": f"fake{suffix}"}
    reason, detail = outcome(tmp_path, PAIR.model_copy(update=paths))
    assert reason is None or detail


HEAD = "real,fake\n"
GOOD = "r/1.mp4,f/1.mp4\n"


def table(root: Path, text: str | bytes) -> None:
    for path in ("r/1.mp4", "f/1.mp4", "f/2.mp4"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")
    content = text if isinstance(text, bytes) else text.encode()
    (root / "pairs.csv").write_bytes(content)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("/etc/passwd,f/1.mp4", "path of real is absolute"),
        ("r/1.mp4,C:/f/1.mp4", "path of fake is absolute"),
        ("~/1.mp4,f/1.mp4", "path of real is absolute"),
        ("../r/1.mp4,f/1.mp4", "path of real leaves"),
        ("r/../../x.mp4,f/1.mp4", "path of real leaves"),
        (r"r\1.mp4,f/1.mp4", "write folders with /"),
        (",f/1.mp4", "path of real is empty"),
        ("r/1.mp4,", "path of fake is empty"),
        ("r/1.mp4", "has 1 cells, the heading has 2"),
        ("r/1.mp4,f/1.mp4,c23", "has 3 cells, the heading has 2"),
        ("r/1.mp4,f/7.mp4", "the fake f/7.mp4 is listed, but it is not there"),
        ("r/7.mp4,f/1.mp4", "f/1.mp4 has no real video r/7.mp4"),
        ("r,f/1.mp4", "f/1.mp4 has no real video r"),
        ("r/" + "x" * 300 + ".mp4,f/1.mp4", "has no real video"),
        ("r/1.mp4,f/2.mp4\nr/1.mp4,f/2.mp4", "is listed twice"),
        ("r/1.mp4,f/2.mp4\nf/1.mp4,f/2.mp4", "twice: r/1.mp4 and f/1.mp4"),
        ("r/\x001.mp4,f/1.mp4", "has a character"),
    ],
)
def test_a_row_that_names_no_pair_is_a_reject(tmp_path: Path, row: str, said: str) -> None:
    table(tmp_path, f"{HEAD}r/1.mp4,f/1.mp4\n{row}\n".replace(GOOD, "", 1) + GOOD)
    pairs, rejects = find_pairs("d", csv_block(), tmp_path)
    assert "d/swap/f-1" in {pair.key for pair in pairs}
    [reject] = [one for one in rejects if said in one.detail]
    assert reject.reason in {"bad_entry", "missing_partner"}
    assert reject.stage == "plan"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column 'real'.* It is: empty"),
        ("fake\nf/1.mp4\n", "no column 'real'"),
        ("real;fke\nr/1.mp4;f/1.mp4\n", "no column 'fake'.*real, fke"),
        (GOOD, "no column 'real'; its first line must name the columns"),
        ("real,fake,fake\nr/1.mp4,f/1.mp4,f/2.mp4\n", "two columns 'fake'"),
        ('real,fake\n"r/1.mp4,f/1.mp4\n', "is no table: line"),
        (HEAD.encode("utf-16"), "is not UTF-8 text"),
        (b"real,fake\nr/\xff.mp4,f/1.mp4\n", "is not UTF-8 text: save it as UTF-8"),
        (b"PK\x03\x04\x14\x00\x06\x00\x08\x00xl/workbook.xml", "no column 'real'"),
    ],
)
def test_a_list_that_is_no_table_is_one_error(tmp_path: Path, text: str | bytes, said: str) -> None:
    table(tmp_path, text)
    with pytest.raises(UsageError, match=rf"pairs\.csv (.|\n)*{said}|pairs\.csv {said}"):
        find_pairs("d", csv_block(), tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + HEAD + GOOD,
        (HEAD + GOOD).replace(",", ";"),
        (HEAD + GOOD).replace(",", "\t"),
        (HEAD + GOOD).replace("\n", "\r\n"),
        "Real , FAKE\n" + GOOD,
        "note,real,fake\nfirst,r/1.mp4,f/1.mp4\n",
        HEAD + "\n" + GOOD + "\n ,\n",
        '"real","fake"\n"r/1.mp4","f/1.mp4"\n',
        HEAD + GOOD.strip(),
    ],
)
def test_lists_as_spreadsheets_write_them_are_read(tmp_path: Path, text: str) -> None:
    table(tmp_path, text)
    pairs, rejects = find_pairs("d", csv_block(), tmp_path)
    assert [(pair.real_path, pair.fake_path) for pair in pairs] == [("r/1.mp4", "f/1.mp4")]
    assert rejects == []


def test_methods_and_levels_that_the_manifest_does_not_list_are_told_once(tmp_path: Path) -> None:
    rows = "r/1.mp4,f/1.mp4,swap,\nr/1.mp4,f/2.mp4,morph,\nr/1.mp4,f/1.mp4,morph,\n"
    table(tmp_path, "real,fake,method,compression\n" + rows + "r/1.mp4,f/2.mp4,swap,c99\n")
    pairs, rejects = find_pairs("d", csv_block(), tmp_path)
    assert len(pairs) == 1
    assert [(one.reason, one.method) for one in rejects] == [
        ("bad_entry", "morph"), ("bad_entry", "swap"),
    ]  # fmt: skip
    assert "'c99'" in rejects[1].detail
    several = csv_block(methods={"swap": "identity swap", "edit": "attribute edit"})
    table(tmp_path, HEAD + GOOD)
    with pytest.raises(SourceMissing, match="names no method, and the manifest has several"):
        find_pairs("d", several, tmp_path)


def test_a_missing_list_or_mask_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(SourceMissing, match=r"no list pairs\.csv below .*docs/datasets\.md"):
        find_pairs("d", csv_block(), tmp_path)
    table(tmp_path, "real,fake,mask\nr/1.mp4,f/1.mp4,m/1.png\nr/1.mp4,f/2.mp4,\n")
    pairs, [reject] = find_pairs("d", csv_block(), tmp_path)
    assert [pair.pair for pair in pairs] == ["f-2"]
    assert "names a mask that is not there: m/1.png" in reject.detail


def metadata(root: Path, text: str | bytes) -> Dataset:
    for name in ("a.mp4", "b.mp4", "r.mp4"):
        (root / "part").mkdir(exist_ok=True)
        (root / "part" / name).write_bytes(b"x")
    content = text if isinstance(text, bytes) else text.encode()
    (root / "part/metadata.json").write_bytes(content)
    return csv_block(layout="metadata_json", methods={"DFDC": "identity swap"})


FINE = {"a.mp4": {"label": "FAKE", "original": "r.mp4"}, "r.mp4": {"label": "REAL"}}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"label": "FAKE", "original": "gone.mp4"}, "has no real video part/gone.mp4"),
        ({"label": "FAKE", "original": "a.mp4"}, "is itself a fake: a.mp4"),
        ({"label": "FAKE", "original": "/r.mp4"}, "is absolute"),
        ({"label": "FAKE", "original": "../r.mp4"}, "leaves the dataset's root"),
        ({"label": "FAKE", "original": 7}, "has no real video part/7"),
        ({"label": "FAKE"}, "has no original in its list"),
        ({"label": "FAKE", "original": None}, "has no original in its list"),
        ({"label": "MAYBE", "original": "r.mp4"}, "has no label FAKE or REAL"),
        ({}, "has no label FAKE or REAL"),
        ("FAKE", "has no label FAKE or REAL"),
        (None, "has no label FAKE or REAL"),
    ],
)
def test_an_entry_that_names_no_pair_is_a_reject(tmp_path: Path, entry: object, said: str) -> None:
    dataset = metadata(tmp_path, json.dumps({**FINE, "b.mp4": entry}))
    pairs, [reject] = find_pairs("d", dataset, tmp_path)
    assert [pair.pair for pair in pairs] == ["part-a"]
    assert said in reject.detail
    assert "part/b.mp4" in reject.detail


@pytest.mark.parametrize("name", ["gone.mp4", "../a.mp4", "/a.mp4", ""])
def test_an_entry_of_a_file_that_is_not_there_is_a_reject(tmp_path: Path, name: str) -> None:
    dataset = metadata(tmp_path, json.dumps({**FINE, name: FINE["a.mp4"]}))
    pairs, [reject] = find_pairs("d", dataset, tmp_path)
    assert len(pairs) == 1
    assert reject.reason in {"bad_entry", "missing_partner"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not valid JSON"),
        (json.dumps(FINE)[:-5], "is not valid JSON"),
        ("[1, 2]", "must be an object.*it is a list"),
        ("null", "must be an object"),
        ("[" * 100_000, "is not valid JSON"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        ('{"a.mp4": {}, "a.mp4": {}}', "'a.mp4' is twice"),
    ],
)
def test_a_broken_metadata_file_is_one_error(tmp_path: Path, text: str | bytes, said: str) -> None:
    dataset = metadata(tmp_path, text)
    with pytest.raises(UsageError, match=rf"metadata\.json {said}|metadata\.json (.|\n)*{said}"):
        find_pairs("d", dataset, tmp_path)


def test_lists_are_found_in_folders_that_are_links(tmp_path: Path) -> None:
    disk, root = tmp_path / "disk", tmp_path / "root"
    disk.mkdir()
    root.mkdir()
    dataset = metadata(disk, json.dumps(FINE))
    (root / "part_0").symlink_to(disk / "part")
    (root / "more").symlink_to(disk)
    pairs, _ = find_pairs("d", dataset, root)
    assert [pair.fake_path for pair in pairs] == ["more/part/a.mp4", "part_0/a.mp4"]


def test_metadata_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    dataset = metadata(tmp_path, "\ufeff" + json.dumps(FINE))
    assert len(find_pairs("d", dataset, tmp_path)[0]) == 1


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_content_of_a_list_crashes(tmp_path: Path, content: bytes) -> None:
    table(tmp_path, HEAD.encode() + content)
    with contextlib.suppress(UsageError, SourceMissing):
        pairs, _ = find_pairs("d", csv_block(), tmp_path)
        assert all((tmp_path / pair.fake_path).is_file() for pair in pairs)
    dataset = metadata(tmp_path, content)
    with pytest.raises((UsageError, SourceMissing)):
        find_pairs("d", dataset, tmp_path)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entries=st.dictionaries(
        st.sampled_from(["b.mp4", "x", "../y", ""]),
        json_values | st.fixed_dictionaries({"label": st.just("FAKE"), "original": json_values}),
    )
)
def test_whatever_an_entry_holds_the_others_are_paired(
    tmp_path: Path, entries: dict[str, object]
) -> None:
    dataset = metadata(tmp_path, json.dumps({**FINE, **entries}))
    pairs, rejects = find_pairs("d", dataset, tmp_path)
    assert "part-a" in {pair.pair for pair in pairs}
    assert len(pairs) + len(rejects) == 1 + len(entries)
