"""Equal copies of a `repeat`: laid out one by one until one is the one before it moved on; the rest are that one moved on.

h/1/y = f(h/0/y, h/1/W);  h/2/y = f(h/1/y, h/2/W)    ->    h/3/y = f(h/2/y, h/3/W);  h/4/y = f(h/3/y, h/4/W);  …

What a body lays out hangs on the body, on what its names mean and on what goes in. In a body that does not name the copy's
number all of this is the same for every copy, but for the path and for what the first one leaves behind, such as the
weights of a layer that all share. So two copies after the first are compared in all that they have added to the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from archspec.frontend import syntax
from archspec.ir.graph import Node, Operand, Origin
from archspec.lower.scope import MAX_ELEMENTS, MAX_NODES, MAX_STEPS, Context, Scope, names_in
from archspec.records import record, replace

LAID_OUT = 3  # the first copy, and two that are compared


@record
class Mark:
    """How much there is before a copy: the lengths of what only grows, and the work so far; `value` goes into the copy."""

    value: int
    nodes: int
    weights: int
    specs: int
    links: int
    streams: int
    steps: int
    elements: int
    fixed: tuple[int, ...]


def mark(value: int, context: Context) -> Mark:
    """The state of a lowering in which `value` goes into the next copy."""
    b = context.builder
    unmoved = (b.inputs, b.outputs, context.lengths, context.private, context.problems)
    fixed = (*(len(table) for table in unmoved), context.depth)
    grown = (len(b.nodes), len(b.weights), len(b.specs), len(b.links), len(context.streams))
    return Mark(value, *grown, context.steps, context.elements, fixed)


def may_be_equal(node: syntax.Repeat, scope: Scope) -> bool:
    """Whether the copies of a `repeat` can only differ in their paths and in what goes into them."""
    named = node.index is not None and node.index in names_in(node.body)
    return not named and scope.frame is None and scope.loop is None and scope.context.depth == 0


def moved_on(marks: Sequence[Mark], paths: Callable[[int], str], copies: int, context: Context) -> int | None:
    """Adds all copies after the first three; the value that comes out of the last. None, and nothing added, where the third
    is not the second moved on or where the limits of a lowering are met."""
    made = _Copies(marks, paths, copies, context)
    return made.add() if made.fits() and made.are_equal() else None


class _Copies:
    """`marks` are before each of the first three copies and after them, `period` is the number of nodes of one."""

    def __init__(self, marks: Sequence[Mark], paths: Callable[[int], str], copies: int, context: Context) -> None:
        self.first, self.one, self.two, self.end = marks
        self.paths, self.more, self.context = paths, copies - LAID_OUT, context
        self.builder = context.builder
        self.period = self.end.nodes - self.two.nodes

    def fits(self) -> bool:
        """Whether the copies grew alike, and the rest of them keep the limits that laying them out would keep."""
        one, two, end = self.one, self.two, self.end
        alike = self._growth(one, two) == self._growth(two, end)
        context, more = self.context, self.more
        small = (
            context.steps + more * (end.steps - two.steps) <= MAX_STEPS
            and end.nodes + more * self.period <= MAX_NODES
            and context.elements + more * (end.elements - two.elements) <= MAX_ELEMENTS
        )
        return alike and small and one.fixed == two.fixed == end.fixed

    @staticmethod
    def _growth(before: Mark, after: Mark) -> tuple[int, ...]:
        names = ("value", "nodes", "weights", "specs", "links", "streams", "steps", "elements")
        return tuple(getattr(after, name) - getattr(before, name) for name in names)

    def are_equal(self) -> bool:
        """Whether the third copy is the second one moved on by one."""
        nodes, one, two = self.builder.nodes, self.one, self.two
        into = [nodes[m.value] for m in (one, two, self.end)]
        same = two.value - one.value == self.period and len({(n.op, n.axes, n.dtype, n.of) for n in into}) == 1
        if not same or any(n.axes[k].ragged != into[0].axes[k].ragged for n in into for k in range(len(n.axes))):
            return False
        move = self._mover(1, 2)
        for k in range(self.period):
            before, after = nodes[one.nodes + k], nodes[two.nodes + k]
            if not self._is_moved(before, after, move):
                return False
        return self._tables_are_equal(move)

    def _is_moved(self, before: Node, after: Node, move: Callable[[str], str]) -> bool:
        operands = tuple(self._operand(a, b.value) for a, b in zip(before.operands, after.operands, strict=False))
        there = replace(before, operands=operands, **_renamed(before, move))
        return there == after and there.origin == after.origin and len(before.operands) == len(after.operands)

    def _operand(self, operand: Operand, there: int) -> Operand:
        """What the next copy reads: the same again where it lies before the copies or was left by the first one."""
        stays = there == operand.value < self.one.nodes
        moves = operand.value >= self.first.nodes
        return operand if stays or not moves else Operand(operand.value + self.period, operand.index)

    def _tables_are_equal(self, move: Callable[[str], str]) -> bool:
        builder, one, two, step = self.builder, self.one, self.two, self.period

        streams = self.context.streams
        weights = [(move(p), v + step) for p, v in _since(builder.weights, one.weights, two.weights)]
        specs = [(move(p), replace(s, path=move(s.path)), s.span) for p, s in _since(builder.specs, one.specs, two.specs)]
        links = [(d + step, v + step) for d, v in _since(builder.links, one.links, two.links)]
        return (
            weights == _since(builder.weights, two.weights)
            and specs == [(p, s, s.span) for p, s in _since(builder.specs, two.specs)]
            and links == _since(builder.links, two.links)
            and [(move(p), n) for p, n in _since(streams, one.streams, two.streams)] == _since(streams, two.streams)
        )

    def _mover(self, source: int, target: int) -> Callable[[str], str]:
        """Paths of one copy as those of another."""
        before, after = self.paths(source), self.paths(target)
        within, count = f"{before}/", len(before)

        def move(text: str) -> str:
            return after + text[count:] if text == before or text.startswith(within) else text

        return move

    def add(self) -> int:
        """The third copy moved on, again and again."""
        builder, context, two, end = self.builder, self.context, self.two, self.end
        nodes = builder.nodes[two.nodes : end.nodes]
        weights, specs = _since(builder.weights, two.weights), _since(builder.specs, two.specs)
        links, streams = _since(builder.links, two.links), _since(context.streams, two.streams)
        still = [self._still(k) for k in range(self.period)]
        origins = {id(node.origin): node.origin for node in nodes}
        for n in range(1, self.more + 1):
            move, by = self._mover(2, 2 + n), n * self.period
            there = {key: _moved_origin(origin, move) for key, origin in origins.items()}
            for node, fixed in zip(nodes, still, strict=True):
                operands = tuple([o if k in fixed else Operand(o[0] + by, o[1]) for k, o in enumerate(node.operands)])
                attributes = _moved_attributes(node, move) if node.attributes else ()
                made = replace(node, operands=operands, attributes=attributes, origin=there[id(node.origin)])
                builder.nodes.append(made)
            builder.weights.update((move(p), v + by) for p, v in weights)
            builder.specs.update((move(p), replace(s, path=move(s.path))) for p, s in specs)
            builder.links.update((d + by, v + by) for d, v in links)
            dict.update(context.streams, ((move(p), c) for p, c in streams))  # a Counter's own would add
        context.steps += self.more * (end.steps - two.steps)
        context.elements += self.more * (end.elements - two.elements)
        return end.value + self.more * self.period

    def _still(self, k: int) -> frozenset[int]:
        """The operands of a node that are the same for all copies."""
        pairs = zip(*(self.builder.nodes[m.nodes + k].operands for m in (self.one, self.two)), strict=True)
        return frozenset(i for i, (before, after) in enumerate(pairs) if before.value == after.value)


def _since(table: Mapping[Any, Any], start: int, end: int | None = None) -> list[tuple[Any, Any]]:
    """What a table got after its first `start` entries."""
    return list(islice(table.items(), start, end))


def _renamed(node: Node, move: Callable[[str], str]) -> dict[str, Any]:
    """The attributes and the origin of a node on another path."""
    return {"attributes": _moved_attributes(node, move), "origin": _moved_origin(node.origin, move)}


def _moved_attributes(node: Node, move: Callable[[str], str]) -> tuple[tuple[str, Any], ...]:
    return tuple([(name, move(v) if isinstance(v, str) else v) for name, v in node.attributes])


def _moved_origin(origin: Origin, move: Callable[[str], str]) -> Origin:
    return replace(origin, path=move(origin.path), of=move(origin.of), block=move(origin.block))
