"""What a graph costs, counted from its nodes as polynomials in the sizes of the spec.

A product and its sum are two operations for each point of the loops; any other arithmetic, `exp` as well as `+`, is one for
each point; what moves, compares or chooses elements is none, and dropout and noise count only where a training step draws them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from archspec.ir.graph import BOOL, Graph, Node
from archspec.ir.sizes import ZERO, Size, product
from archspec.ops import OPS

FREE = frozenset({"copy", "stop_gradient", "number", "where", "dropout", "noise"})
COUNTED = frozenset({"map", "reduce", "contract", "scatter"})


def operations(node: Node) -> Size:
    """The floating-point operations of one node."""
    kind = OPS[node.op].kind
    if kind not in COUNTED or node.op in FREE or node.dtype == BOOL:
        return ZERO
    if kind == "scatter":
        along = node.attribute("axis")
        return product(a for k, a in enumerate(node.loops) if k != along)
    each = 2 if kind == "contract" else 1
    return product(node.loops) * Size.number(each)


def operations_of(graph: Graph, role: str) -> Size:
    """The operations of all nodes of a role, forward or backward."""
    return total(operations(node) for node in graph.nodes if node.origin.role == role)


def total(sizes: Iterable[Size]) -> Size:
    """Their sum; equal ones are multiplied, since a stack has many."""
    counts: dict[Size, int] = {}
    for size in sizes:
        counts[size] = counts.get(size, 0) + 1
    return sum((size * Size.number(n) for size, n in counts.items()), ZERO)


def formula(size: Size) -> str:
    """A polynomial as people write it: `24*B*T*D^2 + 4*B*T^2*D`."""
    parts = sorted(size.terms, key=lambda term: (-len(term[0]), term[0]))
    text = " + ".join(_term(monomial, coefficient) for monomial, coefficient in parts) or "0"
    return text.replace("+ -", "- ")


def _term(monomial: tuple[str, ...], coefficient: int) -> str:
    counts = {name: monomial.count(name) for name in monomial}
    factors = [name if n == 1 else f"{name}^{n}" for name, n in counts.items()]
    number = [] if abs(coefficient) == 1 and factors else [f"{abs(coefficient):,}"]
    return ("-" if coefficient < 0 else "") + "*".join([*number, *factors])


def figure(size: Size, sizes: Mapping[str, int]) -> str:
    """The number that a size is, or its formula where a symbol has none."""
    number = size.evaluate(sizes)
    return f"{number:,}" if number is not None else formula(size.known(sizes))
