"""Training and evaluation as two readings of one graph. They differ in dropout alone.

    training:    dropout(x)  ->  where(random >= rate, x * 1/(1 - rate), 0)
    evaluation:  dropout(x)  ->  x

The mask is a function of (seed, step, path, index), so the backward pass draws it again and nothing is stored.
Dropout in this scaled form: Srivastava et al. 2014, section 10.
"""

from __future__ import annotations

from archspec.ir.build import Builder, Loops, Term, rebuild
from archspec.ir.graph import Graph, Node


def for_evaluation(graph: Graph) -> Graph:
    """The graph with every dropout taken out."""

    def rewrite(builder: Builder, node: Node, operands: tuple[int, ...]) -> int | None:
        return operands[0] if node.op == "dropout" else None

    return rebuild(graph, rewrite)


def for_training(graph: Graph) -> Graph:
    """The graph with every dropout written out as a random mask."""

    def rewrite(builder: Builder, node: Node, operands: tuple[int, ...]) -> int | None:
        return _masked(builder, node, operands[0]) if node.op == "dropout" else None

    return rebuild(graph, rewrite)


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
