"""A stand-in for a trained FAN, whose weights are not at hand: it knows faces by the mesh."""

from __future__ import annotations

import numpy as np
import torch

from fict.fan import HEATMAP, INPUT
from fict.ibug import anchors
from fict.landmarks import MeshLandmarks
from fict.mesh import VERTICES


class Knowing(torch.nn.Module):
    """Gives the heatmaps that a well trained FAN would: peaks at the face that the mesh finds."""

    height = 0.8

    def forward(self, seen):
        image = (seen[0].permute(1, 2, 0) * 255).round().byte().numpy()
        faces = MeshLandmarks().detect(np.ascontiguousarray(image))
        maps = np.zeros((68, HEATMAP, HEATMAP), np.float32)
        if faces:
            at = (anchors() @ faces[0].landmarks[:VERTICES, :2] + 0.5) * HEATMAP / INPUT - 0.5
            y, x = np.mgrid[:HEATMAP, :HEATMAP]
            away = (x - at[:, :1, None]) ** 2 + (y - at[:, 1:, None]) ** 2
            maps = self.height * np.exp(-away / 2)
        return [torch.from_numpy(maps[None].astype(np.float32))]
