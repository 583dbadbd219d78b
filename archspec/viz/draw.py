"""A model as a drawing: what `archspec viz` hands to every format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from archspec.records import field, record
from archspec.viz.compiled import arena, compiled_view
from archspec.viz.drawing import Drawing, View
from archspec.viz.graphs import graph_view
from archspec.viz.measured import Measured
from archspec.viz.table import Table

if TYPE_CHECKING:
    from archspec.pipeline import Stages
    from archspec.plan import Plan

VIEWS = {"graph": "As written", "backward": "Differentiated", "plan": "Compiled"}


@record
class Compiled:
    """A plan with what only the code generator knows: for each kernel by name its code, and how it is shared among threads."""

    plan: Plan
    sources: Mapping[str, str] = field(default_factory=dict)
    threads: Mapping[str, str] = field(default_factory=dict)
    float_nbytes: int = 4


def draw(
    stages: Stages,
    sizes: Mapping[str, int],
    wanted: tuple[str, ...],
    compiled: Compiled | None = None,
    measured: Measured | None = None,
) -> Drawing:
    """The views `wanted` of a model, with `sizes` for its open axes; its kernels and memory where it is compiled."""
    shown = Table(stages, {**stages.graph.sizes, **sizes})
    views = [_graph_view(name, shown, measured) for name in wanted if name != "plan"]
    step = measured.step if measured is not None else {}
    if compiled is None or "plan" not in wanted:
        return Drawing(stages.lowered.model, shown.sizes, tuple(views), step=step)
    views.append(compiled_view(compiled.plan, shown.blocks, shown.sizes, compiled.threads, measured))
    memory = arena(compiled.plan, shown.sizes, compiled.float_nbytes)
    return Drawing(stages.lowered.model, shown.sizes, tuple(views), memory, compiled.sources, step)


def _graph_view(name: str, shown: Table, measured: Measured | None) -> View:
    stages = shown.stages
    graph = stages.backward if name == "backward" and stages.has_loss else stages.graph
    return graph_view(name, VIEWS[name], graph, shown.blocks, shown.sizes, measured)
