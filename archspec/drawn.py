"""`archspec viz`: a model as a drawing, in the format that a file's name says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from archspec.beside import beside
from archspec.diagnostics import ArchError, Diagnostic, did_you_mean
from archspec.pipeline import PRECISIONS, Stages, plan
from archspec.viz.draw import VIEWS, Compiled, draw, graph_of, graph_views
from archspec.viz.drawing import Drawing, View
from archspec.viz.measured import Measured
from archspec.viz.table import Table, table

if TYPE_CHECKING:
    from archspec.plan import Plan

FLOAT_NBYTES = {"f32": 4, "f64": 8}
DRAWN_SOONER = 2000  # nodes of the graphs to draw, some 8 layers, which take no longer than a process beside this one
Profile = Mapping[str, Any]


def drawing(
    stages: Stages,
    given: Mapping[str, int],
    views: tuple[str, ...],
    precision: str = "f32",
    profile: Profile | None = None,
) -> Drawing:
    """The views of a model, a batch for every axis that neither the spec, nor `given`, nor a profile has a size for."""
    from archspec.inspect import open_sizes

    table(stages, given)
    opened = open_sizes(stages.graph, stages.training.batch)
    measured = None if profile is None else _measured(stages, profile)
    if measured is not None:
        opened |= {name: measured.sizes[name] for name in opened if name in measured.sizes}
    sizes = {**opened, **given}
    shown = Table(stages, {**stages.graph.sizes, **sizes})
    graphs = {name: graph_of(stages, name) for name in views if name != "plan"}
    written: Callable[[], tuple[View, ...]] = partial(graph_views, graphs, shown.blocks, shown.sizes, measured)
    if "plan" not in views:
        return draw(shown, written, measured=measured)
    if sum(len(graph.nodes) for graph in graphs.values()) > DRAWN_SOONER:
        written = beside(written)
    made = measured.plan if measured is not None else plan(stages.optimised, sizes)
    compiled = _compiled(made, made.usual_sizes({**made.graph.sizes, **sizes}), precision)
    return draw(shown, written, compiled, measured)


def _compiled(made: Plan, sizes: Mapping[str, int], precision: str) -> Compiled:
    """The generated code of each kernel by its name, and how it is shared among threads."""
    from archspec.codegen.machine import product_shape
    from archspec.codegen.source import kernel_source
    from archspec.codegen.threads import shared_text

    p = PRECISIONS[precision]
    shapes = {k.name: product_shape(k, p) for k in made.kernels}
    sources = {k.name: kernel_source(k, p, shapes[k.name]) for k in made.kernels}
    threads = {k.name: shared_text(k, shapes[k.name], sizes) for k in made.kernels}
    return Compiled(made, sources, threads, FLOAT_NBYTES[precision])


def _measured(stages: Stages, profile: Profile) -> Measured:
    """A profile for the plan of its spec. Raises ArchError where it is that of another one."""
    made = plan(stages.optimised, profile["sizes"])
    calls = [c for c in profile["calls"] if c["stage"] == "train" and c["number"] < len(made.calls)]
    known = {number: call.kernel.name for number, call in enumerate(made.calls)}
    if {c["number"]: c["kernel"] for c in calls} != known:
        hint = "draw the spec of the run, with its settings; or take a new profile: archspec run --profile"
        raise ArchError(Diagnostic("R05", "the profile is not of this spec: its kernels are others", hints=(hint,)))
    times = {c["number"]: (c["seconds"], c["floor"]) for c in calls}
    return Measured(made, times, profile["step"], profile["sizes"])


def _html(drawn: Drawing) -> str:
    from archspec.viz.page import page

    return page(drawn)


def _svg(drawn: Drawing) -> str:
    from archspec.viz.dot import dot
    from archspec.viz.engine import svg

    return svg(dot(drawn.views[0]))


def _dot(drawn: Drawing) -> str:
    from archspec.viz.dot import dot

    return dot(drawn.views[0])


def _json(drawn: Drawing) -> str:
    return json.dumps(drawn.data(), ensure_ascii=False, indent=1) + "\n"


def _png(drawn: Drawing) -> bytes:
    from archspec.viz.engine import png

    return png(_svg(drawn))


FORMATS: dict[str, Callable[[Drawing], str | bytes]] = {
    ".html": _html,
    ".svg": _svg,
    ".png": _png,
    ".dot": _dot,
    ".json": _json,
}


def drawn_file(
    suffix: str,
    stages: Stages,
    given: Mapping[str, int],
    stage: str | None,
    precision: str = "f32",
    profile: Profile | None = None,
) -> bytes:
    """A model in the format of a suffix. A page has all views where no `stage` is asked for; a picture and DOT have one."""
    if suffix not in FORMATS:
        hints = did_you_mean(suffix, FORMATS)
        raise ArchError(Diagnostic("U01", f"`{suffix}` is not a format that drawings are written in", hints=hints))
    every = tuple(VIEWS) if suffix in (".html", ".json") else ("graph",)
    made = FORMATS[suffix](drawing(stages, given, (stage,) if stage else every, precision, profile))
    return made if isinstance(made, bytes) else made.encode()


def drawn_text(suffix: str, stages: Stages, given: Mapping[str, int], stage: str | None, precision: str = "f32") -> str:
    """The same for a format that is text."""
    return drawn_file(suffix, stages, given, stage, precision).decode()
