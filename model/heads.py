"""The heads: what the vision side says without being asked.

They give a real probability of a forgery (hence a real AUC), name the FICT node of each pixel, mark
what was changed and tell what was added to its colours. What they say is summed up in one more
token for the language model: of each FICT node, how much was changed.
B or F is the number of frames, C channels, K FICT ids, H and W the sides of the fine map.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True, eq=False)
class Looked:
    """What the heads say of some frames.

    Attributes:
        fake_F: Logit of being fake.
        concepts_FhwK: Logits of the FICT node, at half the sides of the pixels.
        artifact_FHW: Logit of each pixel of being changed.
        shift_F3xy: What a forgery added to each colour, at half the sides of the fine map; in units
            of `model.losses.SHIFT`.
        changed_FN: Of each FICT node, how much was changed; see `changed`.
        above: `(K, K)`, `model.regions.ancestry`.
    """

    fake_F: torch.Tensor
    concepts_FhwK: torch.Tensor
    artifact_FHW: torch.Tensor
    shift_F3xy: torch.Tensor
    changed_FN: torch.Tensor
    above: torch.Tensor

    def of(self, frame_B: torch.Tensor) -> Looked:
        """Gives the same of some of the frames."""
        return Looked(
            self.fake_F[frame_B], self.concepts_FhwK[frame_B], self.artifact_FHW[frame_B],
            self.shift_F3xy[frame_B], self.changed_FN[frame_B], self.above,
        )  # fmt: skip

    def concept(self, frame_R: torch.Tensor, category_R: torch.Tensor) -> torch.Tensor:
        """Gives `(R, H, W)`: how likely each pixel is of a FICT node or of one below it."""
        likely_RhwK = self.concepts_FhwK[frame_R].float().softmax(dim=-1)
        return torch.einsum("rhwk,rk->rhw", likely_RhwK, self.above.T[category_R])


class Heads(nn.Module):
    """All four.

    Args:
        channels: C; fine pixels have half as many.
        above: `model.regions.ancestry` of the shards' categories.
    """

    above: torch.Tensor

    def __init__(self, channels: int, above: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("above", above, persistent=False)
        self.concepts = nn.Linear(channels, len(above))
        self.artifact = nn.Linear(channels // 2, 1)
        self.shift = nn.Linear(channels, 3)
        self.fake = nn.Sequential(
            nn.Linear(2 * channels + 2, channels), nn.GELU(), nn.Linear(channels, 1)
        )

    def forward(self, pixels_FChw: torch.Tensor, fine_FEHW: torch.Tensor) -> Looked:
        """Gives what they say of frames, from pixels and fine pixels."""
        artifact_FHW = self.artifact(fine_FEHW.permute(0, 2, 3, 1))[..., 0]
        shift_F3xy = self.shift(pixels_FChw.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        likely_FN = artifact_FHW.flatten(1).sigmoid()
        seen_FC = [
            pixels_FChw.mean(dim=(2, 3)),
            pixels_FChw.amax(dim=(2, 3)),
            likely_FN.mean(dim=1, keepdim=True),
            likely_FN.amax(dim=1, keepdim=True),
        ]
        fake_F = self.fake(torch.cat(seen_FC, dim=1))[:, 0]
        concepts_FhwK = self._name(functional.avg_pool2d(pixels_FChw, 2))
        changed_FN = changed(concepts_FhwK, artifact_FHW, fake_F, self.above)
        return Looked(fake_F, concepts_FhwK, artifact_FHW, shift_F3xy, changed_FN, self.above)

    def _name(self, pixels_FChw: torch.Tensor) -> torch.Tensor:
        """Gives `(F, h, w, K)`; channels last, since a softmax over another axis is slow.

        Pixels are pooled, not left out: each of four neighbours has weights of its own, and those
        that no loss reaches would name nothing.
        """
        named: torch.Tensor = self.concepts(pixels_FChw.permute(0, 2, 3, 1).contiguous())
        return named


def changed(
    concepts_FhwK: torch.Tensor,
    artifact_FHW: torch.Tensor,
    fake_F: torch.Tensor,
    above: torch.Tensor,
) -> torch.Tensor:
    """Gives `(F, 2 K + 1)`: of each FICT node, parents included, how much was changed.

    First the changed share of each node, then its changed share of the image, rooted since regions
    are small, then the probability of a forgery. It has no gradient.
    """
    likely_FhwK = concepts_FhwK.detach().float().softmax(dim=-1)
    height, width = likely_FhwK.shape[1:3]
    seen_FHW = artifact_FHW.detach().float().sigmoid()
    seen_Fhw = functional.adaptive_avg_pool2d(seen_FHW, (height, width))
    own_FK = likely_FhwK.mean(dim=(1, 2)) @ above
    hit_FK = (likely_FhwK * seen_Fhw[..., None]).mean(dim=(1, 2)) @ above
    fake_F1 = fake_F.detach().float().sigmoid()[:, None]
    return torch.cat([hit_FK / (own_FK + 1e-4), hit_FK.sqrt(), fake_F1], dim=1)
