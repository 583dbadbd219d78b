"""Reverse-mode differentiation: the chain rule along the graph, from the loss back to the weights.

    y = f(a, b)   ->   da += df/da(dy),  db += df/db(dy)

Each op's rule is written in graph nodes, so the backward pass is fused, planned and printed like any other code.

A recurrence h[t] = f(h[t-1], …) has as its gradient the recurrence that runs the other way: what f passes to h[t-1]
at step t+1 is a part of dh[t]. That part is a delay of its own, linked once its own gradient is known (backpropagation
through time, Werbos 1990).
"""

from __future__ import annotations

from archspec.ir.build import Builder, Loops, Term
from archspec.ir.graph import FLOAT, IMPLICIT, Graph, Node, Origin
from archspec.ir.sizes import Size
from archspec.ops import OPS
from archspec.records import replace


def differentiate(graph: Graph, output: str = "loss") -> Graph:
    """`graph` with the outputs `gradient:PATH` for every weight that is trained.

    `output` names a scalar. A weight that the loss does not hang on gets zeros.
    """
    return _Reverse(graph).run(output)


def _reaching(graph: Graph, weights: set[int]) -> set[int]:
    """The nodes through which a gradient flows: floats that hang on a trained weight, by way of delays too."""
    reach: set[int] = set()
    before = -1
    while len(reach) != before:
        before = len(reach)
        for value, node in graph:
            if value in weights or (_flows(node) and any(v in reach for v in _read(graph, value))):
                reach.add(value)
        if not graph.links:  # what is read comes first, so once through is enough
            break
    return reach


def _flows(node: Node) -> bool:
    return node.dtype == FLOAT and (OPS[node.op].gradient is not None or node.op == "delay")


def _read(graph: Graph, value: int) -> list[int]:
    """What a node reads, its link included."""
    operands = [o.value for o in graph.nodes[value].operands]
    return [*operands, graph.links[value]] if value in graph.links else operands


class _Reverse:
    """`parts` are, for each node, the contributions to its gradient so far, each with the node's own axes."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.builder = graph, Builder(graph)
        self.paths = [p for p, spec in graph.specs.items() if not spec.frozen]
        self.reach = _reaching(graph, {graph.weights[p] for p in self.paths})
        self.parts: dict[int, list[int]] = {}
        self.later: dict[int, int] = {}
        self.origins: dict[int, Origin] = {}

    def run(self, output: str) -> Graph:
        loss = self.graph.outputs[output]
        live = self.graph.reached([loss])
        if loss in self.reach:
            with self.builder.at(Origin(name="dloss", role="backward", of=output)):
                self.parts[loss] = [self.builder.constant(1.0)]
        self._begin_delays(live)
        for value in range(max(live), -1, -1):
            if value in self.parts:
                self._back(value)
        self._end_delays()
        for path in self.paths:
            self.builder.outputs[f"gradient:{path}"] = self._gradient_of(path)
        return self.builder.graph()

    # --- recurrences ------------------------------------------------------------------------------------------

    def _begin_delays(self, live: set[int]) -> None:
        """For each delay that a gradient flows through, the delay that brings its gradient to its link."""
        for delay, link in self.graph.links.items():
            if delay not in self.reach or link not in self.reach or delay not in live:
                continue
            node = self.graph.nodes[delay]
            with self.builder.at(self._origin(link)):
                along, reverse = node.attribute("along"), node.attribute("reverse")
                self.later[delay] = self.builder.delay(node.axes, along, reverse=not reverse)
                self.parts.setdefault(link, []).append(self.later[delay])

    def _end_delays(self) -> None:
        for delay, later in self.later.items():
            node = self.graph.nodes[delay]
            if delay not in self.parts:
                loops = Loops(self.builder, node.axes)
                self.parts[delay] = [loops.materialise(loops.number(0.0), range(len(node.axes)))]
            self.builder.links[later] = self.parts[delay][0]

    def _back_delay(self, value: int, node: Node) -> None:
        """The first value of a recurrence gets the gradient of the first step."""
        start = node.operands[0]
        if start.value not in self.reach:
            return
        along, reverse = node.attribute("along"), node.attribute("reverse")
        size = node.axes[along].size
        first = size - Size.number(1) if reverse else Size.number(0)
        rest = [k for k in range(len(node.axes)) if k != along]
        loops = Loops(self.builder, tuple(node.axes[k] for k in rest))
        term = loops.term(self.builder.pick(self.parts[value][0], along, first))
        index = tuple(rest.index(i) for i in start.index)
        with self.builder.at(self._origin(start.value)):
            self.parts.setdefault(start.value, []).append(loops.materialise(term, index))

    # --- the chain rule ---------------------------------------------------------------------------------------

    def _back(self, value: int) -> None:
        """Passes the gradient of node `value` on to its operands."""
        builder, node = self.builder, self.graph.nodes[value]
        rule = OPS[node.op].gradient
        with builder.at(self._origin(value)):
            self.parts[value] = [self._total(node, self.parts[value])]
            if node.op == "delay":
                self._back_delay(value, node)
            if rule is None or not node.operands:
                return
            if OPS[node.op].kind == "reduce":
                self._reduction(value, node)
                return
            loops = Loops(builder, node.loops)
            dy = loops.term(self.parts[value][0])
            if node.op in IMPLICIT or OPS[node.op].kind in ("read", "scatter"):
                self._structural(node, rule(node, dy, [o.value for o in node.operands]))  # type: ignore[arg-type]
                return
            x = tuple(loops.term(o.value, o.index) for o in node.operands)
            y = loops.term(value)
            over = tuple(range(len(node.axes), len(node.loops)))
            gradients = rule(x, y, dy, over) if OPS[node.op].kind == "contract" else rule(x, y, dy)
            wanted = [(t, g) for t, g in zip(x, gradients, strict=True) if g is not None and t.value in self.reach]
            for term, gradient in wanted:
                with builder.at(self._origin(term.value)):
                    self.parts.setdefault(term.value, []).append(_onto(loops, gradient, term))

    def _reduction(self, value: int, node: Node) -> None:
        """A reduction's gradient in the order of its operand's axes: what is made lies in memory as the operand does."""
        operand, rule = node.operands[0], OPS[node.op].gradient
        if rule is None or operand.value not in self.reach:
            return
        order = operand.index
        loops = Loops(self.builder, tuple(node.loops[i] for i in order))
        place = [order.index(i) for i in range(len(node.loops))]
        rank = len(node.axes)
        x = loops.term(operand.value)
        y, dy = (loops.term(v, place[:rank]) for v in (value, self.parts[value][0]))
        (gradient,) = rule((x,), y, dy, tuple(place[rank:]))
        assert gradient is not None
        with self.builder.at(self._origin(operand.value)):
            self.parts.setdefault(operand.value, []).append(_onto(loops, gradient, x))

    def _structural(self, node: Node, gradients: tuple[int | None, ...]) -> None:
        for operand, gradient in zip(node.operands, gradients, strict=True):
            if gradient is not None and operand.value in self.reach:
                self.parts.setdefault(operand.value, []).append(gradient)

    def _origin(self, value: int) -> Origin:
        """Backward nodes stand beside the forward node whose gradient they make."""
        if value not in self.origins:
            o = self.graph.nodes[value].origin
            self.origins[value] = Origin(o.path, f"d{o.name}" if o.name else "", o.span, "backward", o.full_name)
        return self.origins[value]

    def _total(self, node: Node, values: list[int]) -> int:
        if len(values) == 1:
            return values[0]
        loops = Loops(self.builder, node.axes)
        first, *rest = (loops.term(v) for v in _joined(self.builder, node, values))
        for term in rest:
            first = first + term
        return first.value

    def _gradient_of(self, path: str) -> int:
        builder, weight = self.builder, self.graph.weights[path]
        node = builder.node(weight)
        name = path.rsplit("/", 1)[-1]
        origin = Origin(path.removesuffix(name).rstrip("/"), f"d{name}", node.origin.span, "backward", path)
        with builder.at(origin):
            if weight not in self.parts:
                loops = Loops(builder, node.axes)
                return loops.materialise(loops.number(0.0), range(len(node.axes)))
        value = self.parts[weight][0]
        if builder.nodes[value].op not in ("weight", "delay"):
            builder.nodes[value] = replace(builder.nodes[value], origin=origin)
        return value


def _onto(loops: Loops, gradient: Term, term: Term) -> int:
    """The gradient with exactly the axes of the operand that `term` reads."""
    index = term.index
    if len(set(index)) == len(index):
        return loops.materialise(gradient, index)
    return _onto_diagonal(loops, gradient, term)


def _onto_diagonal(loops: Loops, gradient: Term, term: Term) -> int:
    """Where one loop walks along two axes, y[i] = x[i,i]: the gradient lies on the diagonal, zero elsewhere."""
    index = term.index
    axes = term.node.axes
    wide = Loops(loops.builder, axes)
    first = [index.index(loop) for loop in index]
    kept = [loop for k, loop in enumerate(index) if first[k] == k]
    value = loops.materialise(gradient, kept)
    spread = wide.term(value, [k for k in range(len(axes)) if first[k] == k])
    for k, at in enumerate(first):
        if at != k:
            same = wide.position(k).apply("number").apply("equal", wide.position(at).apply("number"))
            spread = same.apply("where", spread, wide.number(0.0))
    return wide.materialise(spread, range(len(axes)))


def _joined(builder: Builder, node: Node, values: list[int]) -> list[int]:
    """Gradients of parts that together make up the whole are put side by side instead of padded and added.

    x split into a and b:   dx = pad(da) + pad(db)   ->   dx = concat(da, db)
    """
    if all(builder.nodes[v].op != "window" for v in values):
        return values
    for axis, whole in enumerate(node.axes):
        padded = [(start, v) for v in values if (start := _padded_along(builder, v, axis)) is not None]
        ordered = _in_line(builder, padded, whole.size, axis)
        if ordered is not None:
            parts = [builder.node(v).operands[0].value for v in ordered]
            return [*(v for v in values if v not in ordered), builder.concat(parts, axis, whole)]
    return values


def _padded_along(builder: Builder, value: int, axis: int) -> Size | None:
    """Where a part lies that was padded to the length of one axis; None for anything else."""
    node = builder.node(value)
    if node.op != "window":
        return None
    places = node.attribute("places")
    if any(p.plain != k for k, p in enumerate(places) if k != axis):
        return None
    place = places[axis]
    straight = place.terms == ((axis, Size.number(1)),) and place.divisor == Size.number(1)
    return place.offset * Size.number(-1) if straight else None


def _in_line(builder: Builder, padded: list[tuple[Size, int]], whole: Size, axis: int) -> list[int] | None:
    """The parts in an order in which each begins where the one before ends, from 0 to `whole`."""
    at, found, left = Size.number(0), [], {start.known(builder.sizes): value for start, value in padded}
    while len(padded) > 1 and at in left:
        value = left.pop(at)
        found.append(value)
        source = builder.node(value).operands[0].value
        at = (at + builder.node(source).axes[axis].size).known(builder.sizes)
        if at == whole.known(builder.sizes):
            return found
    return None
