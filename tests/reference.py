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
from archspec.runtime.stage import stream_key

Arrays = Mapping[str, Any]
DTYPES = {"float": float, "int": np.int64, "bool": bool}


def interpret(graph: Graph, inputs: Arrays, weights: Arrays, step: int = 0, seed: int = 0) -> dict[str, Any]:
    """The outputs of `graph` by name."""
    every = interpret_all(graph, inputs, weights, step, seed)
    return {name: every[value] for name, value in graph.outputs.items()}


def interpret_all(graph: Graph, inputs: Arrays, weights: Arrays, step: int = 0, seed: int = 0) -> list[Any]:
    """The value of each node. `step` and `seed` choose the random draws."""
    sizes = _sizes(graph, inputs)
    values: list[Any] = []
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            extents = tuple(loop.size.evaluate(sizes) for loop in node.loops)
            if OPS[node.op].kind == "leaf":
                value = _leaf(node, extents, inputs, weights, step, seed, sizes)
            else:
                value = _computed(node, extents, [values[o.value] for o in node.operands])
            values.append(np.asarray(value, DTYPES[node.dtype]))
    return values


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
