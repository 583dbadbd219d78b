"""archspec: neural networks written as their equations, compiled to readable Numba programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from archspec.diagnostics import ArchError
    from archspec.running import Run, run
    from archspec.spec import Spec, load, loads
    from archspec.trained.saved import open_run

__all__ = ["ArchError", "Run", "Spec", "__version__", "load", "loads", "open_run", "run"]

_HOMES = {
    "ArchError": "archspec.diagnostics",
    "Run": "archspec.running",
    "Spec": "archspec.spec",
    "load": "archspec.spec",
    "loads": "archspec.spec",
    "open_run": "archspec.trained.saved",
    "run": "archspec.running",
}


def __getattr__(name: str) -> Any:
    """Names are imported when first used, so that `archspec check` loads no compiler."""
    if name not in _HOMES:
        raise AttributeError(f"module 'archspec' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
