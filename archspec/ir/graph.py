"""The graph: a frozen list of nodes, each a set of loops and the operands read in them.

Every node, whatever its kind, is the same sentence:

    for each point of `axes`:  result = op over `reduced` of (operand 0, operand 1, …)

The loops are numbered: first the axes of the result, then the reduced ones. An operand says, for each of its own axes,
which loop walks along it. So a transpose, a broadcast and a diagonal cost nothing to say, two axes of one tensor may
have the same name, and no rule needs to know positions:

    z[b,h] = sum d: x[b,d] * W[d,h]        axes (B, H), reduced (D);  x: (0, 2)  W: (2, 1)

A few ops read in other ways and give their operands no loops: `window` at places computed from the loops, `concat` and
`reshape` the whole tensor. `delay` is a recurrence: its value at t is that of another node, its link, one step before.
The links close circles; everything else reads only what comes before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from archspec.diagnostics import Span
from archspec.ir.sizes import ONE, ZERO, Axis, Size, shape_text
from archspec.records import field, record, replace

T = TypeVar("T")
FLOAT, INT, BOOL = "float", "int", "bool"
IMPLICIT = frozenset({"window", "concat", "reshape"})


class Operand(NamedTuple):
    """`value` is the number of the node read, `index[k]` the loop along its axis k. There are so many of them that they are
    tuples, which are made and compared faster than records."""

    value: int
    index: tuple[int, ...]  # type: ignore[assignment]  # a tuple's method of this name is not missed

    def along(self, place: Sequence[int] | Mapping[int, int]) -> Operand:
        """The same read along other loops: `place` has the new number of each."""
        return Operand(self.value, tuple([place[loop] for loop in self.index]))


_new = tuple.__new__  # an operand of a pair, in half the time of `Operand(…)`


@record
class Place:
    """Where a `window` reads along one axis: (the sum of loops times their factors + offset) / divisor.

    A place that is not whole or lies outside of the axis is not read: the window has its fill there.
    """

    terms: tuple[tuple[int, Size], ...]
    offset: Size = ZERO
    divisor: Size = ONE

    @staticmethod
    def loop(number: int) -> Place:
        return Place(((number, ONE),))

    @property
    def plain(self) -> int | None:
        """The loop that walks along the axis from end to end, where it is one."""
        simple = len(self.terms) == 1 and not self.offset.terms and self.divisor == ONE
        return self.terms[0][0] if simple and self.terms[0][1] == ONE else None

    def shifted(self, by: int) -> Place:
        """The same with all loops renumbered upwards."""
        return replace(self, terms=tuple((loop + by, factor) for loop, factor in self.terms))

    def __str__(self) -> str:
        parts = [f"i{loop}" if factor == ONE else f"i{loop}*({factor})" for loop, factor in self.terms]
        whole = " + ".join([*parts, *([str(self.offset)] if self.offset.terms or not parts else [])])
        return whole if self.divisor == ONE else f"({whole})/{self.divisor}"


@record
class Origin:
    """Where a node comes from.

    `path`   the names above it in the spec, `classify/h/0/linear`
    `name`   its own name there, or the op's where the spec gives it none
    `role`   forward, backward or update
    `of`     for a backward node, the forward node (its full name) whose gradient it helps to compute
    `block`  the path of the block that computes it, where a line outside of that block names it
    """

    path: str = ""
    name: str = ""
    span: Span | None = field(default=None, repr=False)
    role: str = "forward"
    of: str = ""
    block: str = ""

    @property
    def full_name(self) -> str:
        return f"{self.path}/{self.name}" if self.path else self.name


NOWHERE = Origin()


@record
class Node:
    """One value. `dtype` is float, int or bool; `of` is the axis that an int indexes."""

    op: str
    operands: tuple[Operand, ...]
    axes: tuple[Axis, ...]
    reduced: tuple[Axis, ...] = ()
    dtype: str = FLOAT
    of: Axis | None = None
    attributes: tuple[tuple[str, Any], ...] = ()
    origin: Origin = field(default=NOWHERE, compare=False)

    def attribute(self, name: str) -> Any:
        return dict(self.attributes)[name]

    def reading(self, new: Sequence[int] | Mapping[int, int]) -> Node:
        """The same with `new` numbers for what it reads; itself where they are the old ones."""
        for value, _ in self.operands:
            if new[value] != value:
                return replace(self, operands=tuple([_new(Operand, (new[value], index)) for value, index in self.operands]))
        return self

    @property
    def loops(self) -> tuple[Axis, ...]:
        return self.axes + self.reduced

    @property
    def shape(self) -> str:
        return shape_text(self.axes)


@record
class WeightSpec:
    """A weight: its path in the checkpoint, its axes and how its first value is drawn."""

    path: str
    axes: tuple[Axis, ...]
    initializer: Any
    frozen: bool
    span: Span | None = field(default=None, repr=False, compare=False)


@record
class Graph:
    """Nodes in an order in which every operand comes before its use.

    `inputs`   name -> node     what a batch feeds
    `weights`  path -> node
    `outputs`  name -> node     results, `loss`, `gradient:PATH`, …
    `sizes`    symbol -> int    the sizes known so far; the batch axis and lengths stay open
    `links`    delay -> node    whose value one step before the delay has
    """

    nodes: tuple[Node, ...]
    inputs: Mapping[str, int]
    weights: Mapping[str, int]
    outputs: Mapping[str, int]
    specs: Mapping[str, WeightSpec]
    sizes: Mapping[str, int]
    links: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("inputs", "weights", "outputs", "specs", "sizes", "links"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def node(self, value: int) -> Node:
        return self.nodes[value]

    def size(self, axis: Axis | Size) -> int | None:
        return (axis.size if isinstance(axis, Axis) else axis).evaluate(self.sizes)

    def with_outputs(self, outputs: Mapping[str, int]) -> Graph:
        return replace(self, outputs=outputs)

    def reached(self, values: Iterable[int]) -> set[int]:
        """`values` and every node that they hang on, through delays too."""
        nodes, links = self.nodes, self.links
        found: set[int] = set()
        stack = list(values)
        while stack:
            value = stack.pop()
            if value not in found:
                found.add(value)
                for below, _ in nodes[value].operands:
                    if below not in found:
                        stack.append(below)
                if value in links:
                    stack.append(links[value])
        return found

    @cached_property
    def uses(self) -> tuple[Sequence[int], ...]:
        """For each node the nodes that read it, in order."""
        readers: tuple[list[int], ...] = tuple([[] for _ in self.nodes])
        for i, node in enumerate(self.nodes):
            for value, _ in node.operands:
                if not readers[value] or readers[value][-1] != i:
                    readers[value].append(i)
        return readers

    def fact(self, find: Callable[[Graph], T]) -> T:
        """What `find` says of this graph, which is asked once."""
        if find not in self._facts:
            self._facts[find] = find(self)
        found: T = self._facts[find]
        return found

    @cached_property
    def _facts(self) -> dict[Any, Any]:
        return {}

    def __iter__(self) -> Iterator[tuple[int, Node]]:
        return iter(enumerate(self.nodes))
