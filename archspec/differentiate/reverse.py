"""Reverse-mode differentiation: the chain rule along the graph, from the loss back to the weights.

    y = f(a, b)   ->   da += df/da(dy),  db += df/db(dy)

Each op's rule is written in graph nodes, so the backward pass is fused, planned and printed like any other code.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from archspec.ir.build import Builder, Loops, Term
from archspec.ir.graph import FLOAT, Graph, Node, Origin
from archspec.ops import OPS


def differentiate(graph: Graph, output: str = "loss") -> Graph:
    """`graph` with the outputs `gradient:PATH` for every weight that is trained.

    `output` names a scalar. A weight that the loss does not hang on gets zeros.
    """
    builder = Builder(graph)
    paths = [p for p, spec in graph.specs.items() if not spec.frozen]
    reach = _reaching(graph, {graph.weights[p] for p in paths})
    parts: dict[int, list[int]] = {}
    loss = graph.outputs[output]
    if loss in reach:
        with builder.at(Origin(name="dloss", role="backward", of=output)):
            parts[loss] = [builder.constant(1.0)]
    for value in range(loss, -1, -1):
        if value in parts:
            _back(builder, graph, value, parts, reach)
    for path in paths:
        builder.outputs[f"gradient:{path}"] = _gradient_of(builder, graph.weights[path], path, parts)
    return builder.graph()


def _reaching(graph: Graph, weights: set[int]) -> set[int]:
    """The nodes through which a gradient flows: floats that hang on a trained weight."""
    reach = set(weights)
    for value, node in graph:
        flows = node.dtype == FLOAT and OPS[node.op].gradient is not None
        if flows and any(o.value in reach for o in node.operands):
            reach.add(value)
    return reach


def _back(builder: Builder, graph: Graph, value: int, parts: dict[int, list[int]], reach: set[int]) -> None:
    """Passes the gradient of node `value` on to its operands."""
    node = graph.nodes[value]
    rule = OPS[node.op].gradient
    with builder.at(_origin(node)):
        parts[value] = [_total(builder, node, parts[value])]
        if rule is None or not node.operands:
            return
        loops = Loops(builder, node.loops)
        x = tuple(loops.term(o.value, o.index) for o in node.operands)
        y, dy = loops.term(value), loops.term(parts[value][0])
        over = tuple(range(len(node.axes), len(node.loops)))
        gradients = rule(x, y, dy, over) if OPS[node.op].kind != "map" else rule(x, y, dy)
        wanted = [(t, g) for t, g in zip(x, gradients, strict=True) if g is not None and t.value in reach]
        for term, gradient in wanted:
            with builder.at(_origin(graph.nodes[term.value])):
                parts.setdefault(term.value, []).append(_onto(loops, gradient, term))


def _onto(loops: Loops, gradient: Term, term: Term) -> int:
    """The gradient with exactly the axes of the operand that `term` reads."""
    if len(set(term.index)) != len(term.index):
        raise NotImplementedError("the gradient of a diagonal")
    return loops.materialise(gradient, term.index)


def _total(builder: Builder, node: Node, values: Iterable[int]) -> int:
    loops = Loops(builder, node.axes)
    first, *rest = (loops.term(v) for v in values)
    for term in rest:
        first = first + term
    return first.value


def _origin(node: Node) -> Origin:
    """Backward nodes stand beside the forward node whose gradient they make."""
    name = f"d{node.origin.name}" if node.origin.name else ""
    return Origin(node.origin.path, name, node.origin.span, "backward", node.origin.full_name)


def _gradient_of(builder: Builder, weight: int, path: str, parts: dict[int, list[int]]) -> int:
    node = builder.node(weight)
    name = path.rsplit("/", 1)[-1]
    origin = Origin(path.removesuffix(name).rstrip("/"), f"d{name}", node.origin.span, "backward", path)
    with builder.at(origin):
        if weight not in parts:
            loops = Loops(builder, node.axes)
            return loops.materialise(loops.number(0.0), range(len(node.axes)))
    value = parts[weight][0]
    if builder.nodes[value].op != "weight":
        builder.nodes[value] = replace(builder.nodes[value], origin=origin)
    return value
