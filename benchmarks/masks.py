"""How well each diff policy recovers the masks that the toy forgeries are known to have.

    python -m benchmarks.masks [--json FILE]      needs out/toy/source (`facext forge`)

Prints the mean IoU with the truth by compression, and the share of frames of the unforged control
that get a mask although nothing was forged. These are the forge's own few operations on two faces:
they compare policies within one run and promise nothing about other data.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from annotators.diff import POLICIES, Artifact, diff, iou
from fict.landmarks import MeshLandmarks
from schemas import rle
from schemas.manifest import DiffSettings, load_manifest
from sources.crop import crop_clip
from sources.forge import read_truth
from sources.layouts import find_pairs
from sources.pairs import PairReader
from sources.tracking import FaceSearch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    manifest = load_manifest()
    dataset = manifest.dataset("toy")
    root = dataset.folder("toy")
    truth = {(t.method, t.pair, t.frame_index): t.segmentation for t in read_truth(root)}
    reader, search = PairReader(), FaceSearch(MeshLandmarks())
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    false: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for pair in find_pairs("toy", dataset, root)[0]:
        frames = reader.read(root, pair, manifest.measure.frames)
        clip, _ = crop_clip(frames, search, manifest.measure)
        for policy in POLICIES:
            for crop, found in zip(clip, diff(clip, DiffSettings(policy=policy)), strict=True):
                known = rle.decode(truth[pair.method, pair.pair, crop.index])
                size = crop.real.shape[:2]
                mask = cv2.warpAffine(known.astype(np.uint8) * 255, crop.affine, size) > 127
                got = found.mask if isinstance(found, Artifact) else np.zeros_like(mask)
                if known.any():
                    scores[policy][pair.compression].append(iou(got, mask))
                else:
                    false[policy][pair.compression].append(float(got.any()))
    figures = {
        "mask_iou": {p: {c: float(np.mean(v)) for c, v in s.items()} for p, s in scores.items()},
        "false_mask_rate": {
            p: {c: float(np.mean(v)) for c, v in s.items()} for p, s in false.items()
        },
    }
    for name, by_policy in figures.items():
        print(f"{name:<16}" + "".join(f"{level:>7}" for level in dataset.compressions))
        for policy, by_level in by_policy.items():
            print(f"  {policy:<14}" + "".join(f"{by_level[c]:7.2f}" for c in dataset.compressions))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
