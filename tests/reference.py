"""An obvious interpreter of graphs: one node at a time, in NumPy, without fusion, plan or kernel.

The oracle for compiled programs and for the passes of the compiler.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from archspec.ir.graph import Graph, Node
from archspec.ops import OPS
from archspec.ops.randomness import philox
from archspec.runtime.table import stream_key

Arrays = Mapping[str, Any]
DTYPES = {"float": float, "int": np.int64, "bool": bool}


def interpret(graph: Graph, inputs: Arrays, weights: Arrays, step: int = 0, seed: int = 0) -> dict[str, Any]:
    """The outputs of `graph` by name."""
    every = interpret_all(graph, inputs, weights, step, seed)
    return {name: every[value] for name, value in graph.outputs.items()}


def interpret_all(graph: Graph, inputs: Arrays, weights: Arrays, step: int = 0, seed: int = 0) -> list[Any]:
    """The value of each node. `step` and `seed` choose the random draws."""
    sizes = _sizes(graph, inputs)
    history = {d: np.zeros([a.size.evaluate(sizes) for a in graph.nodes[d].axes]) for d in graph.links}
    while True:
        values = _pass(graph, inputs, weights, step, seed, sizes, history)
        later = {
            d: _delayed(graph.nodes[d], values[graph.nodes[d].operands[0].value], values[v]) for d, v in graph.links.items()
        }
        if all(np.array_equal(history[d], later[d], equal_nan=True) for d in history):
            return values
        history = later


def _pass(
    graph: Graph, inputs: Arrays, weights: Arrays, step: int, seed: int, sizes: dict[str, int], history: dict[int, Any]
) -> list[Any]:
    """The value of each node where the delays have the values of `history`: each pass makes one more step right."""
    values: list[Any] = []
    with np.errstate(all="ignore"):
        for number, node in graph:
            extents = tuple(loop.size.evaluate(sizes) for loop in node.loops)
            operands = [values[o.value] for o in node.operands]
            if node.op == "delay":
                value = history[number]
            elif OPS[node.op].kind == "leaf":
                value = _leaf(node, extents, inputs, weights, step, seed, sizes)
            elif node.op in STRUCTURE:
                value = STRUCTURE[node.op](node, extents, operands, sizes)
            else:
                value = _computed(node, extents, operands)
            values.append(np.asarray(value, DTYPES[node.dtype]))
    return values


def _delayed(node: Node, first: Any, link: Any) -> Any:
    """link[t-1], and `first` at the first step."""
    along, steps = node.attribute("along"), link.shape[node.attribute("along")]
    moved = np.moveaxis(link, along, 0)
    start = np.zeros(moved.shape[1:])
    index = [i - (i > along) for i in node.operands[0].index]
    points = np.indices(start.shape, sparse=True)
    start[...] = first[tuple(points[i] for i in index)] if index else first
    rows = [*moved[1:], start] if node.attribute("reverse") else [start, *moved[: steps - 1]]
    return np.moveaxis(np.array(rows), 0, along)


def _window(node: Node, extents: tuple[int, ...], operands: list[Any], sizes: dict[str, int]) -> Any:
    (x,) = operands
    places, valid = [], np.ones(extents, bool)
    points = np.indices(extents)
    for place, count in zip(node.attribute("places"), x.shape, strict=True):
        at = np.full(extents, place.offset.evaluate(sizes))
        for loop, factor in place.terms:
            at = at + points[loop] * factor.evaluate(sizes)
        divisor = place.divisor.evaluate(sizes)
        valid &= (at % divisor == 0) & (at // divisor >= 0) & (at // divisor < count)
        places.append(np.where(valid, at // divisor, 0))
    return np.where(valid, x[tuple(places)], node.attribute("fill"))


def _gather(node: Node, extents: tuple[int, ...], operands: list[Any], sizes: dict[str, int]) -> Any:
    ids, table = operands
    kept = extents[: len(node.axes)]
    points = np.indices(kept)
    picked = ids[tuple(points[i] for i in node.operands[0].index)] if ids.ndim else np.full(kept, ids)
    return table[tuple(picked if i == len(kept) else points[i] for i in node.operands[1].index)]


def _scatter(node: Node, extents: tuple[int, ...], operands: list[Any], sizes: dict[str, int]) -> Any:
    ids, source = operands
    axis, rank = node.attribute("axis"), len(node.axes)
    total = np.zeros(extents[:rank])
    turns = [1 if k == axis else n for k, n in enumerate(extents)]
    for point in np.ndindex(*turns):
        at = list(point[:rank])
        at[axis] = ids[tuple(point[i] for i in node.operands[0].index)]
        total[tuple(at)] += source[tuple(point[i] for i in node.operands[1].index)]
    return total


STRUCTURE: dict[str, Any] = {
    "window": _window,
    "gather": _gather,
    "scatter": _scatter,
    "concat": lambda node, extents, operands, sizes: np.concatenate(operands, node.attribute("axis")),
    "reshape": lambda node, extents, operands, sizes: operands[0].reshape(extents),
}


def _sizes(graph: Graph, inputs: Arrays) -> dict[str, int]:
    """The sizes that the graph knows and those that the inputs have."""
    sizes = dict(graph.sizes)
    for name, value in graph.inputs.items():
        for axis, count in zip(graph.nodes[value].axes, np.shape(inputs[name]), strict=True):
            sizes.setdefault(str(axis.size), count)
    return sizes


def _leaf(
    node: Node, extents: tuple[int, ...], inputs: Arrays, weights: Arrays, step: int, seed: int, sizes: dict[str, int]
) -> Any:
    if node.op == "input":
        return inputs[node.attribute("name")]
    if node.op == "weight":
        return weights[node.attribute("path")]
    if node.op == "constant":
        return node.attribute("value")
    if node.op == "size":
        return node.attribute("size").evaluate(sizes)
    count = np.arange(int(np.prod(extents))).reshape(extents)
    return count if node.op == "position" else philox(np, count, step, stream_key(seed, node.attribute("stream")))


def _computed(node: Node, extents: tuple[int, ...], operands: list[Any]) -> Any:
    """Each operand is read at every point of the loops; the op combines them; the trailing loops are reduced."""
    points = np.indices(extents, sparse=True)
    read = [a[tuple(points[i] for i in o.index)] for a, o in zip(operands, node.operands, strict=True)]
    op, rank = OPS[node.op], len(node.axes)
    over = tuple(range(rank, len(extents)))
    assert op.reference is not None
    if op.kind == "map":
        return np.broadcast_to(op.reference(np, *read), extents)
    if op.kind == "contract":
        return np.broadcast_to(op.reference(np, *read), extents).sum(over)
    whole = np.broadcast_to(read[0], extents)
    return op.reference(np, whole, over[0] if node.op == "argmax" else over)
