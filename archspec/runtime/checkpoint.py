"""Weights on disk: safetensors, written beside, synced and renamed, so that a file is whole or not there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from archspec.diagnostics import ArchError, Diagnostic
from archspec.runtime.stage import Array
from archspec.runtime.weights import Weights


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


def save_weights(path: Path, weights: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Writes all weights by path. Raises ArchError where one is not finite: such values never reach a file."""
    from safetensors.numpy import save

    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise ArchError(Diagnostic("R04", f"the weight `{name}` is not finite and was not saved"))
    write_whole(path, save({n: np.array(a, order="C") for n, a in weights.items()}, dict(metadata)))


def load_weights(path: Path, weights: Weights) -> None:
    """Sets weights from a file. Raises ArchError where the file is damaged or is of another model."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        found = load(path.read_bytes())
    except OSError as error:
        raise ArchError(Diagnostic("R05", f"cannot read {path}: {error.strerror}")) from None
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ArchError(Diagnostic("R06", f"{path} is no whole safetensors file: {error}")) from None
    missing = [name for name in weights if name not in found]
    strange = [name for name in found if name not in weights]
    if missing or strange:
        notes = tuple(f"missing: {n}" for n in missing[:5]) + tuple(f"not in the model: {n}" for n in strange[:5])
        raise ArchError(Diagnostic("R06", f"{path} holds the weights of another model", notes=notes))
    for name, array in found.items():
        weights[name] = array
