"""The update's rows of the table: one kernel, run on each segment of the flat buffers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from archspec.runtime.stage import Array, Stage
from archspec.runtime.weights import Segment

if TYPE_CHECKING:
    from archspec.runtime.program import State


def segment_rows(stage: Stage, segment: Segment, state: State, scalars: Mapping[str, Array], number: int) -> NDArray[np.int64]:
    """The rows that update one segment: `lr` and `decay` are its own, the other scalars are shared."""
    part = slice(segment.start, segment.stop)
    fixed = {"in:w": state.weights[part], "in:g": state.gradient[part]}
    fixed |= {f"in:{name}": array[part] for name, array in state.optimizer.items()}
    for name, array in scalars.items():
        fixed[f"in:{name}"] = array[number : number + 1].reshape(()) if name in ("lr", "decay") else array.reshape(())
    own = Stage(
        stage.plan,
        stage.natives,
        stage.arena,
        stage.float_type.str,
        stage.threads,
        stage.seed,
        stage.step,
        fixed,
    )
    return own.bind({"n": segment.stop - segment.start}).rows
