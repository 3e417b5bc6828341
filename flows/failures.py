"""A bug costs the pair or frame that met it, and is told with its place."""

from __future__ import annotations

import traceback

from annotators.pipeline import reject
from schemas.errors import Rejected, RejectReason
from schemas.records import Pair, Reject


def internal_error(pair: Pair, index: int | None, stage: str) -> Reject:
    """Keeps what met the bug that is being handled; the next run tries it again."""
    last = traceback.format_exc().strip().splitlines()
    detail = f"a bug of this program: {last[-1]} ({last[-3].strip()})"
    return reject(pair, index, stage, Rejected(RejectReason.INTERNAL_ERROR, detail))
