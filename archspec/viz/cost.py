"""What a graph costs, counted from its nodes as polynomials in the sizes of the spec.

A product and its sum are two operations for each point of the loops; any other arithmetic, `exp` as well as `+`, is one for
each point; what moves, compares or chooses elements is none, and dropout and noise count only where a training step draws them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from archspec.ir.graph import BOOL, Graph, Node
from archspec.ir.sizes import ZERO, Axis, Size, product
from archspec.ops import OPS
from archspec.plan.kernel import Call, Product

FREE = frozenset({"copy", "stop_gradient", "number", "where", "dropout", "noise"})
COUNTED = frozenset({"map", "reduce", "contract", "scatter"})


def operations(node: Node, multiply_add: int = 2) -> Size:
    """The floating-point operations of one node, of which a product has so many at each point."""
    kind = OPS[node.op].kind
    if kind not in COUNTED or node.op in FREE or node.dtype == BOOL:
        return ZERO
    if kind == "scatter":
        along = node.attribute("axis")
        return product(a for k, a in enumerate(node.loops) if k != along)
    each = multiply_add if kind == "contract" else 1
    return product(node.loops) * Size.number(each)


def call_operations(call: Call) -> Size:
    """The operations of one call of a kernel, those that it does again included; half of a product of which half counts for
    nothing."""
    halved = any(isinstance(s, Product) and s.reach != "all" for s in call.kernel.body)
    return total(operations(node, 1 if halved else 2) for node in call.inside)


def call_nbytes(call: Call, sizes: Mapping[str, int], float_nbytes: int) -> int:
    """The bytes that a call must read and write: its buffers, of a table no more than there are points to look up."""
    points = max((_points(node).evaluate(sizes) or 0 for node in call.inside), default=0)
    each = {"int": 8, "bool": 1}
    buffers = [p for p in call.kernel.parameters if p.kind == "buffer"]
    counts = [product(Axis(n) for n in p.shape).evaluate(sizes) or 0 for p in buffers]
    return sum(min(n, points) * each.get(p.dtype, float_nbytes) for n, p in zip(counts, buffers, strict=True))


def node_shares(call: Call, sizes: Mapping[str, int]) -> list[tuple[Node, float]]:
    """How much of a call belongs to each node that it computes: by their operations, evenly where there are none."""
    counts = [operations(node).evaluate(sizes) or 0 for node in call.inside]
    whole = sum(counts)
    return [(node, n / whole if whole else 1 / len(counts)) for node, n in zip(call.inside, counts, strict=True)]


def _points(node: Node) -> Size:
    return product(node.axes) if node.op == "gather" else product(node.loops)


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
