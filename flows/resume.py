"""What a dataset's results were made with, and whether a run with other settings may go on.

`configuration.json` beside the results holds the settings, code, prompts and model of the last run.
A run with others would quietly replace its shards, and redo hours of work or paid answers; so it
stops and says what changed, unless told how to go on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, get_args

import cv2

from annotators.backends import backend_names
from fict.tree import load_tree
from fict.weights import USED_BY, weights_used
from flows.hashes import Hashes
from flows.run import Plan, Progress, Resume, Run
from flows.runners import check_runner
from flows.stages import check_run, freeze_plan
from flows.units import EXPLAINING, measuring_code, read_json
from schemas.arrow import FORMAT_VERSION
from schemas.atomic import write_text
from schemas.errors import UsageError, nearest
from schemas.explaining import ANSWER_KEYS
from schemas.manifest import Measure
from schemas.provenance import source_hash

CLASS = "class of "
"""Start of a fact about one method: a method that comes or goes changes no result of another."""
MEASURING = ("measure.", "measuring code", "FICT", "shard format", "weights", "fps", CLASS)
"""Starts of the facts on which measurements depend; on the others only explanations do."""
CODE = {"measuring code", "explaining code, prompts"}
NONE = "(none)"
LIBRARIES = ("ai-edge-litert", "av", "numpy", "pillow", "scikit-image", "scipy")
"""Distributions that make pixels and landmarks, beside OpenCV, which has several names."""
OF_NETWORKS = ("face-alignment", "torch")
"""Those of the backends that read weight files."""

Facts = dict[str, str]


def settle(run: Run) -> None:
    """Decides whether a run may go on from what is there, and writes down what it is made with.

    Raises:
        UsageError: The results there are of another configuration and the run was not told how to
            go on, or it names an explainer, recipe, server, backend or way that is none.
        SourceMissing: The dataset's folder is not there.
        BackendUnavailable: The captioning server needs a key that is not there, or a backend
            cannot run here.
        OutputError: The output folder cannot be written.
    """
    if run.resume not in get_args(Resume):
        known = get_args(Resume)
        raise UsageError(
            f"resume: no way '{run.resume}'{nearest(run.resume, known)}; known: {', '.join(known)}"
        )
    check_run(run)
    run.manifest.dataset(run.name).folder(run.name)
    facts, before = facts_of(run), read_json(run.configuration_path)
    changed = changes(before.get("facts", {}), facts)
    there = not (run.measured.is_empty() and run.explained.is_empty())
    if before and there and changed and run.resume == "same":
        raise UsageError(_refusal(run, changed))
    begun = read_json(run.stamp_path).get("generation", 0) != run.generation  # and interrupted
    anew = run.generation + (run.resume == "never" and there and not begun)
    record = json.dumps({"facts": facts, "generation": anew}, sort_keys=True, indent=1)
    write_text(run.configuration_path, record + "\n")


def begin(run: Run, progress: Progress) -> Plan:
    """Checks that a run can be had and may go on from what is there, and freezes its plan.

    Args:
        run: The run.
        progress: Called after each file that was read.

    Raises:
        FacextError: As `settle`, `flows.runners.check_runner` and `flows.stages.freeze_plan`.
    """
    check_runner(run)
    settle(run)
    run.sweep()
    return freeze_plan(run, progress)


def facts_of(run: Run) -> Facts:
    """Gives everything that results depend on beside the videos, in words a person knows."""
    manifest, explain = run.manifest, run.manifest.explain
    dataset, measure = manifest.dataset(run.name), manifest.measure
    facts: dict[str, Any] = {
        **_flat("measure", measure.model_dump(mode="json")),
        "measuring code": measuring_code(),
        "FICT": load_tree().version,
        "shard format": FORMAT_VERSION,
        "explainer": explain.explainer,
        "explaining code, prompts": source_hash(*EXPLAINING),
    }
    hashes = Hashes(run.hashes_path)  # read only: the plan writes them down
    for path in weights_used(*backend_names(measure)):
        facts[f"weights {path.name}"] = hashes(path)[:16]
    if dataset.frames != "video":
        facts["fps"] = dataset.fps
    for method, forgery in dataset.methods.items():
        facts[CLASS + method] = forgery
    if explain.explainer == "mllm":
        from annotators.mllm.explainer import recipe_of  # openai takes a second to import

        told = explain.model_dump(mode="json", exclude={"max_cost", "mllm", "explainer"})
        server = manifest.mllm(explain.mllm).model_dump(mode="json", include=ANSWER_KEYS)
        facts |= _flat("explain", told) | _flat("server", server)
        facts["prompt"] = recipe_of(explain).prompt_hash
    return {name: str(value) for name, value in facts.items()}


def measuring_facts(run: Run) -> Facts:
    """Gives the facts on which measurements depend: a worker elsewhere must have the same.

    Versions of libraries are among them; another one here, after an upgrade, redoes nothing.
    """
    facts = {name: fact for name, fact in facts_of(run).items() if name.startswith(MEASURING)}
    return facts | _libraries(run.manifest.measure)


def _libraries(measure: Measure) -> Facts:
    """Gives the versions of the libraries that make pixels and landmarks."""
    networks = OF_NETWORKS if USED_BY.keys() & {*backend_names(measure)} else ()
    found = {"library opencv": cv2.__version__}
    for name in (*LIBRARIES, *networks):
        try:
            found[f"library {name}"] = version(name)
        except PackageNotFoundError:
            found[f"library {name}"] = NONE
    return found


def _flat(start: str, block: Mapping[str, Any]) -> dict[str, Any]:
    """Turns nested settings into one level: `measure.diff.low`."""
    flat: dict[str, Any] = {}
    for key, value in block.items():
        name = f"{start}.{key}"
        flat |= _flat(name, value) if isinstance(value, Mapping) and value else {name: value}
    return flat


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Gives `(name, old, new)` of each fact that differs, in order of their names."""
    found = [
        (name, before.get(name, NONE), now.get(name, NONE)) for name in sorted({*before, *now})
    ]
    return [
        (name, old, new)
        for name, old, new in found
        if old != new and not (name.startswith(CLASS) and NONE in (old, new))
    ]


def _refusal(run: Run, changed: list[tuple[str, str, str]]) -> str:
    """Words what changed, what going on would cost, and how to choose."""
    width = max(len(name) for name, _, _ in changed)
    lines = [f"{run.output} holds results of another configuration:"]
    for name, old, new in changed:
        why = "   the program was updated or edited" if name in CODE else ""
        lines.append(f"  {name:<{width}}  {old} -> {new}{why}")
    if any(name.startswith(MEASURING) for name, _, _ in changed):
        lines.append("Every pair that this concerns would be measured and explained again.")
    else:
        lines.append("The measurements fit; every pair would be explained again.")
    return "\n".join(
        [
            *lines,
            "The shards are replaced when that is done for all of their pairs; units of work stay.",
            "  --resume=if-possible   keep what fits, redo the rest",
            "  --resume=never         keep nothing, redo all",
            "or set back what changed. With Prefect: the parameter resume.",
        ]
    )
