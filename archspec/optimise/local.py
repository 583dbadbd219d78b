"""Local rewrites: at each node the first rule that applies, until none does; and of equal nodes one.

x / 1 + -y;  x + -y   ->   x - y

A graph that is made again node by node meets each node when what it reads has its last form. So one walk does what takes a
pass of its own for each rule, and round after round of these: what a rule makes is a node to which rules apply at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from archspec.ir.build import Builder, Rewrite, rebuild
from archspec.ir.graph import Graph, Node

COMMUTATIVE = frozenset({"add", "multiply", "maximum", "minimum", "equal", "not_equal", "and", "or"})
Rule = Callable[[Builder, Node], "int | None"]  # another value that is the node's, made of nodes that are added
Rules = Callable[[str], tuple[Rule, ...]]  # those for the nodes of an op, the first ones first


def reduced(graph: Graph, *rules: Rules, rewrite: Rewrite | None = None) -> Graph:
    """The graph in which none of the `rules` applies and no node is there twice; the graph itself where that is so already.

    A `rewrite` may come before them. It sees the nodes of the graph only, not what rules make.
    """
    return rebuild(graph, rewrite or _keep, _Reducer(rules))


def _keep(builder: Builder, node: Node, operands: tuple[int, ...]) -> int | None:
    return None


class _Reducer(Builder):
    """A graph that grows by reduced nodes: to add one gives the number of a value that is equal and reduced.

    `known` has the nodes that are there by what they read. Random draws are told apart by their stream, and a delay by its
    link, which comes later.
    """

    def __init__(self, rules: Sequence[Rules]) -> None:
        super().__init__()
        self.rules = rules
        self.found: dict[str, tuple[Rule, ...]] = {}
        self.known: dict[object, list[int]] = {}

    def add(self, node: Node) -> int:
        rules = self.found.get(node.op)
        for rule in self._find(node.op) if rules is None else rules:
            value = rule(self, node)
            if value is not None:
                return value
        return super().add(node) if node.op == "delay" else self._shared(node)

    def _find(self, op: str) -> tuple[Rule, ...]:
        self.found[op] = tuple(rule for rules in self.rules for rule in rules(op))
        return self.found[op]

    def _shared(self, node: Node) -> int:
        """The first node that says the same."""
        operands = node.operands
        if node.op in COMMUTATIVE and operands[1] < operands[0]:
            operands = operands[::-1]
        alike = self.known.setdefault((node.op, operands, node.attributes), [])
        for value in alike:
            other = self.nodes[value]
            if other.axes == node.axes and (other.reduced, other.dtype, other.of) == (node.reduced, node.dtype, node.of):
                return value
        alike.append(len(self.nodes))
        return super().add(node)
