"""`edvd`: frames of the forged video in one request, with measured motion as a constraint.

Source: EDVD-LLaMA and its ER-FF++, whose reasoning over a video is constrained by metrics of
landmark motion. Our reading: position and size of regions against the real video, frame by frame,
and how much they vary over the frames. The answer is checked in each frame by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from annotators.evidence import MOVEMENTS, Probe, probe_of
from annotators.explain import template
from annotators.mllm.answer import Answered
from annotators.mllm.recipes.recipe import (
    CLAIMS,
    Recipe,
    Scene,
    claims_wanted,
    evidence_of,
    form_of,
    lines,
    numbered,
    told,
)
from annotators.mllm.talk import Talk
from schemas.records import Evidence, EvidenceKind, MeasuredFrame
from sources.pairs import spaced_indices

MOST_FRAMES = 6
MOTION = (EvidenceKind.POSITION, EvidenceKind.SIZE)
NOTHING = "no movement was measured"


async def ask(scene: Scene, talk: Talk) -> Answered:
    """Asks once about all frames; of a long clip, six evenly spaced ones are shown."""
    pictures = scene.pictures()
    shown = spaced_indices(len(pictures), MOST_FRAMES)
    frames = [scene.frames[place] for place in shown]
    form = form_of(frames)
    text = template("edvd.txt").format(
        count=len(frames),
        times=", ".join(f"{frame.timestamp_s:.2f} s" for frame in frames),
        method=told(scene.method),
        regions=numbered(form.names),
        motion=lines(_motion(number, frame) for number, frame in enumerate(frames, 1)),
        steadiness=lines(steadiness(name, frames) for name in form.names),
        claims=claims_wanted(),
    )
    return await talk.ask("ask", text, form, [pictures[place].fake for place in shown])


def _motion(number: int, frame: MeasuredFrame) -> str:
    """Lists the position and size evidence of one frame."""
    moves = tuple(one for one in frame.evidence if one.kind in MOTION)
    told = evidence_of(frame.model_copy(update={"evidence": moves}))
    return f"Picture {number}:\n{told or NOTHING}"


def steadiness(region: str, frames: Sequence[MeasuredFrame]) -> str:
    """Tells mean and standard deviation of a region's movements over the frames."""
    found = {probe: _values(region, frames, probe) for probe in MOVEMENTS}
    written = [
        f"{probe.kind} {probe.direction(mean := float(np.mean(values)))} by {abs(mean):.3f}"
        f" {probe.unit}, varying by {np.std(values):.3f} over {len(values)} of {len(frames)} frames"
        for probe, values in found.items()
        if values
    ]
    return f"- {region}: {'; '.join(written) or NOTHING}"


def _values(region: str, frames: Sequence[MeasuredFrame], probe: Probe) -> list[float]:
    """Gives a region's signed movements by one probe, in its unit, of the frames that have one."""
    return [
        one.effect if one.direction == probe.positive else -one.effect
        for frame in frames
        for one in frame.evidence
        if _is_of(one, region, frame) and probe_of(one.kind, one.direction) is probe
    ]


def _is_of(one: Evidence, region: str, frame: MeasuredFrame) -> bool:
    return any(
        each.name == region and each.category_id == one.category_id for each in frame.regions
    )


EDVD = Recipe("edvd", ("edvd.txt", CLAIMS), ask, is_for_videos=True)
