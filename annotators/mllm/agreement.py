"""Does a sentence say what its claim says? Only the claim is measured, so nothing more may be told.

A sentence may name no other region than its own, and not the opposite of its own direction.
Source: ours.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import yaml

from annotators.explain import plain, template
from fict.tree import load_tree
from schemas.records import DIRECTIONS, EvidenceKind

_PHRASE = re.compile(r"<p>.*?</p>")
WHOLE = ("face", "image")
"""Nodes that a sentence about any region may name: "than in the real face"."""


@functools.cache
def _words() -> dict[str, dict[str, re.Pattern[str]]]:
    """Gives the words of each direction, by kind."""
    return {
        kind: {way: _any(starts) for way, starts in ways.items()}
        for kind, ways in _lexicon()["directions"].items()
    }


@functools.cache
def _references() -> re.Pattern[str]:
    return _any(_lexicon()["references"])


@functools.cache
def _lexicon() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(template("lexicon.yaml"))
    return read


def _any(starts: list[str]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(starts)})", re.IGNORECASE)


@functools.cache
def _names() -> re.Pattern[str]:
    """Finds the names of FICT in a sentence, the longest first."""
    names = sorted((c.name for c in load_tree().concepts if c.name not in WHOLE), key=len)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, reversed(names)))})\b", re.IGNORECASE)


def disagreement(sentence: str, concept: int, kind: EvidenceKind, direction: str) -> str:
    """Tells what a sentence says beyond or against its claim; empty where it agrees.

    Args:
        sentence: The sentence.
        concept: FICT node of the claim.
        kind: What the claim says has changed.
        direction: How.
    """
    text, tree = _references().sub(" ", plain(sentence)), load_tree()
    for found in _names().findall(text):
        named = tree.by_name[found.lower()]
        if named.id != concept and not tree.related(named.id, concept):
            return f"the sentence speaks of the {named.name}, too: one sentence, one region"
    ways, told = _words().get(kind.value, {}), _PHRASE.sub(" ", sentence)
    if direction in ways and not ways[direction].search(told):
        for other in DIRECTIONS[kind]:
            if other != direction and other in ways and ways[other].search(told):
                return f"the sentence says {other}, the claim {direction}"
    return ""
