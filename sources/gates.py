"""How a face is seen in a frame, and whether that is good enough to be annotated.

Each gate has a threshold in the manifest (`measure.gates`) and a reject reason of its own; the
detail of a reject names the value and the threshold.
Source: sharpness is the variance of the Laplacian (Pech-Pacheco et al. 2000), normalised by us.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fict.headpose import HeadPose, pose_of
from fict.landmarks import Face
from fict.tree import Tree
from schemas.errors import Rejected, RejectReason
from schemas.gates import Gates

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]

SHARPNESS_SIDE = 128
"""Sharpness is measured in crops of this side at most: a larger face is no blurrier one."""
LEAST_VARIANCE = 4.0
"""Variance of grey levels below which a face is as good as flat."""
NOT_HIDING = ("facial hair", "glasses")
"""Surroundings that belong to a face."""


@dataclass(frozen=True)
class View:
    """How the real side's face is seen.

    Attributes:
        pose: Turn of the head, degrees, in the frame.
        face_px: Longer side of the box around the mesh, frame pixels.
        sharpness: Variance of the Laplacian over that of the grey levels, inside the face, in a
            crop reduced to `SHARPNESS_SIDE` or to the frame's own resolution. About 0.15 to 1 for a
            sharp face, 0.03 where it is blurred by 2 % of its width, 0.01 by 4 %; noise raises it.
    """

    pose: HeadPose
    face_px: float
    sharpness: float


FRONTAL = View(HeadPose(0.0, 0.0, 0.0), 0.0, 0.0)
"""Of a crop that no frame was measured for."""


def face_px(face: Face) -> float:
    """Gives the longer side of a face's box, in frame pixels."""
    return float((face.box_xyxy[2:] - face.box_xyxy[:2]).max())


def sharpness_of(crop: Image, inside: Mask, scale: float) -> float:
    """Gives the sharpness of a face; see `View`.

    Args:
        crop: `(S, S, 3) uint8` RGB.
        inside: `(S, S) bool`, the face.
        scale: Crop pixels a frame pixel.
    """
    size = crop.shape[0]
    side = int(np.clip(round(size / scale), 32, min(SHARPNESS_SIDE, size)))
    small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    seen = cv2.resize(inside.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST) > 0
    if not seen.any():
        return 0.0
    edges = cv2.Laplacian(grey, cv2.CV_32F)[seen]
    return float(edges.var() / max(float(grey[seen].var()), LEAST_VARIANCE))


def hidden_share(labels: Image, inside: Mask, tree: Tree) -> float | None:
    """Gives the share of a face that something hides; `None` where the label map cannot tell.

    A map can tell where it holds concepts below `surroundings`, as a face parser's does: one drawn
    from landmarks alone knows a face only.

    Args:
        labels: `(S, S) uint8` FICT nodes.
        inside: `(S, S) bool`, the outline of the face's landmarks.
        tree: The tree.
    """
    counts = np.bincount(labels.ravel(), minlength=256)
    around = np.zeros(256, np.bool_)
    around[[node.id for node in tree.descendants_of(tree.by_name["surroundings"])]] = True
    if not counts[around].any() or not inside.any():
        return None
    for name in NOT_HIDING:
        own = tree.by_name[name]
        around[[own.id, *(node.id for node in tree.descendants_of(own))]] = False
    return float(around[labels[inside]].mean())


def check_face(face: Face, index: int, gates: Gates) -> HeadPose:
    """Gives the pose of a face that is neither turned too far nor too small.

    Raises:
        Rejected: `TURNED_FACE` or `SMALL_FACE`.
    """
    pose, size = pose_of(face.landmarks), face_px(face)
    for name, most in (
        ("yaw", gates.max_yaw_deg),
        ("pitch", gates.max_pitch_deg),
        ("roll", gates.max_roll_deg),
    ):
        angle = abs(getattr(pose, name))
        if most is not None and angle > most:
            raise Rejected(
                RejectReason.TURNED_FACE,
                f"the {name} of the face in frame {index} is {angle:.0f} degrees, more than "
                f"{most:g}",
            )
    if gates.min_face_px is not None and size < gates.min_face_px:
        raise Rejected(
            RejectReason.SMALL_FACE,
            f"the face in frame {index} is {size:.0f} pixels large, less than "
            f"{gates.min_face_px:g}",
        )
    return pose


def check_sharpness(value: float, index: int, gates: Gates) -> None:
    """Lets a sharp face pass.

    Raises:
        Rejected: `BLURRED_FACE`.
    """
    if gates.min_sharpness is not None and value < gates.min_sharpness:
        raise Rejected(
            RejectReason.BLURRED_FACE,
            f"the sharpness of the real face in frame {index} is {value:.4f}, less than "
            f"{gates.min_sharpness:g}",
        )


def check_hidden(share: float | None, index: int, gates: Gates) -> None:
    """Lets a face pass that is mostly seen, or of which the label map cannot tell.

    Raises:
        Rejected: `OCCLUDED_FACE`.
    """
    if share is not None and gates.max_occlusion is not None and share > gates.max_occlusion:
        raise Rejected(
            RejectReason.OCCLUDED_FACE,
            f"{share:.0%} of the face in frame {index} is hidden, more than "
            f"{gates.max_occlusion:.0%}",
        )


def check_identity(value: float, index: int, least: float) -> None:
    """Lets a pair pass whose sides show one person.

    Raises:
        Rejected: `IDENTITY_CHANGED`.
    """
    if value < least:
        raise Rejected(
            RejectReason.IDENTITY_CHANGED,
            f"the faces of the two sides of frame {index} are alike by {value:.2f}, less than "
            f"{least:g}",
        )
