"""Finds the real/fake pairs of a dataset and reads their frames side by side.

A dataset is described by two path patterns with `{keys}` (`data_manifest.yaml`): a file that fits
`fake` gives the keys their values, the same values put into `real` name its partner. A key stands
for any run of characters without `/`; where a name can be cut in several ways, earlier keys are as
short as possible. Folders of methods and compressions that the manifest does not list are ignored.
"""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ManifestError, Rejected, RejectReason, SourceMissing, UsageError
from schemas.manifest import Dataset
from schemas.records import Pair, Reject
from sources.alignment import Alignment, align_videos
from sources.video import VideoFrame, VideoInfo, probe, read_frames

MAX_RATE_DIFFERENCE = 0.01
"""Frame rates of the two sides may differ by this share (29.97 and 30 are the same)."""

VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"})

SHIFTED, MIRRORED = "shifted in time", "mirrored"
"""Repairs of a pair: other frames were paired; the fake was flipped left to right."""

_KEY = re.compile(r"\{(\w+)\}")
_SHARED = ("method", "compression")


@dataclass(frozen=True, eq=False)
class FramePair:
    """The same frame of both sides.

    Attributes:
        index: Position in the fake video, from 0.
        timestamp_s: Seconds since the first frame of the fake video.
        real: `(H, W, 3) uint8` RGB.
        fake: `(H, W, 3) uint8` RGB, the same size; flipped back where it was mirrored.
        frame_offset: Real less fake index.
        repairs: What had to be done, of `SHIFTED` and `MIRRORED`.
    """

    index: int
    timestamp_s: float
    real: NDArray[np.uint8]
    fake: NDArray[np.uint8]
    frame_offset: int = 0
    repairs: tuple[str, ...] = ()

    @property
    def real_index(self) -> int:
        """Position in the real video, from 0."""
        return self.index + self.frame_offset


def find_pairs(name: str, dataset: Dataset, root: Path) -> tuple[list[Pair], list[Reject]]:
    """Finds every fake of the listed methods and compressions, with its real partner.

    A pair is named by its fake's file stem, with the values of keys in the folder part before it.
    Its split is the one whose file lists the pair's ids, in either order; it is empty where none
    does, and where the dataset has none of its split files.

    Args:
        name: The dataset's name in the manifest.
        dataset: Its block.
        root: Its folder (`dataset.folder(name)`).

    Returns:
        The pairs by method, compression (both as the manifest orders them) and natural order of
        names, and a reject for each fake without a real video and for each video whose name does
        not fit the pattern (`missing_partner`), and for each method and compression without any
        video (`no_videos`).

    Raises:
        SourceMissing: No pair at all, or only some of the split files are there.
        ManifestError: `real` uses a key that `fake` does not give.
        UsageError: A split file is not a list of lists of ids, or puts a pair into two splits.
    """
    _check_keys(name, dataset)
    splits = _read_splits(dataset, root)
    pairs: list[Pair] = []
    rejects: dict[str, Reject] = {}
    for method in dataset.methods:
        for compression in dataset.compressions:
            shared = {"method": method, "compression": compression}
            candidates = list(_candidates(name, dataset, root, shared))
            if not candidates:
                rejects[f"{method}/{compression}"] = _no_videos(name, dataset, shared)
            for found in candidates:
                if isinstance(found, Reject):
                    rejects.setdefault(found.detail, found)
                elif (root / found.real_path).is_file():
                    pairs.append(found.model_copy(update={"split": _split(found, dataset, splits)}))
                else:
                    detail = f"{found.fake_path} has no real video {found.real_path}"
                    rejects[detail] = _missing(found, detail)
    if not pairs:
        odd = [one.detail for one in rejects.values() if one.reason != RejectReason.NO_VIDEOS]
        raise SourceMissing(_nothing(name, dataset, root, odd))
    return pairs, list(rejects.values())


def spaced_indices(frames: int, count: int) -> list[int]:
    """Gives the middles of `count` equal parts of a video; every frame where it has no more.

    Frame k is `floor((2k + 1) * frames / (2 * count))`: sorted, distinct, the same each time.

    Raises:
        ValueError: `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"at least one frame must be wanted, got {count}")
    count = min(count, frames)
    return [(2 * k + 1) * frames // (2 * count) for k in range(count)]


def common_indices(real: int, fake: int, offset: int, count: int) -> list[int]:
    """Gives the fake's indices of evenly spaced frames that both sides show.

    Args:
        real: Frames of the real side.
        fake: Frames of the fake side.
        offset: Real less fake index.
        count: Frames wanted.

    Raises:
        Rejected: `NO_FRAMES`: the sides share none.
    """
    first, last = max(0, -offset), min(fake, real - offset)
    if first >= last:
        raise Rejected(
            RejectReason.NO_FRAMES,
            f"the sides share no frame: {real} real and {fake} fake ones, {offset} frames apart",
        )
    return [first + index for index in spaced_indices(last - first, count)]


def read_pair(root: Path, pair: Pair, count: int) -> list[FramePair]:
    """Reads `count` evenly spaced frames (`spaced_indices`) of those that both sides show.

    A fake that starts late or early or is mirrored is paired and turned as it should be.

    Raises:
        Rejected: `MISSING_PARTNER`, `SIZE_MISMATCH`, `FRAME_RATE_MISMATCH`, `NO_FRAMES` (none in
            common), and the reasons of `sources.alignment.align_videos`, `sources.video.probe`
            and `sources.video.read_frames`.
    """
    for path in (pair.real_path, pair.fake_path):
        if not (root / path).is_file():
            raise Rejected(RejectReason.MISSING_PARTNER, f"{path} does not exist")
    real, fake = probe(root / pair.real_path), probe(root / pair.fake_path)
    _check_match(real, fake)
    found = align_videos(root / pair.real_path, root / pair.fake_path)
    fake_indices = common_indices(real.frames, fake.frames, found.frame_offset, count)
    real_indices = [index + found.frame_offset for index in fake_indices]
    reals = read_frames(root / pair.real_path, real_indices)
    fakes = read_frames(root / pair.fake_path, fake_indices)
    return [_side_by_side(r, f, found) for r, f in zip(reals, fakes, strict=True)]


def _side_by_side(real: VideoFrame, fake: VideoFrame, found: Alignment) -> FramePair:
    done = ((SHIFTED, found.frame_offset != 0), (MIRRORED, found.mirrored))
    return FramePair(
        index=fake.index,
        timestamp_s=fake.timestamp_s,
        real=real.image,
        fake=np.ascontiguousarray(fake.image[:, ::-1]) if found.mirrored else fake.image,
        frame_offset=found.frame_offset,
        repairs=tuple(name for name, was_done in done if was_done),
    )


def _check_match(real: VideoInfo, fake: VideoInfo) -> None:
    if (real.width, real.height) != (fake.width, fake.height):
        raise Rejected(
            RejectReason.SIZE_MISMATCH,
            f"real is {real.width} x {real.height}, fake is {fake.width} x {fake.height} pixels",
        )
    if abs(real.fps - fake.fps) > MAX_RATE_DIFFERENCE * max(real.fps, fake.fps):
        raise Rejected(
            RejectReason.FRAME_RATE_MISMATCH,
            f"real runs at {real.fps:.3f}, fake at {fake.fps:.3f} frames per second",
        )


def _candidates(
    name: str, dataset: Dataset, root: Path, shared: Mapping[str, str]
) -> Iterator[Pair | Reject]:
    """Gives the videos of one method and compression: a pair, or a reject if the name is odd."""
    pattern, any_method = _regex(_fill(dataset.fake, shared)), _regex(dataset.fake)
    for path in _videos(root, PurePosixPath(_fill(dataset.fake, shared))):
        keys = pattern.fullmatch(path)
        pair = Pair(
            dataset=name,
            pair=_pair_name(dataset.fake, keys.groupdict() if keys else {}, path),
            split="",
            real_path=_fill(dataset.real, {**shared, **keys.groupdict()}) if keys else "",
            fake_path=path,
            **shared,
        )
        if keys:
            yield pair
        elif not any_method.fullmatch(path):
            yield _missing(pair, f"the name of {path} does not fit {dataset.fake}")


def _videos(root: Path, pattern: PurePosixPath) -> list[str]:
    """Lists the video files in the folders of a pattern, in natural order, hidden ones left out."""
    folders = "*".join(glob.escape(part) for part in _KEY.split(str(pattern.parent))[::2])
    suffixes = VIDEO_SUFFIXES | {pattern.suffix.lower()}
    folders = re.sub(r"\*+", "*", folders)  # neighbouring keys
    found = [
        path.relative_to(root).as_posix()
        for path in root.glob(f"{folders}/*")
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()
    ]
    return sorted(found, key=_natural)


def _natural(path: str) -> list[tuple[int, str]]:
    """Sorts `2` before `10`."""
    return [(int(part or 0) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", path)]


def _fill(pattern: str, values: Mapping[str, str]) -> str:
    """Puts values into a pattern; keys without a value stay."""
    return _KEY.sub(lambda key: values.get(key[1], key[0]), pattern)


def _regex(pattern: str) -> re.Pattern[str]:
    """Turns a pattern into a regular expression; a repeated key must have one value."""
    seen: set[str] = set()
    expression = ""
    for index, part in enumerate(_KEY.split(pattern)):
        if index % 2 == 0:
            expression += re.escape(part)
        else:
            expression += f"(?P={part})" if part in seen else f"(?P<{part}>[^/]+?)"
            seen.add(part)
    return re.compile(expression)


def _pair_name(pattern: str, keys: Mapping[str, str], path: str) -> str:
    folders = _KEY.findall(str(PurePosixPath(pattern).parent))
    parts = [keys[key] for key in dict.fromkeys(folders) if key in keys]
    return "-".join([*parts, PurePosixPath(path).stem])


def _missing(pair: Pair, detail: str) -> Reject:
    return Reject(
        id=pair.key,
        frame_index=None,
        stage="plan",
        reason=RejectReason.MISSING_PARTNER,
        detail=detail,
        **pair.model_dump(include={"dataset", "method", "compression", "pair"}),
    )


def _no_videos(name: str, dataset: Dataset, shared: Mapping[str, str]) -> Reject:
    return Reject(
        id="/".join(filter(None, (name, *shared.values()))),
        dataset=name,
        pair="",
        frame_index=None,
        stage="plan",
        reason=RejectReason.NO_VIDEOS,
        detail=f"there is no readable video like {_fill(dataset.fake, shared)}",
        **shared,
    )


def _check_keys(name: str, dataset: Dataset) -> None:
    strange = set(_KEY.findall(dataset.real)) - set(_KEY.findall(dataset.fake)) - set(_SHARED)
    if strange:
        raise ManifestError(
            f"datasets.{name}.real uses {{{sorted(strange)[0]}}}, which datasets.{name}.fake "
            f"does not give: {dataset.fake}"
        )


def _nothing(name: str, dataset: Dataset, root: Path, details: list[str]) -> str:
    found = f"\n{len(details)} fakes cannot be paired; the first: {details[0]}" if details else ""
    return (
        f"dataset '{name}' has no pair of methods {', '.join(dataset.methods)} and compressions "
        f"{', '.join(dataset.compressions)}; expected\n{dataset.expected_layout(str(root))}{found}"
    )


def _read_splits(dataset: Dataset, root: Path) -> dict[frozenset[str], str]:
    """Maps the ids of a listed pair to its split."""
    absent = [path for path in dataset.splits.values() if not (root / path).is_file()]
    if len(absent) == len(dataset.splits):
        return {}
    if absent:
        raise SourceMissing(f"{root} has some of its split files, but not {', '.join(absent)}")
    splits: dict[frozenset[str], str] = {}
    for split, path in dataset.splits.items():
        for ids in _read_ids(root / path):
            if splits.setdefault(ids, split) != split:
                raise UsageError(f"{sorted(ids)} is in the splits {splits[ids]} and {split}")
    return splits


def _read_ids(path: Path) -> list[frozenset[str]]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"the split file {path} cannot be read: {error}") from error
    shape = isinstance(entries, list) and all(isinstance(entry, list) for entry in entries)
    if not shape or not all(isinstance(one, str) for entry in entries for one in entry):
        raise UsageError(f'the split file {path} must be a list of id lists: [["000", "003"], ...]')
    return [frozenset(entry) for entry in entries]


def _split(pair: Pair, dataset: Dataset, splits: Mapping[frozenset[str], str]) -> str:
    keys = _regex(dataset.fake).fullmatch(pair.fake_path)
    values = {k: v for k, v in keys.groupdict().items() if k not in _SHARED} if keys else {}
    return splits.get(frozenset(values.values()), "")
