"""The update as graphs: the optimiser's rule over a flat run of weights, and the norm that clipping needs.

They are graphs like any other, so the update is one fused kernel and runs wherever kernels run.
"""

from __future__ import annotations

from collections.abc import Mapping

from archspec.ir.build import Builder, Loops, Term
from archspec.ir.graph import Graph, Origin
from archspec.ir.sizes import Axis
from archspec.learning.optimizers import OPTIMIZERS

RUN = Axis.named("n")
CHUNK = 4096


def update_graph(
    name: str, arguments: Mapping[str, float], decays: bool, clip_norm: bool, clip_value: float | None
) -> tuple[Graph, dict[str, str]]:
    """The update of a run of n weights, and which outputs are written over which inputs.

    Inputs: `w`, `g` and each state (n); `lr`, `decay`, `scale` and the optimiser's own scalars ().
    Outputs: `new_w` and `new_STATE` (n).
    """
    optimizer = OPTIMIZERS[name]
    builder = Builder()
    loops = Loops(builder, (RUN,))
    with builder.at(Origin(name=name, role="update")):
        w, g = (loops.term(builder.input(n, (RUN,))) for n in ("w", "g"))
        states = {n: loops.term(builder.input(n, (RUN,))) for n in optimizer.states(arguments)}
        lr = _scalar(loops, "lr")
        decay = _scalar(loops, "decay") if decays else None
        at = {n: _scalar(loops, n) for n in optimizer.scalars(arguments, 1)}
        new_w, new = optimizer.update(w, _clipped(loops, g, clip_norm, clip_value), states, lr, decay, at, arguments)
    into = {"new_w": "w", **{f"new_{n}": n for n in new}}
    builder.outputs = {"new_w": new_w.value, **{f"new_{n}": term.value for n, term in new.items()}}
    return builder.graph(), into


def _scalar(loops: Loops, name: str) -> Term:
    return loops.term(loops.builder.input(name, ()))


def _clipped(loops: Loops, g: Term, norm: bool, value: float | None) -> Term:
    if norm:
        return g * _scalar(loops, "scale")
    if value is not None:
        return g.apply("maximum", loops.number(-value)).apply("minimum", loops.number(value))
    return g


def norm_graph(limit: float | None) -> Graph:
    """The 2-norm of a gradient of `chunks` times 4,096 elements, and the factor that brings it down to `limit`.

    Input `g` (chunks, 4096); outputs `norm` () and, with a limit, `scale` () = min(1, limit / norm), Pascanu et al. 2013,
    algorithm 1. Summed chunk by chunk: the same bits for any number of threads.
    """
    builder = Builder()
    axes = (Axis.named("chunks"), Axis.named("chunk"))
    builder.sizes["chunk"] = CHUNK
    loops = Loops(builder, axes)
    with builder.at(Origin(name="norm", role="update")):
        g = loops.term(builder.input("g", axes))
        partial = loops.reduce("sum", g.apply("square"), [1])
        norm = loops.reduce("sum", partial, [0]).apply("sqrt")
        builder.outputs["norm"] = norm.value
        if limit is not None:
            builder.outputs["scale"] = loops.number(1.0).apply("minimum", limit / norm).value
    return builder.graph()
