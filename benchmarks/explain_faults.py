"""What becomes of the records when a third of the requests goes wrong and the model lies.

Every planned frame must come out as a row, or as a reject for a reason of its own. What is
published is compared with the row's measurements twice: by the project's claim check, and here,
with nothing but the measurements themselves and what the server really sent.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from annotators.explain import Statement
from annotators.mllm.store import AnswerStore
from annotators.verify import verify
from benchmarks.caption_faults import FAULTS
from benchmarks.captioner import Captioner, Entry, Script
from benchmarks.explain_material import Material, explained, rows_of
from flows.explain import explain
from flows.run import PlannedPair, Progress, Run
from schemas.errors import RejectReason
from schemas.manifest import EvidenceSettings
from schemas.records import DIRECTIONS, SEG, AnnotatedFrame, Claim

KEY_NAME, KEY = "FACEXT_BENCH_KEY", "sk-bench-4f1d0c2b9a"
SHARE = 0.3
LIES = 0.2
LATENCY_S = 0.15
IN_FLIGHT = 32
TIMEOUT_S = 1.2
"""Shorter than a slow answer, which takes ten times the latency."""
PRICES = {"price_in": 2.5, "price_out": 10.0}
_PHRASE = re.compile(r"<p>(.*?)</p>")

Told = tuple[int, str, str]
"""Concept, kind and direction."""


def measure_faults(material: Material, records: int, progress: Progress) -> dict[str, Any]:
    """Plays all faults to the stage, and accounts for every record and every claim."""
    os.environ[KEY_NAME] = KEY
    with Captioner(fault_script(), material.folder / "faults.jsonl") as captioner:
        run, pairs = material.run("faults", records, fault_server(captioner.url))
        ended = explain(run, pairs, lambda _, done, total: progress("faults", done, total))
        journal = captioner.journal()
    if ended.stopped:
        raise ended.stopped
    rows = rows_of(run, pairs)
    records = material.frames * len(pairs)
    return {
        "records": records,
        **_requests(journal),
        **lost_records(run, pairs, rows),
        **published(run, rows),
        "key_found": _key_found(run),
        "cost_per_record": sum(map(price, journal)) / records,
    }


def fault_script(latency_s: float = LATENCY_S) -> Script:
    """Gives the script that plays every fault that a later try may mend."""
    return Script(latency_s=latency_s, faults=tuple(FAULTS), fault_share=SHARE, lies=LIES)


def fault_server(url: str) -> dict[str, Any]:
    """Gives the server's block of the manifest."""
    return PRICES | {
        "base_url": url, "in_flight": IN_FLIGHT, "timeout_s": TIMEOUT_S, "api_key_env": KEY_NAME,
    }  # fmt: skip


def price(entry: Entry) -> float:
    """Gives what the provider would bill for an answer."""
    if not entry.billed:
        return 0.0
    tokens = (entry.prompt_tokens, entry.completion_tokens)
    return sum(n * each for n, each in zip(tokens, PRICES.values(), strict=True)) / 1e6


def _requests(journal: Sequence[Entry]) -> dict[str, Any]:
    faults = Counter(entry.fault for entry in journal if entry.fault)
    return {
        "requests": len(journal),
        "faulty_share": sum(faults.values()) / len(journal),
        "faults": dict(sorted(faults.items())),
    }


def lost_records(
    run: Run, pairs: Sequence[PlannedPair], rows: Sequence[AnnotatedFrame]
) -> dict[str, Any]:
    """Accounts for every planned frame.

    Lost is one without row and reject, or with both or two; a row that says nothing; and a reject
    for a bug of ours.
    """
    planned = {frame.id for frame in run.measured.rows(pair.measure_unit for pair in pairs)}
    rejects = run.explained.rejects(explained(run, pairs))
    ended = Counter([*(row.id for row in rows), *(one.id for one in rejects)])
    lost = {one for one in planned if ended[one] != 1} | (ended.keys() - planned)
    lost |= {row.id for row in rows if not row.claims or not row.explanation}
    lost |= {one.id for one in rejects if one.reason == RejectReason.INTERNAL_ERROR}
    reasons = Counter((row.fallback_reason or "").partition(":")[0] for row in rows)
    return {
        "records_lost": len(lost),
        "rows": len(rows),
        "rows_by_model": reasons.pop("", 0),
        "fallbacks": dict(reasons.most_common()),
        "rejects": dict(Counter(one.reason for one in rejects).most_common()),
    }


def published(run: Run, rows: Sequence[AnnotatedFrame]) -> dict[str, Any]:
    """Counts published claims that the pixels do not bear, and texts whose masks are wrong."""
    with AnswerStore(run.answers_path) as store:
        lies = {row.id: set(_lies(store, row)) for row in rows}
    wrong = [bad for row in rows for bad in contradicted(row, lies[row.id])]
    return {
        "contradicted_published": len(wrong),
        "claims_published": sum(len(row.claims) for row in rows),
        "lies_told": sum(map(len, lies.values())),
        "statements_dropped": dict(Counter(d.fate for row in rows for d in row.dropped)),
        "badly_grounded": sum(not is_grounded(row) for row in rows),
    }


def contradicted(row: AnnotatedFrame, lies: set[Told]) -> list[Claim]:
    """Gives the published claims of a row that are false by any of the three accounts."""
    statements = [Statement(c.category_id, c.kind, c.direction, c.sentence) for c in row.claims]
    checked = verify(statements, row, EvidenceSettings())
    measured = measured_in(row)
    return [
        claim
        for claim, again in zip(row.claims, checked, strict=True)
        if again.verdict == "contradicted"
        or (claim.category_id, claim.kind.value, opposite(claim)) in measured
        or (claim.category_id, claim.kind.value, claim.direction) in lies
    ]


def measured_in(row: AnnotatedFrame) -> set[Told]:
    """Gives what was surely measured in a frame."""
    return {
        (one.category_id, one.kind.value, one.direction) for one in row.evidence if one.significant
    }


def opposite(claim: Claim) -> str:
    """Gives the direction that excludes a claim's; empty where there is none."""
    words = DIRECTIONS[claim.kind]
    return words[words.index(claim.direction) ^ 1] if len(words) > 1 else ""


def _lies(store: AnswerStore, row: AnnotatedFrame) -> Iterator[Told]:
    """Finds what the server said of a row's regions that was not measured."""
    concepts = {region.name: region.category_id for region in row.regions}
    measured = measured_in(row)
    for request in row.requests:
        for claim in _claims(store.answer(request) or b""):
            if claim["region"] in concepts:
                told = (concepts[claim["region"]], str(claim["kind"]), str(claim["direction"]))
                if told not in measured:
                    yield told


def _claims(body: bytes) -> Iterable[dict[str, Any]]:
    """Reads the claims of an answer that is whole, also within prose or a fence."""
    try:
        text = str(json.loads(body)["choices"][0]["message"]["content"])
        answer, _ = json.JSONDecoder().raw_decode(text, text.index("{"))
        return [one for one in answer["claims"] if {"region", "kind", "direction"} <= set(one)]
    except (ValueError, LookupError, TypeError, RecursionError):
        return []


def is_grounded(row: AnnotatedFrame) -> bool:
    """Tells whether each phrase names its claim's region, and has that region's mask."""
    names = {region.category_id: region.name for region in row.regions}
    masks = {region.name.lower(): region.segmentation for region in row.regions}
    phrases = [name.lower() for name in _PHRASE.findall(row.explanation)]
    return (
        all(
            [name.lower() for name in _PHRASE.findall(claim.sentence)] == [names[claim.category_id]]
            for claim in row.claims
        )
        and row.explanation.count(SEG) == len(row.explanation_masks) == len(phrases)
        and [masks.get(name) for name in phrases] == list(row.explanation_masks)
    )


def _key_found(run: Run) -> int:
    """Counts files of a run that hold the key."""
    files = (path for path in run.output.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(KEY.encode() in path.read_bytes() for path in files)
