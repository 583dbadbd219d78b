"""Graph to graph, right before planning: the forms that kernels and memory have.

one node as two outputs                    ->  two nodes, since each output has a place of its own
a leaf, a number or a view as an output    ->  a copy of it
a number where memory is read              ->  a copy of it
two owners of one value's memory           ->  a copy for the second: parts of a `concat`, links of a `delay`
"""

from __future__ import annotations

from archspec.ir.build import Builder
from archspec.ir.graph import Graph, Node, Operand
from archspec.ops import OPS
from archspec.plan.forms import is_leaf, strict_operands, virtual_nodes
from archspec.plan.storage import view_nodes
from archspec.records import replace

COMPUTED = frozenset({"map", "reduce", "contract", "read", "scatter"})
WHOLE = frozenset({"concat", "delay", "reshape"})


def prepare(graph: Graph) -> Graph:
    """The graph in the forms that memory has: every output, part and link is computed into one place."""
    return _separate_outputs(_give_rooms(graph))


def _copy_of(builder: Builder, value: int) -> int:
    node = builder.node(value)
    operand = Operand(value, tuple(range(len(node.axes))))
    return builder.add(Node("copy", (operand,), node.axes, dtype=node.dtype, of=node.of, origin=node.origin))


def _give_rooms(graph: Graph) -> Graph:
    """Copies where a value would have to lie in two places or where nothing computes it."""
    links = set(graph.links.values())
    if not links and all(OPS[n.op].kind in ("map", "reduce", "contract", "leaf") for n in graph.nodes):
        return graph
    virtual = virtual_nodes(graph)
    builder = Builder()
    new: list[int] = []
    builder.specs, builder.sizes = dict(graph.specs), dict(graph.sizes)
    owned = {graph.outputs[name] for name in graph.outputs} | links
    joined = {o.value for node in graph.nodes if node.op == "concat" for o in node.operands}
    taken: set[int] = set()

    def is_free(old: int) -> bool:
        return _is_computed(graph, old) and old not in owned and old not in taken

    for node in graph.nodes:
        if node.op not in WHOLE and not any(node.operands[k].value in virtual for k in strict_operands(node)):
            new.append(builder.add(node.reading(new)))
            continue
        operands = []
        for k, operand in enumerate(node.operands):
            value = new[operand.value]
            if node.op == "concat" and not is_free(operand.value):
                value = _copy_of(builder, value)
            elif node.op == "concat":
                taken.add(operand.value)
            elif node.op == "delay":
                value, operand = _start(builder, node, operand._replace(value=value))
            elif (k in strict_operands(node) and operand.value in virtual) or (
                node.op == "reshape" and not _lies_in_order(graph, operand.value, owned, joined)
            ):
                value = _copy_of(builder, value)
            operands.append(operand._replace(value=value))
        changed = tuple(operands) != node.operands
        new.append(builder.add(replace(node, operands=tuple(operands)) if changed else node))
    for name in ("inputs", "weights", "outputs"):
        setattr(builder, name, {key: new[v] for key, v in getattr(graph, name).items()})
    _link(builder, graph, new)
    return graph if builder.nodes == list(graph.nodes) else builder.graph()


def _start(builder: Builder, node: Node, operand: Operand) -> tuple[int, Operand]:
    """The first value of a recurrence as a node of its own, with all axes but the one of time."""
    along = node.attribute("along")
    axes = tuple(a for k, a in enumerate(node.axes) if k != along)
    index = tuple(i - (i > along) for i in operand.index)
    value = builder.add(Node("copy", (operand._replace(index=index),), axes, dtype=node.dtype, origin=node.origin))
    return value, Operand(value, tuple(k for k in range(len(node.axes)) if k != along))


def _lies_in_order(graph: Graph, value: int, owned: set[int], joined: set[int]) -> bool:
    """Whether the elements of a value lie one after another in memory of its own; `joined` are parts of a `concat`."""
    node = graph.nodes[value]
    if node.op == "reshape":
        return _lies_in_order(graph, node.operands[0].value, owned, joined)
    if is_leaf(node) or node.op == "concat":
        return True
    return _is_computed(graph, value) and value not in owned and value not in joined


def _is_computed(graph: Graph, value: int) -> bool:
    """Whether a kernel computes the value into memory."""
    apart = value in virtual_nodes(graph) or value in view_nodes(graph)
    return OPS[graph.nodes[value].op].kind in COMPUTED and not apart


def _link(builder: Builder, graph: Graph, new: list[int]) -> None:
    outputs = set(graph.outputs.values())
    used: set[int] = set()
    for delay, link in graph.links.items():
        value = new[link]
        if not _is_computed(graph, link) or link in used or link in outputs:
            value = _copy_of(builder, value)
        used.add(link)
        builder.links[new[delay]] = value


def _separate_outputs(graph: Graph) -> Graph:
    builder = Builder(graph)
    virtual, ways = virtual_nodes(graph), view_nodes(graph)
    used: set[int] = set()
    for name, value in graph.outputs.items():
        node = graph.nodes[value]
        if value in used or value in virtual or is_leaf(node) or (value in ways and node.op != "concat"):
            builder.outputs[name] = value = _copy_of(builder, value)
        used.add(value)
    return graph if len(builder.nodes) == len(graph.nodes) else builder.graph()
