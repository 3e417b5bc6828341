"""Files that appear whole or not at all, whatever ends the process or the machine.

A file is written under a temporary name, synced, moved into place, and its folder synced. Its
writer holds a lock on it meanwhile, which the kernel lets go of when the process dies: that tells
`sweep` what a dead process left from what a living one still writes, in whatever container it runs
and whatever the clock says.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from schemas.errors import OutputError

TEMPORARY = ".*.tmp"
"""Names of files that are being written, or were when their process died."""


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Opens a file for writing; it is put in the place of `path` when the block ends well.

    Raises:
        OutputError: The folder cannot be written or the disk is full; `path` is as it was.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file, temporary = _locked_beside(path)
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
            temporary = None
        sync_folder(path.parent)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a small text file whole or not at all.

    Raises:
        OutputError: The folder cannot be written or the disk is full.
    """
    with whole_file(path) as file:
        file.write(text.encode())


def sweep(*folders: Path) -> int:
    """Removes the temporary files that dead processes left; gives how many there were."""
    left = [path for folder in folders for path in folder.glob(TEMPORARY)]
    return sum(_remove_if_abandoned(path) for path in left)


def _locked_beside(path: Path) -> tuple[BinaryIO, Path]:
    """Makes a locked temporary file; again where a sweep was quicker than the lock."""
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        file = temporary.open("xb")
        with contextlib.suppress(OSError):  # no locks there: then no sweep can take one either
            fcntl.flock(file, fcntl.LOCK_EX)
        if temporary.exists():
            return file, temporary
        file.close()


def _remove_if_abandoned(path: Path) -> bool:
    try:
        with path.open("r+b") as file:  # NFS gives no exclusive lock on less
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except OSError:  # a living process writes it, it was moved into place, or it may not be removed
        return False
    return True


def sync_tree(folder: Path) -> None:
    """Makes a folder durable with all that is in it."""
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)


def sync_folder(folder: Path) -> None:
    """Makes a move durable: without it a power cut may bring the old name back."""
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # no such thing on some network disks
            raise
    finally:
        os.close(descriptor)
