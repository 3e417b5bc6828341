"""The block of one dataset in the manifest: where its files are and what makes two of them a pair.

How the files are found is `layout`: by path patterns, by the `metadata.json` beside the videos, or
by a list with one row a pair. docs/datasets.md shows the block of each known dataset.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticKnownError

from schemas.errors import SourceMissing
from schemas.settings import Settings

KEY = re.compile(r"\{(\w+)\}")
"""A key of a path pattern."""
SHARED = ("method", "compression")
"""Keys whose values the manifest lists."""
TOLD = ("split", "edited")
"""Keys whose values say something of the pair: its split, what was edited (joined by `-`)."""
REST = "rest"
"""Stands for a split file: every pair that no other list names."""

_ENVIRONMENT = re.compile(r"\$\{(\w+)\}")


class Licence(Settings):
    """What the source allows."""

    name: str
    url: str = ""
    redistribute_pixels: bool = False


class Dataset(Settings):
    """Where a dataset's files are and how a fake names its real partner.

    `real`, `fake` and `mask` are paths with `{keys}`, under `real_root` (`real`) and `root`. A file
    that fits `fake` gives the keys their values; the same values put into `real` give its partner.
    """

    title: str
    root: str
    real_root: str = Field("", description="where the real sides lie in another dataset's folder")
    layout: Literal["patterns", "metadata_json", "csv"] = "patterns"
    lists: str = Field(
        "", description="metadata_json, csv: glob of the lists; `**/`: 0 to 2 folders"
    )
    frames: Literal["video", "folder", "picture"] = Field(
        "video", description="what a side is: a video, a folder of its frames, one picture"
    )
    fps: float = Field(25.0, gt=0, le=1000, description="rate of frames that are pictures")
    real: str = Field("", validate_default=True)
    fake: str = Field("", validate_default=True)
    mask: str = Field("", description="pattern of the dataset's own mask of a fake")
    unmasked: tuple[str, ...] = Field((), description="methods that have no such masks")
    methods: dict[str, str] = Field(min_length=1)
    compressions: tuple[str, ...] = Field(("",), min_length=1)
    aliases: dict[str, tuple[str, ...]] = Field(
        {}, description="other names of a method, compression or split"
    )
    identities: tuple[str, ...] = Field((), description="keys whose values name people")
    edited_names: tuple[str, ...] = Field((), description="names of edited parts 1, 2, ...")
    splits: dict[str, str] = Field({}, description="split: its list below root, or `rest`")
    split_shares: dict[str, float] = Field(
        {}, description="where there are no lists: share of each"
    )
    splits_may_leak: bool = Field(False, description="official splits that share people are kept")
    licence: Licence
    prepare: str = ""

    @field_validator("real", "fake")
    @classmethod
    def _is_given(cls, pattern: str, info: ValidationInfo) -> str:
        if not pattern and info.data.get("layout") == "patterns":
            raise PydanticKnownError("missing")
        return pattern

    @field_validator("real", "fake", "mask", "lists")
    @classmethod
    def _is_pattern(cls, pattern: str) -> str:
        if pattern.startswith("/") or ".." in pattern.split("/"):
            raise ValueError("the pattern must be a path below root")
        if set(KEY.sub("", pattern)) & set("{}"):
            raise ValueError("the pattern has a brace that belongs to no {key}")
        return pattern

    @field_validator("split_shares")
    @classmethod
    def _is_whole(cls, shares: dict[str, float]) -> dict[str, float]:
        if shares and (min(shares.values()) < 0 or abs(sum(shares.values()) - 1) > 1e-6):
            raise ValueError("the shares must be 0 or more and sum to 1")
        return shares

    @model_validator(mode="after")
    def _keys_are_known(self) -> Self:
        if self.layout == "patterns" and "{method}" not in self.fake and len(self.methods) > 1:
            raise ValueError("with several methods the pattern fake needs the key {method}")
        for key in self.identities:
            if self.layout == "patterns" and f"{{{key}}}" not in self.fake:
                raise ValueError(f"identities names {{{key}}}, which fake does not give")
        for method in self.unmasked:
            if method not in self.methods:
                raise ValueError(f"unmasked names the method {method}, which methods does not list")
        if list(self.splits.values()).count(REST) > 1:
            raise ValueError(f"only one of the splits can be '{REST}'")
        return self

    @property
    def list_glob(self) -> str:
        """Where the list files are, below root; empty where there is none."""
        usual = {"patterns": "", "metadata_json": "**/metadata.json", "csv": "pairs.csv"}
        return self.lists or usual[self.layout]

    def names_of(self, value: str) -> tuple[str, ...]:
        """Gives every name that files may use for a method, compression or split."""
        return (value, *self.aliases.get(value, ()))

    def plain(self, name: str) -> str:
        """Gives the manifest's own name of what files call `name`."""
        return next((own for own, others in self.aliases.items() if name in others), name)

    def folder(self, name: str) -> Path:
        """Gives the dataset's root with environment variables filled in.

        Raises:
            SourceMissing: The variable is unset, or the folder is absent or empty.
        """
        return self._folder(name, self.root, self.expected_layout)

    def real_folder(self, name: str) -> Path:
        """Gives the folder that the paths of real sides are below: mostly `folder`.

        Raises:
            SourceMissing: As of `folder`.
        """
        if not self.real_root:
            return self.folder(name)
        return self._folder(name, self.real_root, lambda root: f"  {root}/{self.real}")

    def expected_layout(self, root: str) -> str:
        """Gives the paths that must be below a root, for messages."""
        real = f"  {self.real_root or root}/{self.real}"
        patterns = [real, f"  {root}/{self.fake}"] if self.fake else []
        return "\n".join([f"  {root}/{self.list_glob}"] * bool(self.list_glob) + patterns)

    def _folder(self, name: str, told: str, layout: Callable[[str], str]) -> Path:
        for variable in _ENVIRONMENT.findall(told):
            if not os.environ.get(variable):
                raise SourceMissing(
                    f"dataset '{name}' needs the environment variable {variable}: "
                    f"set it to the folder that holds\n{layout('$' + variable)}"
                )
        root = Path(_ENVIRONMENT.sub(lambda found: os.environ[found[1]], told)).expanduser()
        if state := _state(root):
            hint = f"\nmake it with: {self.prepare}" if self.prepare else ""
            raise SourceMissing(
                f"the folder of dataset '{name}', {root}, {state}; it must hold\n"
                f"{layout(str(root))}{hint}"
            )
        return root


def _state(root: Path) -> str:
    """Says what is wrong with a folder that must hold something."""
    try:
        return "" if any(root.iterdir()) else "is empty"
    except OSError as error:
        return f"cannot be opened ({error.strerror})" if root.exists() else "does not exist"
