"""What every peer offers to its worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Peer:
    """One model of one library, ready to train.

    `step(x, y)` begins a step and may return before it is done, `wait()` returns when all are. `forward(x)` gives the
    model's scores as a NumPy array. `parameters` counts the weights that are trained, `weights` copies them out. `indices` is
    the type in which the library likes its integers.
    """

    step: Callable[[np.ndarray, np.ndarray], object]
    wait: Callable[[], object]
    forward: Callable[[np.ndarray], np.ndarray]
    parameters: int
    weights: Callable[[], dict[str, np.ndarray]] | None = None
    indices: str = "int64"
