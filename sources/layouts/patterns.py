"""Path patterns with `{keys}`, and the layout that finds pairs by them.

A file that fits `fake` gives the keys their values, the same values put into `real` name its
partner. A key stands for any run of characters without `/`; where a name can be cut in several
ways, earlier keys are as short as possible. Folders of methods and compressions that the manifest
does not list are ignored. `{split}` and `{edited}` say something of the pair.
"""

from __future__ import annotations

import glob
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from schemas.datasets import KEY, SHARED, TOLD, Dataset
from schemas.records import Pair, Reject
from sources.layouts.place import Candidate, Place, missing, no_videos
from sources.pictures import PICTURE_SUFFIXES

VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"})


def by_patterns(place: Place) -> Iterator[Candidate | Reject]:
    """Gives the fakes of the listed methods and compressions, in the order of the manifest."""
    dataset = place.dataset
    for method, compression in itertools.product(dataset.methods, dataset.compressions):
        found = False
        for folders in _folders(dataset, method, compression):
            for one in _in_folders(place, (method, compression), folders):
                found = True
                yield one
        if not found:
            like = fill(dataset.fake, {"method": method, "compression": compression})
            yield no_videos(place, method, compression, like)


def _folders(dataset: Dataset, method: str, compression: str) -> list[dict[str, str]]:
    """Gives the names that the folders of a method and compression may have, each place once."""
    names = itertools.product(dataset.names_of(method), dataset.names_of(compression))
    values = [dict(zip(SHARED, one, strict=True)) for one in names]
    return list({fill(dataset.fake, one): one for one in reversed(values)}.values())[::-1]


def _in_folders(
    place: Place, shared: tuple[str, str], folders: Mapping[str, str]
) -> Iterator[Candidate | Reject]:
    """Gives the files of one method and compression, by the names that their folders have."""
    dataset = place.dataset
    narrow, wide = regex(fill(dataset.fake, folders)), regex(dataset.fake)
    for path in listed(place, PurePosixPath(fill(dataset.fake, folders))):
        keys = narrow.fullmatch(path)
        if not keys:
            if not wide.fullmatch(path):
                pair = _pair(place, shared, path, {})
                yield missing(pair, f"the name of {path} does not fit {dataset.fake}")
        elif (one := candidate(place, shared, path, {**folders, **keys.groupdict()})) is not None:
            yield one


def candidate(
    place: Place, shared: tuple[str, str], path: str, values: Mapping[str, str]
) -> Candidate | None:
    """Makes the pair of a fake whose keys are known; `None` where it is its own partner.

    Args:
        place: The dataset.
        shared: Method and compression as the manifest spells them.
        path: The fake, below root.
        values: Values of the keys, as the path spells them.
    """
    dataset = place.dataset
    own = {key: value for key, value in values.items() if key not in SHARED}
    pair = _pair(place, shared, path, own)
    real = _real_path(place, values, shared[1])
    if real == path and place.root == place.real_root:
        return None  # a folder of originals beside those of the fakes
    told = pair.model_copy(
        update={
            "real_path": real,
            "mask_path": _mask_path(place, shared[0], values),
            "split": dataset.plain(values.get("split", "")),
            "identities": tuple(values[key] for key in dataset.identities if key in values),
            "edited": edited_parts(values.get("edited", ""), dataset.edited_names),
        }
    )
    ids = frozenset(value for key, value in own.items() if key not in TOLD)
    listed_by = frozenset(told.identities) or ids
    return Candidate(told, listed_by, file_of(fill(dataset.real, own)))


def _pair(place: Place, shared: tuple[str, str], path: str, own: Mapping[str, str]) -> Pair:
    return Pair(
        dataset=place.name,
        method=shared[0],
        compression=shared[1],
        pair=pair_name(place.dataset.fake, own, path),
        split="",
        real_path="",
        fake_path=path,
    )


def _real_path(place: Place, values: Mapping[str, str], compression: str) -> str:
    """Gives the partner; its folder may have another name of the compression than the fake's."""
    names = dict.fromkeys([values.get("compression", ""), *place.dataset.names_of(compression)])
    paths = [fill(place.dataset.real, {**values, "compression": name}) for name in names]
    return next((path for path in paths if place.has_real(path)), paths[0])


def _mask_path(place: Place, method: str, values: Mapping[str, str]) -> str:
    if not place.dataset.mask or method in place.dataset.unmasked:
        return ""
    path = fill(place.dataset.mask, values)
    return path if (place.root / path).exists() else ""


def edited_parts(text: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Reads a list of edited parts: `nose-eye-lip`, or `[1, 2, 4, 0, 0]` with the parts' names."""
    words = re.findall(r"[^\s\-,;\[\]()'\"]+", text)
    numbered = {str(number): name for number, name in enumerate(names, start=1)}
    return tuple(numbered.get(word, word) for word in words if word != "0")


def listed(place: Place, pattern: PurePosixPath) -> list[str]:
    """Lists what may be a side in the folders of a pattern, in natural order, hidden ones left out.

    Files with the suffixes of videos or pictures, or folders, as `frames` of the manifest says.
    """
    folders = "*".join(glob.escape(part) for part in KEY.split(str(pattern.parent))[::2])
    folders = re.sub(r"\*+", "*", folders)  # neighbouring keys
    kind = place.dataset.frames
    suffixes = (PICTURE_SUFFIXES if kind == "picture" else VIDEO_SUFFIXES) | {pattern.suffix}
    found = [
        path.relative_to(place.root).as_posix()
        for path in place.root.glob(f"{folders}/*")
        if not path.name.startswith(".")
        and (path.is_dir() if kind == "folder" else path.suffix.lower() in suffixes)
        and (kind == "folder" or path.is_file())
    ]
    return sorted(found, key=natural)


def natural(path: str) -> list[tuple[int, str]]:
    """Sorts `2` before `10`."""
    parts = re.split(r"([0-9]+)", path)
    return [(int(part) if part.isdecimal() and part.isascii() else 0, part) for part in parts]


def fill(pattern: str, values: Mapping[str, str]) -> str:
    """Puts values into a pattern; keys without a value stay."""
    return KEY.sub(lambda key: values.get(key[1], key[0]), pattern)


def file_of(pattern: str) -> str:
    """Names a recording whatever its compression: a pattern with only such keys left."""
    return KEY.sub("*", pattern)


def regex(pattern: str) -> re.Pattern[str]:
    """Turns a pattern into a regular expression; a repeated key must have one value."""
    seen: set[str] = set()
    expression = ""
    for index, part in enumerate(KEY.split(pattern)):
        if index % 2 == 0:
            expression += re.escape(part)
        else:
            expression += f"(?P={part})" if part in seen else f"(?P<{part}>[^/]+?)"
            seen.add(part)
    return re.compile(expression)


def pair_name(pattern: str, keys: Mapping[str, str], path: str) -> str:
    """Names a pair by its fake's stem, with the values of keys in the folder part before it."""
    folders = KEY.findall(str(PurePosixPath(pattern).parent))
    parts = [keys[key] for key in dict.fromkeys(folders) if key in keys]
    name = PurePosixPath(path)
    stem = name.name if _is_folder(pattern) else name.stem
    return "-".join([*parts, stem])


def _is_folder(pattern: str) -> bool:
    """Tells whether a pattern's last part has no suffix, as that of a folder of frames."""
    return not PurePosixPath(pattern).suffix


def check_keys(name: str, dataset: Dataset) -> str:
    """Says which key of `real` or `mask` the pattern `fake` does not give; empty: none."""
    given = set(KEY.findall(dataset.fake)) | set(SHARED)
    for field in ("real", "mask"):
        strange = sorted(set(KEY.findall(getattr(dataset, field))) - given)
        if strange:
            return (
                f"datasets.{name}.{field} uses {{{strange[0]}}}, which datasets.{name}.fake "
                f"does not give: {dataset.fake}"
            )
    return ""
