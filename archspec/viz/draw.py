"""A model as a drawing: what `archspec viz` hands to every format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from archspec.ir.graph import Graph
from archspec.records import field, record
from archspec.viz.blocks import Block
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
    shown: Table, written: Callable[[], tuple[View, ...]], compiled: Compiled | None = None, measured: Measured | None = None
) -> Drawing:
    """A model as a drawing: the views that `written` gives; its kernels and memory where it is compiled."""
    title, step = shown.stages.lowered.model, measured.step if measured is not None else {}
    if compiled is None:
        return Drawing(title, shown.sizes, written(), step=step)
    kernels = compiled_view(compiled.plan, shown.blocks, shown.sizes, compiled.threads, measured)
    memory = arena(compiled.plan, shown.sizes, compiled.float_nbytes)
    return Drawing(title, shown.sizes, (*written(), kernels), memory, compiled.sources, step)


def graph_views(
    graphs: Mapping[str, Graph], blocks: Sequence[Block], sizes: Mapping[str, int], measured: Measured | None = None
) -> tuple[View, ...]:
    """Graphs by the names of their views, with the blocks of their model."""
    return tuple(graph_view(name, VIEWS[name], graph, blocks, sizes, measured) for name, graph in graphs.items())


def graph_of(stages: Stages, view: str) -> Graph:
    """The graph that a view shows."""
    return stages.backward if view == "backward" and stages.has_loss else stages.graph
