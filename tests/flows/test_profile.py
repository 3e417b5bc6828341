"""`facext annotate --profile`: the steps of all processes, and no time counted twice."""

import re
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
STEPS = {"decoding", "faces", "crop, registration", "mask", "label map", "regions", "evidence",
         "writing", "explain", "plan", "compaction", "report"}  # fmt: skip


def test_every_step_has_its_time_summed_over_workers(tmp_path, write_manifest):
    start = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-m", "flows.cli", "annotate", "toy", "--limit", "2", "--workers", "1",
         "--manifest", str(write_manifest(tmp_path)), "--profile"],
        cwd=PROJECT, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    took = time.monotonic() - start
    assert ran.returncode in (0, 3), ran.stderr
    assert "6 frames" in ran.stdout
    row = re.compile(r"^│ (.+?) +│ +([\d.]+) │ +([\d.]+) │ +\d+ % │$", re.M)
    found = {step: (float(s), float(ms)) for step, s, ms in row.findall(ran.stdout)}
    assert set(found) == STEPS
    assert 0 < sum(seconds for seconds, _ in found.values()) < took  # one worker, no step twice
    for seconds, ms in found.values():
        assert abs(ms - 1000 * seconds / 6) < 1  # rounding of the seconds
