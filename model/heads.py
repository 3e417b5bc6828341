"""The auxiliary heads: what the vision side says without being asked.

They give a real probability of a forgery (hence a real AUC), name the FICT node of each pixel and
mark what was changed; training them teaches the features that language and masks live on.
B or F is the number of frames, C channels, K FICT ids, H and W the sides of the pixel map.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True, eq=False)
class Looked:
    """What the heads say of some frames.

    Attributes:
        fake_F: Logit of being fake.
        concepts_FHWK: Logits of the FICT node of each pixel, of every second one in training.
        artifact_FHW: Logit of each pixel of being changed.
        above: `(K, K)`, `model.regions.ancestry`.
    """

    fake_F: torch.Tensor
    concepts_FHWK: torch.Tensor
    artifact_FHW: torch.Tensor
    above: torch.Tensor

    def of(self, frame_B: torch.Tensor) -> Looked:
        """Gives the same of some of the frames."""
        return Looked(
            self.fake_F[frame_B], self.concepts_FHWK[frame_B], self.artifact_FHW[frame_B],
            self.above,
        )  # fmt: skip

    def concept(self, frame_R: torch.Tensor, category_R: torch.Tensor) -> torch.Tensor:
        """Gives `(R, H, W)`: how likely each pixel is of a FICT node or of one below it."""
        likely_RHWK = self.concepts_FHWK[frame_R].float().softmax(dim=-1)
        return torch.einsum("rhwk,rk->rhw", likely_RHWK, self.above.T[category_R])


class Heads(nn.Module):
    """All three.

    Args:
        channels: C.
        above: `model.regions.ancestry` of the shards' categories.
    """

    above: torch.Tensor

    def __init__(self, channels: int, above: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("above", above, persistent=False)
        self.concepts = nn.Linear(channels, len(above))
        self.artifact = nn.Conv2d(channels, 1, 1)
        self.fake = nn.Sequential(
            nn.Linear(2 * channels + 2, channels), nn.GELU(), nn.Linear(channels, 1)
        )

    def forward(self, pixels_FCHW: torch.Tensor) -> Looked:
        """Gives what they say of frames."""
        artifact_FHW = self.artifact(pixels_FCHW)[:, 0]
        likely_FN = artifact_FHW.flatten(1).sigmoid()
        seen_FC = [
            pixels_FCHW.mean(dim=(2, 3)),
            pixels_FCHW.amax(dim=(2, 3)),
            likely_FN.mean(dim=1, keepdim=True),
            likely_FN.amax(dim=1, keepdim=True),
        ]
        fake_F = self.fake(torch.cat(seen_FC, dim=1))[:, 0]
        some = pixels_FCHW[..., ::2, ::2] if self.training else pixels_FCHW
        concepts_FHWK = self.concepts(some.permute(0, 2, 3, 1).contiguous())
        return Looked(fake_F, concepts_FHWK, artifact_FHW, self.above)
