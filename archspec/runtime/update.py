"""The update bound to the flat buffers: one kernel, run on each segment of the flat buffers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from archspec.runtime.stage import Array, Bound, Stage
from archspec.runtime.weights import Segment

if TYPE_CHECKING:
    from archspec.runtime.program import State


def bind_segment(stage: Stage, segment: Segment, state: State, scalars: Mapping[str, Array], number: int) -> Bound:
    """The update of one segment: `lr` and `decay` are its own, the other scalars are shared."""
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
    return own.bind({"n": segment.stop - segment.start})
