"""What the text figures are summed from: one line per row of a shard, one per sentence.

Pure functions over Arrow tables of the columns `COLUMNS`; nothing of a text is kept but counts and
hashes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from annotators.explain import plain
from qa.explanation import FALLBACK
from qa.leaks import names_label, names_method, names_real_side, verdict

TEXTS = ("method", "forgery", "explanation", "explainer", "recipe", "fallback_reason")
LISTS = {
    "claims": ("category_id", "sentence"),
    "regions": ("category_id", "area"),
    "questions": ("task", "image", "answer"),
    "dropped": ("fate",),
}
COUNTS = {
    "supported": "claims_supported",
    "contradicted": "claims_contradicted",
    "untestable": "claims_untestable",
    "refused": "claims_refused",
}
"""What became of a statement, and the column that counts it."""
COLUMNS = (
    *TEXTS,
    *COUNTS.values(),
    *(f"{name}.list.element.{field}" for name, fields in LISTS.items() for field in fields),
)
"""Paths of the Parquet columns that are read: no pixels, no masks."""
KEYS = ["writer", "asked", "reason"]
_ENDS = re.compile(r"(?<=[.!?])\s+")
_PHRASE = re.compile(r"<p>.*?</p>", re.DOTALL)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")

Hashes = NDArray[np.uint64]


def template(sentence: str) -> str:
    """Makes a sentence's template: lower case, blanks for the region's phrase and for numbers."""
    blank = _NUMBER.sub("<number>", _PHRASE.sub("<region>", sentence.casefold()))
    return " ".join(blank.split())


def sum_rows(table: pa.Table) -> pd.DataFrame:
    """Gives what is summed, one line per row of the table, with the `KEYS` to sum by."""
    text = {name: table[name].to_pylist() for name in TEXTS}
    rows = _who(text)
    told = [plain(one) for one in text["explanation"]]
    rows["label"] = [names_label(one) for one in told]
    rows["real side"] = [names_real_side(one) for one in told]
    names = zip(told, text["method"], text["forgery"], strict=True)
    rows["method"] = [names_method(*one) for one in names]
    lists = {name: _long(table, name) for name in LISTS}
    rows["claims"] = _count(lists["claims"], rows.index)
    for fate, column in COUNTS.items():
        rows[fate] = table[column].to_numpy()
        lost = lists["dropped"][lists["dropped"]["fate"] == fate]
        rows[f"lost {fate}"] = _count(lost, rows.index) * rows["fallbacks"]
    verdicts = _verdicts(lists["questions"], rows.index)
    coverage = _coverage(lists["regions"], lists["claims"], rows.index)
    return rows.join(verdicts).join(coverage)


def _who(text: dict[str, list[str | None]]) -> pd.DataFrame:
    """Tells who wrote each row, who was asked to, and why another did."""
    reasons = text["fallback_reason"]
    whose = zip(text["explainer"], text["recipe"], reasons, strict=True)
    asked = [
        "evidence" if who == "evidence" and reason is None else recipe or "mllm"
        for who, recipe, reason in whose
    ]
    writers = [
        FALLBACK if why is not None else who for who, why in zip(asked, reasons, strict=True)
    ]
    return pd.DataFrame(
        {
            "writer": writers,
            "asked": asked,
            "reason": [(why or "").split(":")[0] for why in reasons],
            "rows": 1,
            "fallbacks": np.array([why is not None for why in reasons], dtype=int),
        },
        index=pd.RangeIndex(len(reasons)),
    )


def _long(table: pa.Table, name: str) -> pd.DataFrame:
    """Lays a column of lists of records flat; `row` says whose each is."""
    column = table[name].combine_chunks()
    flat = pc.list_flatten(column)
    fields = {field: pc.struct_field(flat, field).to_pylist() for field in LISTS[name]}
    return pd.DataFrame({"row": pc.list_parent_indices(column).to_pylist(), **fields})


def _count(long: pd.DataFrame, index: pd.Index) -> pd.Series:
    return long.groupby("row").size().reindex(index, fill_value=0).astype(int)


def _verdicts(questions: pd.DataFrame, index: pd.Index) -> pd.DataFrame:
    asked = questions[questions["task"] == "Det"]
    pairs = zip(asked["answer"], asked["image"], strict=True)
    equal = np.array([verdict(answer) == side for answer, side in pairs], dtype=bool)
    return pd.DataFrame({"det": _count(asked, index), "equal": _count(asked[equal], index)})


def _coverage(regions: pd.DataFrame, claims: pd.DataFrame, index: pd.Index) -> pd.DataFrame:
    about = pd.MultiIndex.from_frame(claims[["row", "category_id"]])
    told = pd.MultiIndex.from_frame(regions[["row", "category_id"]]).isin(about)
    area = regions.assign(told=regions["area"] * told)[["row", "area", "told"]]
    of_row = area.groupby("row").sum()
    share = regions.assign(told=told.astype(float)).groupby("row")["told"].mean()
    found = {"covered": share, "area": of_row["told"] / of_row["area"], "regions": share.notna()}
    return pd.DataFrame(found, index=index).fillna(0).astype(float)


def hash_sentences(table: pa.Table) -> pd.DataFrame:
    """Gives each published sentence: its row, its words, hashes of itself and of its template."""
    claims = _long(table, "claims")
    said = [
        (row, sentence)
        for row, text in zip(claims["row"], claims["sentence"], strict=True)
        for sentence in _ENDS.split(text.strip())
    ]
    bare = [plain(sentence) for _, sentence in said]
    return pd.DataFrame(
        {
            "row": np.array([row for row, _ in said], dtype=int),
            "words": [len(text.split()) for text in bare],
            "written": _hash(bare),
            "template": _hash([template(sentence) for _, sentence in said]),
        }
    )


def _hash(texts: Sequence[str]) -> Hashes:
    return np.asarray(pd.util.hash_array(np.array(texts, dtype=object), categorize=False))
