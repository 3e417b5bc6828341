"""The folder of a release while it is made, and how it gets to its place."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from schemas.atomic import sync_folder, sync_tree
from schemas.errors import OutputError


@contextlib.contextmanager
def new_folder(place: Path) -> Iterator[Path]:
    """Gives a temporary folder of one's own beside a place; it is gone afterwards in any case.

    It is locked meanwhile, which tells what a killed process left from what another one, at the
    same place at the same time, still writes: only the former is swept. Where folders cannot be
    locked (NFS) nothing is swept.

    Raises:
        OutputError: It cannot be written.
    """
    folder = place
    lock = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        for left in place.parent.glob(f".{glob.escape(place.name)}.*tmp"):
            _sweep(left)
        while lock is None:  # again where a sweep of another one was quicker than the lock
            folder = place.with_name(f".{place.name}.{secrets.token_hex(4)}.tmp")
            folder.mkdir()
            lock = _locked(folder)
        yield folder
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _locked(folder: Path) -> int | None:
    """Locks a new folder; None where it was swept before."""
    lock = os.open(folder, os.O_RDONLY)
    with contextlib.suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX)
    if folder.exists():
        return lock
    os.close(lock)
    return None


def _sweep(folder: Path) -> None:
    """Removes what a process that is no more left."""
    with contextlib.suppress(OSError):
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def publish(folder: Path, place: Path) -> None:
    """Moves a finished folder to its place, once all of it is on the disk.

    Raises:
        OutputError: It cannot be moved; for one, another one was quicker.
    """
    try:
        sync_tree(folder)
        folder.rename(place)
    except OSError as error:
        why = error.strerror or error
        raise OutputError(f"cannot put the release at {place}: {why}") from error
    sync_folder(place.parent)
