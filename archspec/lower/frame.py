"""The loops of an index equation.

    s[b,i,j] = sum[c](q[b,i,c] * k[b,j,c])        q [B,T,D], k [B,T,D];  b: B,  i: T,  j: T',  c: D

Inside of the equation every index is an axis of its own, so that tensors align by name there as they do everywhere:
where two indices run along one axis, the second gets a private name. Once the equation stands, its nodes get the real
names back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from archspec.diagnostics import Span
from archspec.ir.build import Builder, Loops
from archspec.ir.graph import Node, Place
from archspec.ir.sizes import Axis, Size
from archspec.lower.scope import Context, Scope
from archspec.lower.values import IndexName, Value
from archspec.records import field, record, replace


@record(eq=False, frozen=False)
class Frame:
    """`outer` is the scope of the equation without its indices; `bases` the tensors read, by their syntax."""

    outer: Scope
    axes: list[Axis] = field(default_factory=list)
    known: dict[tuple[str, Axis], IndexName] = field(default_factory=dict)
    bases: dict[int, Value] = field(default_factory=dict)
    start: int = 0

    def __post_init__(self) -> None:
        self.start = len(self.outer.builder.nodes)

    @property
    def loops(self) -> Loops:
        return Loops(self.outer.builder, tuple(self.axes))

    def index(self, name: str, real: Axis) -> IndexName:
        """The index `name` along an axis. Two sums side by side may use one name."""
        if (name, real) not in self.known:
            axis = real if real not in self.axes else self._private(real)
            self.axes.append(axis)
            self.known[name, real] = IndexName(name, axis, real)
        return self.known[name, real]

    def name_of(self, axis: Axis) -> str | None:
        """The index that runs along an axis of the equation."""
        return next((i.name for i in self.known.values() if i.axis == axis), None)

    def _private(self, real: Axis) -> Axis:
        context = self.outer.context
        name = f"{real}'"
        while name in context.private or Axis.named(name) in self.axes:
            name += "'"
        context.private[name] = real
        size = real.size.evaluate(context.builder.sizes)
        if size is not None:
            context.builder.sizes[name] = size
        return Axis.named(name, real.ragged)

    def close(self) -> None:
        """Gives the nodes of the equation the real names of their axes."""
        context = self.outer.context
        private = {str(i.axis.size): i.real for i in self.known.values() if i.axis != i.real}
        if not private:
            return
        restore_axes(context.builder, self.start, private)
        for name in private:
            context.private.pop(name)
            context.builder.sizes.pop(name, None)


def restore_axes(builder: Builder, start: int, real: Mapping[str, Axis]) -> None:
    """The nodes from `start` on with real axes in place of private ones."""
    for number in range(start, len(builder.nodes)):
        node = builder.nodes[number]
        builder.nodes[number] = replace(
            node,
            axes=_all_real(node.axes, real),
            reduced=_all_real(node.reduced, real),
            of=_real(node.of, real) if node.of is not None else None,
            attributes=tuple((name, _real_attribute(value, real)) for name, value in node.attributes),
        )
        if node.op == "weight":
            path = node.attribute("path")
            builder.specs[path] = replace(builder.specs[path], axes=_all_real(node.axes, real))


def _all_real(axes: Iterable[Axis], real: Mapping[str, Axis]) -> tuple[Axis, ...]:
    return tuple(_real(axis, real) for axis in axes)


def _real(axis: Axis, real: Mapping[str, Axis]) -> Axis:
    return Axis(_real_size(axis.size, real), axis.ragged)


def _real_size(size: Size, real: Mapping[str, Axis]) -> Size:
    if not any(name in symbol for symbol in size.symbols for name in real):
        return size
    total = Size.number(0)
    for monomial, coefficient in size.terms:
        term = Size.number(coefficient)
        for symbol in monomial:
            term = term * (real[symbol].size if symbol in real else Size.symbol(_spelled(symbol, real)))
        total = total + term
    return total


def _spelled(symbol: str, real: Mapping[str, Axis]) -> str:
    """The symbol of an inexact quotient, `(T'/2)`, with the real names."""
    for name in sorted(real, key=len, reverse=True):
        symbol = symbol.replace(name, str(real[name]))
    return symbol


def _real_attribute(value: Any, real: Mapping[str, Axis]) -> Any:
    if isinstance(value, Size):
        return _real_size(value, real)
    if isinstance(value, Place):
        terms = tuple((loop, _real_size(factor, real)) for loop, factor in value.terms)
        return Place(terms, _real_size(value.offset, real), _real_size(value.divisor, real))
    return tuple(_real_attribute(v, real) for v in value) if isinstance(value, tuple) else value


def number_of(index: IndexName, builder: Builder) -> int:
    """The index as a number: a tensor of floats along its axis."""
    return Loops(builder, (index.axis,)).position(0).apply("number").value


def position_of(index: IndexName, builder: Builder) -> int:
    """The index as an integer that indexes its own axis."""
    value = Loops(builder, (index.axis,)).position(0).value
    node: Node = builder.nodes[value]
    builder.nodes[value] = replace(node, of=index.real)
    return value


def work(context: Context, span: Span, cost: int) -> None:
    """Counts the work of walking over `cost` pieces of syntax or nodes."""
    context.step(span, 1 + cost // 8)
