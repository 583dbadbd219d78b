"""Graphs as views: a node for each value that an equation defines, in the box of the block that computes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archspec.ir.graph import BOOL, INT, Graph
from archspec.ir.graph import Node as Value
from archspec.ir.sizes import product
from archspec.viz.blocks import Block, block_path
from archspec.viz.cost import operations
from archspec.viz.drawing import Edge, Node, View
from archspec.viz.equations import Equation, equations
from archspec.viz.folding import Copies, Folding, boxes_of, folding
from archspec.viz.measured import Measured
from archspec.viz.notation import arch

NBYTES = {INT: 8, BOOL: 1}


def graph_view(
    name: str,
    title: str,
    graph: Graph,
    blocks: Sequence[Block],
    sizes: Mapping[str, int],
    measured: Measured | None = None,
) -> View:
    """A graph, forward alone or with its gradient. Copies that a `repeat` makes are drawn once."""
    return _Drawer(graph, folding(blocks), sizes, measured).view(name, title, blocks)


def nbytes(node: Value, sizes: Mapping[str, int], float_nbytes: int = 4) -> int:
    """The bytes of a value; 0 where its size is not known."""
    return (product(node.axes).evaluate(sizes) or 0) * NBYTES.get(node.dtype, float_nbytes)


def numbers(node: Value, sizes: Mapping[str, int]) -> str:
    """`32 × 64`: the sizes of a shape, `?` where one is not known."""
    known = [a.size.evaluate(sizes) for a in node.axes]
    return " × ".join("?" if n is None else f"{n:,}" for n in known)


def place_text(node: Value) -> str:
    span = node.origin.span
    return f"{span.source.path}:{span.line}  {span.source.line(span.line).strip()}" if span is not None else ""


class _Drawer:
    """`ids` has the node that each value is drawn as, `blocks` the path of the block that it stands in, unfolded."""

    def __init__(self, graph: Graph, fold: Folding, sizes: Mapping[str, int], measured: Measured | None) -> None:
        self.graph, self.fold, self.sizes, self.measured = graph, fold, sizes, measured
        self.forward = {n.origin.full_name: n for n in graph.nodes if n.origin.role == "forward"}
        self.lines: dict[int, list[Equation]] = {}
        for equation in equations(graph):
            self.lines.setdefault(equation.value, []).append(equation)
        self.ids: dict[int, str] = {}
        self.blocks: dict[int, str] = {}
        self.kinds: dict[object, int] = {}
        self.keys: dict[tuple[int, int], str] = {}
        self.seen: dict[tuple[str, int], int] = {}
        self.values: dict[str, list[int]] = {}
        self.gradients: Mapping[int, list[Equation]] = {}
        self.copies = Copies(fold)
        self.seconds: Mapping[int, float] = {}

    def view(self, name: str, title: str, blocks: Sequence[Block]) -> View:
        given = {*self.graph.inputs.values(), *self.graph.weights.values()}
        read = {v for lines in self.lines.values() for e in lines for v in e.reads}
        self.gradients = self._gradients()
        drawn = sorted({*self.lines, *(given & read)})
        if self.measured is not None:
            inside = {v: value for value in drawn for e in self.lines.get(value, ()) for v in e.inside}
            self.seconds = self.measured.values(graph=self.graph, drawn={**inside, **{v: v for v in drawn}})
        for value in drawn:
            self._place(value)
        nodes = tuple(self._node(id, values) for id, values in self.values.items())
        return View(name, title, boxes_of((n.parent for n in nodes), blocks), nodes, self._edges())

    def _gradients(self) -> dict[int, list[Equation]]:
        """For each forward value the equations of its gradient."""
        values = {n.origin.full_name: v for v, n in self.graph if n.origin.role == "forward" and n.origin.name}
        values |= dict(self.graph.weights)
        found: dict[int, list[Equation]] = {}
        for value, lines in self.lines.items():
            of = values.get(self.graph.nodes[value].origin.of)
            if of is not None:
                found.setdefault(of, []).extend(lines)
        return found

    def _place(self, value: int) -> None:
        """Which node a value is drawn as: one of its own, or the one of the first copy."""
        node = self.graph.nodes[value]
        path = self._block(node)
        alike = (self.fold.path(path), self._label(value).rstrip("0123456789"), node.op, node.axes)
        kind = self.kinds.setdefault(alike, len(self.kinds))
        number = self.seen[path, kind] = self.seen.get((path, kind), 0) + 1
        id = self.keys.setdefault((kind, number), f"n{len(self.keys)}")
        self.ids[value], self.blocks[value] = id, path
        self.copies.node(id, path)
        self.values.setdefault(id, []).append(value)

    def _block(self, node: Value) -> str:
        """The block of a node; a backward node stands in that of the forward node whose gradient it makes."""
        of = self.forward.get(node.origin.of) if node.origin.role == "backward" else None
        return "" if node.op == "input" else block_path(of) if of is not None else block_path(node)

    def _label(self, value: int) -> str:
        node = self.graph.nodes[value]
        if value in self.lines:
            return self.lines[value][0].name.own
        return str(dict(node.attributes).get("name") or node.attribute("path").rsplit("/", 1)[-1])

    def _node(self, id: str, values: Sequence[int]) -> Node:
        """The node of a value and of its equals in later copies. Their figures are added up; what is written is the first's."""
        value, times = values[0], len(values)
        node, lines = self.graph.nodes[value], self.lines.get(value, [])
        return Node(
            id,
            self._label(value),
            self.fold.path(self.blocks[value]),
            node.op if node.op in ("input", "weight") else node.origin.role,
            value,
            node.shape,
            numbers(node, self.sizes),
            times,
            line=place_text(node),
            equations=tuple(_equation(e) for e in lines),
            gradient=tuple(_equation(e) for e in self.gradients.get(value, ())),
            parameters=times * (product(node.axes).evaluate(self.sizes) or 0) if node.op == "weight" else 0,
            flops=self._flops(values),
            nbytes=times * nbytes(node, self.sizes),
            copies=self.copies.of_node(id),
            seconds=sum(self.seconds.get(v, 0.0) for v in values),
        )

    def _flops(self, values: Sequence[int]) -> int:
        """The operations of some values. Those of equal copies are worked out once, but what is written inside may differ."""
        known: dict[tuple[str, ...], int] = {}
        total = 0
        for value in values:
            ops = tuple([self.graph.nodes[v].op for e in self.lines.get(value, ()) for v in e.inside])
            if ops not in known:
                known[ops] = self._flops_of(value)
            total += known[ops]
        return total

    def _flops_of(self, value: int) -> int:
        nodes = (self.graph.nodes[v] for e in self.lines.get(value, ()) for v in e.inside)
        return sum(operations(node).evaluate(self.sizes) or 0 for node in nodes)

    def _edges(self) -> tuple[Edge, ...]:
        """Who reads what."""
        lengths = self._lengths()
        for target, lines in self.lines.items():
            for source in (v for e in lines for v in e.reads):
                ends = (self.ids[source], self.ids[target])
                blocks = self.blocks[source], self.blocks[target]
                self.copies.edge(ends, *blocks, self.graph.nodes[source], aside=source in lengths)
        return self.copies.drawn()

    def _lengths(self) -> frozenset[int]:
        """The values that say how long rows are: nobody wrote those edges."""
        found = {v for v in self.graph.inputs.values() if "lengths" in dict(self.graph.nodes[v].attributes)}
        for value in sorted(self.lines):
            reads = [v for e in self.lines[value] for v in e.reads]
            if reads and all(v in found for v in reads):
                found.add(value)
        return frozenset(found)


def _equation(equation: Equation) -> str:
    return f"{arch(equation.left)} = {arch(equation.right)}"
