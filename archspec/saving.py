"""Files that are there whole or not at all: written beside, synced and renamed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from archspec.diagnostics import ArchError, Diagnostic


def write_whole(path: Path, data: bytes) -> None:
    """Replaces a file in one go; a link goes on leading to it, and it keeps its mode. Raises ArchError where the disk refuses,
    and leaves the old file."""
    temporary, shown = "", path
    try:
        path = Path(os.path.realpath(path))
        mode = path.stat().st_mode & 0o7777 if path.exists() else 0o644
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise ArchError(Diagnostic("R05", f"cannot write {shown}: {error.strerror}")) from None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
