"""The last step of making a kernel: its name, its parameters in order, what it reads and writes."""

from __future__ import annotations

from archspec.ir.graph import Graph
from archspec.plan.groups import Group
from archspec.plan.kernel import Call, Kernel, Statement
from archspec.plan.names import safe
from archspec.plan.scalars import Scalars


def finish(s: Scalars, group: Group, body: tuple[Statement, ...]) -> Call:
    """The call of the kernel with this body."""
    parameters = tuple(s.parameters.parameters.values())
    arguments = tuple(s.parameters.arguments)
    buffers = [a for p, a in zip(parameters, arguments, strict=True) if p.kind == "buffer" and isinstance(a, int)]
    places = {s.storage.get(v, v) for v in group.saved}
    writes = tuple(v for v in buffers if v in places)
    reads = tuple(v for v in buffers if v not in places or v not in group.saved)
    kernel = Kernel(kernel_name(s.graph, group), parameters, body)
    origin = s.graph.nodes[max(group.saved)].origin
    return Call(kernel, arguments, reads, writes, origin)


def kernel_name(graph: Graph, group: Group) -> str:
    """The name of what the kernel makes, as the spec calls it: `h`, `dW`, `cross_entropy`."""
    named = [graph.nodes[v].origin for v in sorted(group.saved) if graph.nodes[v].origin.name]
    if named:
        origin = named[0] if named[0].role == "forward" else named[-1]
        return safe(origin.name)
    root = graph.nodes[group.root if group.root is not None else max(group.saved)]
    return safe(f"{root.origin.path.rsplit('/', 1)[-1]}_{root.op}")
