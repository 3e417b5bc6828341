"""The explain stage in a process of its own, to be killed or weighed.

    python -m benchmarks.explain_child FOLDER      a run of `benchmarks.explain_material`

Prints one JSON line at the end: units done, why it stopped, seconds, peak memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.explain_material import planned_run
from flows.explain import explain
from flows.run import Run

PEAK = "VmHWM:"
"""Of this program alone; what `getrusage` tells includes the process that it was forked from."""


def start(run: Run) -> subprocess.Popen[str]:
    """Starts the stage over the plan of a run, in another process."""
    command = [sys.executable, "-m", "benchmarks.explain_child", str(run.output)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(child: subprocess.Popen[str]) -> dict[str, Any]:
    """Waits for its end and gives what it tells.

    Raises:
        RuntimeError: It failed.
    """
    told, _ = child.communicate()
    if child.returncode:
        raise RuntimeError(f"the explain stage ended with status {child.returncode}")
    found: dict[str, Any] = json.loads(told.splitlines()[-1])
    return found


def peak_mb() -> float:
    """Gives the most memory that this process ever held, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(PEAK)) / 1024


def main() -> None:
    run, pairs = planned_run(Path(sys.argv[1]))
    begun = time.perf_counter()
    explained = explain(run, pairs, lambda *_: None)
    told = {
        "done": explained.done,
        "stopped": str(explained.stopped or ""),
        "seconds": time.perf_counter() - begun,
        "peak_mb": peak_mb(),
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
