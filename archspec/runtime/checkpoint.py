"""Weights on disk, as safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from archspec.diagnostics import ArchError, Diagnostic
from archspec.runtime.stage import Array
from archspec.runtime.weights import Weights
from archspec.saving import write_whole


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
