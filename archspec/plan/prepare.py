"""Graph to graph, right before planning: the forms that kernels have.

a contraction that is no matrix product    ->  a product, element by element, and a sum
one node as two outputs                    ->  two nodes, since each output has a place of its own
a leaf or a number as an output            ->  a copy of it
"""

from __future__ import annotations

from dataclasses import replace

from archspec.ir.build import Builder, rebuild
from archspec.ir.graph import Graph, Node, Operand
from archspec.plan.groups import virtual_nodes
from archspec.plan.products import is_product


def prepare(graph: Graph) -> Graph:
    """The graph in the forms that kernels have."""
    return _separate_outputs(_expand_contractions(graph))


def _expand_contractions(graph: Graph) -> Graph:
    def rewrite(builder: Builder, node: Node, operands: tuple[int, ...]) -> int | None:
        if node.op != "contract" or is_product(builder.graph(), node):
            return None
        return _multiplied(builder, node)

    if all(n.op != "contract" or is_product(graph, n) for n in graph.nodes):
        return graph
    return rebuild(graph, rewrite)


def _multiplied(builder: Builder, node: Node) -> int:
    """The product over all loops, in the order of the wider operand, then the sum."""
    wider = max(node.operands, key=lambda o: len(o.index))
    order = list(dict.fromkeys(wider.index))
    order = [i for i in range(len(node.loops)) if i not in order] + order
    place = {loop: k for k, loop in enumerate(order)}
    axes = tuple(node.loops[i] for i in order)
    operands = tuple(replace(o, index=tuple(place[i] for i in o.index)) for o in node.operands)
    product = builder.add(Node("multiply", operands, axes))
    index = tuple(order)
    return builder.add(replace(node, op="sum", operands=(Operand(product, index),)))


def _separate_outputs(graph: Graph) -> Graph:
    builder = Builder(graph)
    virtual = virtual_nodes(graph)
    used: set[int] = set()
    for name, value in graph.outputs.items():
        node = graph.nodes[value]
        if value in used or value in virtual or node.op in ("input", "weight"):
            operand = Operand(value, tuple(range(len(node.axes))))
            copy = Node("copy", (operand,), node.axes, dtype=node.dtype, of=node.of, origin=node.origin)
            builder.outputs[name] = value = builder.add(copy)
        used.add(value)
    return builder.graph()
