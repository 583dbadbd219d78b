"""Looking at a spec: every stage as text and as a networkx graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from archspec.frontend import syntax
from archspec.ir.graph import Graph
from archspec.ir.text import graph_text, node_names
from archspec.pipeline import PRECISIONS, Stages, plan
from archspec.records import fields, is_record

if TYPE_CHECKING:
    import networkx

    from archspec.plan import Plan
    from archspec.spec import Spec

Dims = Mapping[str, int] | None


def stage_text(spec: Spec, stage: str, dims: Dims = None, model: str | None = None, precision: str = "f32") -> str:
    """A stage as people read it."""
    if stage == "syntax":
        from archspec.frontend.text import print_file

        return print_file(spec.file.tree)
    return _PRINTERS[stage](spec.stages(dims, model), precision)


def stage_graph(spec: Spec, stage: str, dims: Dims = None, model: str | None = None) -> networkx.MultiDiGraph:
    """A stage as a networkx.MultiDiGraph.

    Nodes of graphs carry `name`, `op`, `shape` (names of axes), `sizes`, `dtype`, `role`, `path` and `span` (file, line,
    column); edges `position` and `axes`. Nodes of plans and code are kernels, edges the values that pass between them.
    """
    if stage == "syntax":
        return _syntax_graph(spec.file.tree)
    stages = spec.stages(dims, model)
    if stage in ("graph", "backward", "optimised"):
        return _node_graph(getattr(stages, stage))
    return _kernel_graph(_main_plan(stages), stage)


def _node_graph(graph: Graph) -> networkx.MultiDiGraph:
    import networkx

    drawn = networkx.MultiDiGraph(outputs=dict(graph.outputs), sizes=dict(graph.sizes))
    for (value, node), name in zip(graph, node_names(graph), strict=True):
        span = node.origin.span
        drawn.add_node(
            value,
            name=name,
            op=node.op,
            shape=tuple(str(a) for a in node.axes),
            sizes=tuple(graph.size(a) for a in node.axes),
            dtype=node.dtype,
            role=node.origin.role,
            path=node.origin.path,
            span=(span.source.path, span.line, span.column) if span else None,
        )
        for position, operand in enumerate(node.operands):
            axes = tuple(str(node.loops[i]) for i in operand.index)
            drawn.add_edge(operand.value, value, position=position, axes=axes)
    return drawn


def _kernel_graph(made: Plan, stage: str) -> networkx.MultiDiGraph:
    import networkx

    drawn = networkx.MultiDiGraph()
    names = node_names(made.graph)
    writer: dict[int, int] = {}
    sources = _sources(made, "f32") if stage == "code" else {}
    for i, call in enumerate(made.calls):
        span = call.origin.span
        place = (span.source.path, span.line, span.column) if span else None
        shape = tuple(str(a) for v in call.writes[:1] for a in made.graph.nodes[v].axes)
        code = sources.get(call.kernel.structure, "")
        drawn.add_node(i, name=f"{call.kernel.name}#{i}", op=call.kernel.name, shape=shape, span=place, code=code)
        for value in call.reads:
            if value in writer:
                drawn.add_edge(writer[value], i, value=names[value])
        writer.update(dict.fromkeys(call.writes, i))
    return drawn


def _syntax_graph(tree: syntax.File) -> networkx.MultiDiGraph:
    import networkx

    drawn = networkx.MultiDiGraph()

    def add(node: Any) -> int:
        number = int(drawn.number_of_nodes())
        span = node.span if isinstance(node, syntax.Node) else None
        place = (span.source.path, span.line, span.column) if span else None
        label = getattr(node, "name", None) or getattr(node, "id", None) or type(node).__name__.lower()
        drawn.add_node(number, name=label, op=type(node).__name__.lower(), shape=(), span=place)
        for part in fields(node):
            for child in _children(getattr(node, part.name)):
                drawn.add_edge(number, add(child), position=part.name)
        return number

    add(tree)
    return drawn


def _children(value: Any) -> list[Any]:
    if isinstance(value, tuple):
        return [c for item in value for c in _children(item)]
    return [value] if is_record(value) and isinstance(value, syntax.Node) else []


# --- text --------------------------------------------------------------------------------------------------------


def _main_plan(stages: Stages) -> Plan:
    return plan(stages.optimised)


def plan_text(made: Plan, float_nbytes: int, sizes: Mapping[str, int]) -> str:
    """The kernels in order with what each reads and writes, then the memory for given open sizes."""
    from archspec.plan import lay_out

    names = node_names(made.graph)
    lines = []
    for i, item in enumerate(made.items):
        lines += [f"{i:3}  {line}" if k == 0 else f"     {line}" for k, line in enumerate(_item_lines(made, item, names))]
    gradients = frozenset(made.views[v].root for name, v in made.graph.outputs.items() if name.startswith("gradient:"))
    memory = lay_out(made, sizes, float_nbytes, gradients)
    shown = ", ".join(f"{k} = {v}" for k, v in sizes.items())
    lines.append(f"\nmemory with {shown}: {memory.total:,} bytes; at least {memory.lower_bound:,} are alive at once")
    if gradients:
        lines.append("gradients lie in a buffer of their own")
    for value, offset in sorted(memory.offsets.items(), key=lambda item: item[1]):
        first, last = made.lifetimes[value]
        lines.append(
            f"{offset:10,} +{memory.nbytes[value]:<10,} {names[value]}  kernels {first} to {min(last, len(made.items) - 1)}"
        )
    return "\n".join(lines)


def _item_lines(made: Plan, item: Any, names: list[str]) -> list[str]:
    """A kernel with what it reads and writes; a loop over time with its kernels inside."""
    if not hasattr(item, "kernel"):
        inside = [f"    {line}" for part in item.items for line in _item_lines(made, part, names)]
        return [_loop_head(item), *inside]
    reads = ", ".join(names[v] for v in item.reads)
    writes = ", ".join(names[v] + made.graph.nodes[v].shape for v in item.writes)
    return [f"{item.kernel.name}({reads}) -> {writes}{_place(item)}"]


def _loop_head(loop: Any) -> str:
    if loop.slab is not None:
        rows = f"{loop.slab.rows} is {loop.slab.most}, or what is left"
        rows += f"; {loop.slab.last} is the number of its last row" if loop.slab.last else ""
        return f"for {loop.slab.first} in range(1, {loop.extent} + 1, {loop.slab.most}):   # {rows}"
    return f"for t in {'reversed(' if loop.reverse else ''}range({loop.extent}){')' if loop.reverse else ''}:"


def _place(call: Any) -> str:
    span = call.origin.span
    return f"   # {span.source.path}:{span.line}" if span else ""


def open_sizes(graph: Graph, batch: int) -> dict[str, int]:
    """`batch` for every axis without a size, to show figures by."""
    symbols = {s for node in graph.nodes for a in node.loops for s in a.size.symbols}
    return {s: batch for s in sorted(symbols) if s not in graph.sizes}


def _plan_stage(stages: Stages, precision: str) -> str:
    made = _main_plan(stages)
    nbytes = 4 if precision == "f32" else 8
    return plan_text(made, nbytes, open_sizes(made.graph, stages.training.batch))


def _sources(made: Plan, precision: str) -> dict[object, str]:
    from archspec.codegen.machine import product_shape
    from archspec.codegen.source import kernel_source

    p = PRECISIONS[precision]
    return {k.structure: kernel_source(k, p, product_shape(k, p)) for k in made.kernels}


def _code_stage(stages: Stages, precision: str) -> str:
    """The kernels, then the two functions of a step as the calls that they make."""
    made = _main_plan(stages)
    parts = list(_sources(made, precision).values())
    roles = ("forward", "backward")
    parts += [text for role in roles if (text := _calls_text(made, role))]
    return "\n\n".join(part.rstrip() + "\n" for part in parts)


def _calls_text(made: Plan, role: str) -> str:
    names = node_names(made.graph)
    lines = []
    for item in made.items:
        lines += [f"    {line}" for line in _call_lines(item, role, names)]
    return "\n".join([f"def {role}():", *lines]) if lines else ""


def _call_lines(item: Any, role: str, names: list[str]) -> list[str]:
    """The call of a kernel in one of the two functions; a loop with its calls. In a loop names mean their part at step t."""
    if not hasattr(item, "kernel"):
        inside = [f"    {line}" for part in item.items for line in _call_lines(part, role, names)]
        return [_loop_head(item), *inside] if inside else []
    if item.origin.role != role:
        return []
    arguments = ", ".join(_argument(a, p.kind, names) for a, p in zip(item.arguments, item.kernel.parameters, strict=True))
    span = item.origin.span
    return [f"{item.kernel.name}({arguments})" + (f"  # {span.source.path}:{span.line}" if span else "")]


def _argument(argument: Any, kind: str, names: list[str]) -> str:
    if kind != "buffer":
        return str(argument) if argument is not None else kind
    moves = any(step.terms for step in argument.steps)
    return f"{names[argument.value]}[t]" if moves else names[argument.value]


_PRINTERS: dict[str, Callable[[Stages, str], str]] = {
    "graph": lambda stages, precision: graph_text(stages.graph),
    "backward": lambda stages, precision: graph_text(stages.backward if stages.has_loss else stages.graph),
    "optimised": lambda stages, precision: graph_text(stages.optimised),
    "plan": _plan_stage,
    "code": _code_stage,
}
