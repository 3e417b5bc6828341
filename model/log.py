"""The log of a run: one JSON line a step, and the same for TensorBoard."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from torch.utils.tensorboard import SummaryWriter

from schemas.atomic import write_text
from schemas.errors import OutputError


class Log:
    """Writes figures of steps.

    Lines of steps after the one that a run goes on from are taken back: they are done again. Lines
    that a power cut tore go with them.

    Args:
        run: Folder of the run; `log.jsonl` and `tensorboard/` are made there.
        step: Steps done already.
        writes: Only one rank does.
    """

    def __init__(self, run: Path, step: int, writes: bool) -> None:
        self.run, self.step, self.writes = run, step, writes

    def __enter__(self) -> Log:
        if self.writes:
            path = self.run / "log.jsonl"
            try:
                self.run.mkdir(parents=True, exist_ok=True)
                kept = path.read_text(errors="replace").splitlines() if path.is_file() else []
                write_text(path, "".join(f"{x}\n" for x in kept if _step(x) <= self.step))
                self._file = path.open("a")
            except OSError as error:
                raise OutputError(f"cannot write {path}: {error.strerror}") from error
            self._board = SummaryWriter(str(self.run / "tensorboard"), purge_step=self.step + 1)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.writes:
            self._file.close()
            self._board.close()

    def write(self, step: int, stage: str, figures: Mapping[str, float]) -> None:
        """Writes the figures of a step.

        Args:
            step: Steps done.
            stage: `train` or `validation`.
            figures: By name.
        """
        if self.writes:
            self._file.write(json.dumps({"step": step, "stage": stage, **figures}) + "\n")
            self._file.flush()
            for name, value in figures.items():
                self._board.add_scalar(f"{stage}/{name}", value, step)


def _step(line: str) -> float:
    """Gives the step of a line; infinity where it is torn."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
