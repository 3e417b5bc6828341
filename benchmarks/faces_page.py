"""Makes the pictures of `docs/faces.md`: `python -m benchmarks.faces_page`.

Label maps of the embedded backend on frontal, turned and occluded faces, and of the parsing
backends' geometry on class maps drawn by hand. Every picture is made anew from the two portraits of
installed packages; none is stored elsewhere.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.drawn_classes import drawn_classes
from fict.crop import upright_crop
from fict.derive_mesh import portraits
from fict.labelmap import label_map
from fict.landmarks import MeshLandmarks
from fict.mesh import load_mesh
from fict.paint import colour_of, legend, paint
from fict.parsing_parts import CLASSES, with_parts
from fict.tree import Inside, Parsing, Tree, load_tree
from sources.forge.looks import turned
from sources.forge.occlude import OCCLUDERS
from sources.forge.still import Still

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "img"
SIDE, QUALITY, GAP = 300, 80, 4
SHARE, WIDE = 0.5, 0.38
"""Width of the face over the side of the crop; the second shows the head's surroundings."""
YAWS_DEG = (-25.0, 25.0)
RENDERED_DEG = (-70.0, -50.0, -30.0, 30.0, 50.0, 70.0)
ROLL_DEG = 35.0
OCCLUDED_BY = {"fingers": "background", "strands": "hair", "glasses": "glasses"}
"""Occluders of the forge, and the class that a network gives their pixels."""
Image = NDArray[np.uint8]


def main() -> None:
    """Writes the pictures."""
    tree, (astronaut, hopper) = load_tree(), portraits()
    pair = [astronaut, hopper]
    save("faces_frontal.jpg", [[mapped(image, tree)[i] for image in pair for i in (0, 1)]])
    save("faces_turned.jpg", [
        [mapped(image, tree)[i] for image in (*yawed(one), tilted(one))] + [rolled(one, tree)[i]]
        for one in pair for i in (0, 1)
    ])  # fmt: skip
    save("faces_rendered.jpg", [
        [view[i] for yaw in RENDERED_DEG for view in [rendered(one, yaw, tree)]]
        for one in pair for i in (0, 1)
    ])  # fmt: skip
    save("faces_occluded.jpg", [occluded(image, tree) for image in pair])
    save("faces_parsed.jpg", [parsed(astronaut, tree, covered) for covered in (False, True)])
    save("faces_parsed_occluded.jpg", [parsed_occluded(image, tree) for image in pair])


def crop_of(image: Image, share: float = SHARE) -> tuple[Image, NDArray[np.float32]]:
    """Gives the crop around a picture's face, and the landmarks in it."""
    return upright_crop(image, MeshLandmarks().detect(image)[0].landmarks, SIDE, share)


def mapped(image: Image, tree: Tree) -> tuple[Image, Image]:
    """Gives the crop and the embedded backend's label map."""
    crop, points = crop_of(image)
    return crop, paint(crop, label_map(points, SIDE, tree, crop), tree)


def yawed(image: Image) -> list[Image]:
    """Gives the head turned to both sides."""
    points = MeshLandmarks().detect(image)[0].landmarks[:, :2]
    still = Still("portrait", "", image, points)
    return [turned(still, yaw).image for yaw in YAWS_DEG]


def rendered(image: Image, yaw_deg: float, tree: Tree) -> tuple[Image, Image]:
    """Gives the mesh with the picture's skin, turned in space, and the label map of its points."""
    crop, points = crop_of(image)
    angle, middle = np.deg2rad(yaw_deg), points.mean(0)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]], np.float32)
    moved = ((points - middle) @ turn.T + middle).astype(np.float32)
    seen = textured(crop, points, moved, tree)
    return seen, paint(seen, label_map(moved, SIDE, tree, seen), tree)


def textured(
    crop: Image, points: NDArray[np.float32], moved: NDArray[np.float32], tree: Tree
) -> Image:
    """Draws the skin of a crop on moved points, triangle by triangle, from far to near."""
    seen = np.full_like(crop, 128)
    rims = {one.where.inside for one in tree.atomic if isinstance(one.where, Inside)}
    fans = [(rim[0], *edge) for rim in rims for edge in itertools.pairwise(rim[1:])]
    triangles = np.concatenate([load_mesh().triangles, np.array(fans)])
    for corners in triangles[np.argsort(-moved[triangles, 2].mean(1))]:
        matrix = cv2.getAffineTransform(points[corners, :2], moved[corners, :2])
        if np.linalg.det(matrix[:, :2]) <= 0:
            continue  # turned away
        shape = np.zeros(crop.shape[:2], np.uint8)
        cv2.fillConvexPoly(shape, np.rint(moved[corners, :2] * 16).astype(np.int32), 1, shift=4)
        x, y, width, height = cv2.boundingRect(shape)
        matrix[:, 2] -= x, y
        part = cv2.warpAffine(crop, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        window = slice(y, y + height), slice(x, x + width)
        np.copyto(seen[window], part, where=shape[window][..., None] > 0)
    return seen


def rolled(image: Image, tree: Tree) -> tuple[Image, Image]:
    """Gives a crop turned in its plane, and the label map of what is found there."""
    crop, _ = crop_of(image)
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), ROLL_DEG, 1.0)
    spun = np.asarray(cv2.warpAffine(crop, matrix, (SIDE, SIDE)), np.uint8)
    points = MeshLandmarks().detect(spun)[0].landmarks
    return spun, paint(spun, label_map(points, SIDE, tree, spun), tree)


def tilted(image: Image) -> Image:
    """Gives the picture as a camera from below sees it."""
    height, width = image.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    moved = corners + np.array([[0.16, 0.1], [-0.16, 0.1], [0, 0], [0, 0]], np.float32) * width
    matrix = cv2.getPerspectiveTransform(corners, moved)
    return np.asarray(cv2.warpPerspective(image, matrix, (width, height)), np.uint8)


def occluded(image: Image, tree: Tree) -> list[Image]:
    """Gives the embedded backend's label maps under the forge's occluders."""
    points = MeshLandmarks().detect(image)[0].landmarks[:, :2]
    frames = [cover(image, points, 1).over(image) for cover in OCCLUDERS.values()]
    return [mapped(frame, tree)[i] for frame in frames for i in (0, 1)]


def parsed(image: Image, tree: Tree, covered: bool) -> list[Image]:
    """Gives a drawn class map, and what the geometry makes of it."""
    crop, points = crop_of(image, WIDE)
    labels = label_map(points, SIDE, tree, crop)
    classes = drawn_classes(points, labels, tree, covered)
    found = with_parts(labels, classes, points, tree)
    beyond = {one.id for one in tree.atomic if isinstance(one.where, Parsing)}
    named = paint(crop, found, tree, selected=beyond, opacity=0.6, numbers=True)
    names = legend(tree, sorted(beyond & set(found.flat)), SIDE, row=18)
    return [coloured(classes), shown(crop, found, tree), named, fitted(names)]


def parsed_occluded(image: Image, tree: Tree) -> list[Image]:
    """Gives the forge's occluders, each drawn into the class map, and the labels."""
    crop, points = crop_of(image, WIDE)
    labels = label_map(points, SIDE, tree, crop)
    panels = []
    for name, found_as in OCCLUDED_BY.items():
        cover = OCCLUDERS[name](crop, points[:, :2], 1)
        classes = drawn_classes(points, labels, tree, covered=False)
        classes[cover.weight > 0.5] = CLASSES.index(found_as)
        frame = cover.over(crop)
        panels += [frame, shown(frame, with_parts(labels, classes, points, tree), tree)]
    return panels


def shown(crop: Image, labels: Image, tree: Tree) -> Image:
    """Gives the label map over the crop."""
    return marked(paint(crop, labels, tree, opacity=0.6))


def fitted(names: Image) -> Image:
    """Gives a legend on a panel of fixed width, so that rows are equally long."""
    return np.pad(names, ((0, 0), (0, 3 * SIDE // 2 - names.shape[1]), (0, 0)), constant_values=255)


def coloured(classes: Image) -> Image:
    """Gives a class map in flat colours."""
    colours = np.array([colour_of(7 * number + 3) for number in range(256)], np.uint8)
    return marked(colours[classes])


def marked(picture: Image) -> Image:
    """Writes on a panel that no network made its classes."""
    written = picture.copy()
    cv2.rectangle(written, (0, 0), (172, 24), (255, 255, 255), cv2.FILLED)
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(written, "classes drawn by hand", (5, 17), font, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return written


def save(name: str, rows: list[list[Image]]) -> None:
    """Writes rows of panels as one picture."""
    white = ((0, GAP), (0, GAP), (0, 0))
    joined = [
        np.concatenate([np.pad(one, white, constant_values=255) for one in row], axis=1)
        for row in rows
    ]
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    cv2.imwrite(str(FOLDER / name), np.concatenate(joined)[..., ::-1], options)
    print(f"wrote docs/img/{name}")


if __name__ == "__main__":
    main()
