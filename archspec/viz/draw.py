"""A model as a drawing: what `archspec viz` hands to every format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from archspec.viz.compiled import arena, compiled_view
from archspec.viz.drawing import Drawing, View
from archspec.viz.graphs import graph_view
from archspec.viz.table import Table

if TYPE_CHECKING:
    from archspec.pipeline import Stages
    from archspec.plan import Plan

VIEWS = {"graph": "As written", "backward": "Differentiated", "plan": "Compiled"}


def draw(
    stages: Stages,
    sizes: Mapping[str, int],
    wanted: tuple[str, ...],
    plan: Plan | None = None,
    sources: Mapping[str, str] | None = None,
    float_nbytes: int = 4,
) -> Drawing:
    """The views `wanted` of a model, with `sizes` for its open axes; its kernels and memory where there is a plan."""
    shown = Table(stages, {**stages.graph.sizes, **sizes})
    views = [_graph_view(name, shown) for name in wanted if name != "plan"]
    if plan is None:
        return Drawing(stages.lowered.model, shown.sizes, tuple(views))
    views.append(compiled_view(plan, shown.blocks, shown.sizes))
    memory = arena(plan, shown.sizes, float_nbytes)
    return Drawing(stages.lowered.model, shown.sizes, tuple(views), memory, sources or {})


def _graph_view(name: str, shown: Table) -> View:
    stages = shown.stages
    graph = stages.backward if name == "backward" and stages.has_loss else stages.graph
    return graph_view(name, VIEWS[name], graph, shown.blocks, shown.sizes)
