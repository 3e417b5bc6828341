"""The landmark and parsing backends that a manifest names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from fict.identity import load_network
from fict.labelmap import PARSERS, Parser, check_parser
from fict.landmarks import LANDMARK_BACKENDS, LandmarkBackend
from schemas.errors import UsageError, nearest
from schemas.manifest import Measure

LEAST_FACE_SCORE = 0.0
"""Below this a mesh is no face at all; between it and the manifest's gate it is a poor one."""
T = TypeVar("T")


def backends(settings: Measure) -> tuple[Callable[[float], LandmarkBackend], Parser]:
    """Gives the landmark and parsing backends that the settings name.

    Raises:
        UsageError: There is none of that name; the message lists those there are.
        BackendUnavailable: What a backend needs is not here.
    """
    finder = _chosen(LANDMARK_BACKENDS, settings.landmarks, "landmarks")
    parser = _chosen(PARSERS, settings.parser, "parser")
    check_parser(settings.parser)
    return finder, parser


def check_backends(settings: Measure) -> None:
    """Loads the landmark backend once, so that what it lacks stops a run before any work.

    Raises:
        UsageError: A backend of that name does not exist.
        BackendUnavailable: It cannot run here.
    """
    make_finder, _ = backends(settings)
    make_finder(LEAST_FACE_SCORE)
    if settings.gates.min_identity is not None:
        load_network()


def backend_names(settings: Measure) -> tuple[str, ...]:
    """Gives the names of all backends that the settings use, for `fict.weights.weights_used`."""
    gates = () if settings.gates.min_identity is None else ("identity",)
    return (settings.landmarks, settings.parser, *gates)


def _chosen(family: Mapping[str, T], name: str, key: str) -> T:
    if name not in family:
        raise UsageError(
            f"measure.{key}: no backend '{name}'{nearest(name, family)}; known: {', '.join(family)}"
        )
    return family[name]
