"""Training and evaluation as two readings of one graph. They differ in dropout, noise and running averages alone.

    training:    dropout(x)  ->  where(random >= rate, x * 1/(1 - rate), 0)
    evaluation:  dropout(x)  ->  x

    training:    noise(x)  ->  sqrt(-2 log(1 - random)) * cos(2 pi random)
    evaluation:  noise(x)  ->  0

    training:    running(value, average, observed)  ->  value,  and the output `running:PATH` is the average's next value
    evaluation:  running(value, average, observed)  ->  average

The mask is a function of (seed, step, path, index), so the backward pass draws it again and nothing is stored.
Dropout in this scaled form: Srivastava et al. 2014, section 10. Normal draws: Box & Muller 1958.
"""

from __future__ import annotations

import math

from archspec.ir.build import Builder, Loops, Term, rebuild
from archspec.ir.graph import Graph, Node


def for_evaluation(graph: Graph) -> Graph:
    """The graph with every dropout taken out, and averages for what batches show."""

    def rewrite(builder: Builder, node: Node, operands: tuple[int, ...]) -> int | None:
        if node.op == "noise":
            return _zeros(builder, node)
        return operands[0] if node.op == "dropout" else operands[1] if node.op == "running" else None

    return rebuild(graph, rewrite)


def for_training(graph: Graph) -> Graph:
    """The graph with every dropout written out as a random mask, and with what becomes of the running averages."""
    averages: dict[str, int] = {}

    def rewrite(builder: Builder, node: Node, operands: tuple[int, ...]) -> int | None:
        if node.op == "running":
            name = f"running:{node.attribute('path')}"
            averages[name] = _average(builder, node, averages.get(name, operands[1]), operands[2])
            return operands[0]
        if node.op == "noise":
            return _normal(builder, node)
        return _masked(builder, node, operands[0]) if node.op == "dropout" else None

    trained = rebuild(graph, rewrite)
    return trained.with_outputs({**trained.outputs, **averages})


def _average(builder: Builder, node: Node, before: int, observed: int) -> int:
    """(1 - momentum) * average + momentum * observed."""
    momentum, loops = node.attribute("momentum"), Loops(builder, node.axes)
    after: Term = loops.term(before) * (1.0 - momentum) + loops.term(observed, node.operands[2].index) * momentum
    return after.value


def _masked(builder: Builder, node: Node, x: int) -> int:
    rate, stream = node.attribute("rate"), node.attribute("stream")
    if rate == 0:
        return x
    loops = Loops(builder, node.axes)
    draw = builder.add(Node("random", (), node.axes, attributes=(("stream", stream),)))
    kept = loops.term(draw) >= rate
    scaled = loops.term(x) * (1.0 / (1.0 - rate))
    result: Term = kept.apply("where", scaled, loops.number(0.0))
    return result.value


def _zeros(builder: Builder, node: Node) -> int:
    loops = Loops(builder, node.axes)
    return loops.materialise(loops.number(0.0), range(len(node.axes)))


def _normal(builder: Builder, node: Node) -> int:
    """Standard normal numbers from two uniform ones; 1 - random lies in (0, 1], so its logarithm is finite."""
    loops, stream = Loops(builder, node.axes), node.attribute("stream")
    draws = [builder.add(Node("random", (), node.axes, attributes=(("stream", s),))) for s in (stream, f"{stream}:angle")]
    radius = ((1.0 - loops.term(draws[0])).apply("log") * -2.0).apply("sqrt")
    result: Term = radius * (loops.term(draws[1]) * (2.0 * math.pi)).apply("cos")
    return result.value
