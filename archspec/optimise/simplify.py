"""Algebra: constants are worked out, and equations take their cheaper form."""

from __future__ import annotations

from collections.abc import Callable

from archspec.ir.build import Builder, Loops, Term
from archspec.ir.graph import FLOAT, Node, Operand
from archspec.ops import OPS
from archspec.optimise.local import Rule
from archspec.records import replace


def constants(op: str) -> tuple[Rule, ...]:
    """f(constants)  ->  constant; a size that is known becomes its number."""
    if op == "size":
        return (_known_size,)
    return (_folded,) if OPS[op].kind == "map" and OPS[op].reference is not None else ()


def _known_size(builder: Builder, node: Node) -> int | None:
    known = node.attribute("size").evaluate(builder.sizes)
    return None if known is None else builder.constant(float(known))


def _folded(builder: Builder, node: Node) -> int | None:
    """The value of an elementwise op of constants. A filled tensor costs memory."""
    reference = OPS[node.op].reference
    if node.axes or reference is None or not all(builder.nodes[v].op == "constant" for v, _ in node.operands):
        return None
    import numpy as np

    with np.errstate(all="ignore"):
        value = reference(np, *(np.asarray(builder.nodes[v].attribute("value")) for v, _ in node.operands))
    return builder.constant(value.item() if hasattr(value, "item") else value, node.dtype)


def algebra(op: str) -> tuple[Rule, ...]:
    """The rules below for an op, of which the first that applies counts."""
    return RULES.get(op, ())


def _terms(builder: Builder, node: Node) -> tuple[Loops, list[Term]]:
    loops = Loops(builder, node.loops)
    return loops, [loops.term(o.value, o.index) for o in node.operands]


def _constant(builder: Builder, operand: Operand) -> float | None:
    node = builder.node(operand.value)
    return float(node.attribute("value")) if node.op == "constant" and node.dtype == FLOAT else None


def _same(builder: Builder, node: Node, which: int) -> int | None:
    """Operand `which` itself, where it has the axes of the result."""
    operand = node.operands[which]
    return operand.value if operand.index == tuple(range(len(node.axes))) else None


def _neutral(value: float, sides: tuple[int, ...]) -> Rule:
    """x + 0, x * 1, …  ->  x, for a neutral element on one of `sides`."""

    def rule(builder: Builder, node: Node) -> int | None:
        for side in sides:
            if _constant(builder, node.operands[side]) == value:
                return _same(builder, node, 1 - side)
        return None

    return rule


def _of_constants(*rules: Rule) -> Rule:
    """Rules for what reads a constant, which few nodes do."""

    def rule(builder: Builder, node: Node) -> int | None:
        nodes = builder.nodes
        if "constant" not in [nodes[v].op for v, _ in node.operands]:
            return None
        return next((value for each in rules if (value := each(builder, node)) is not None), None)

    return rule


def _minus_one(builder: Builder, node: Node) -> int | None:
    """x * -1  ->  -x."""
    for side in (1, 0):
        if _constant(builder, node.operands[side]) == -1.0:
            _, terms = _terms(builder, node)
            return (-terms[1 - side]).value
    return None


def _merge_factors(builder: Builder, node: Node) -> int | None:
    """(x * c) * d  ->  x * (c * d) for constants c and d."""
    for inner, outer in ((0, 1), (1, 0)):
        d = _constant(builder, node.operands[outer])
        source = builder.node(node.operands[inner].value)
        if d is None or source.op != "multiply":
            continue
        for k in (0, 1):
            c = _constant(builder, source.operands[k])
            if c is not None:
                rest = source.operands[1 - k].along(node.operands[inner].index)
                return (Loops(builder, node.loops).term(*rest) * (c * d)).value
    return None


def _divisor_of_rows(builder: Builder, node: Node) -> int | None:
    """x[.., i] / s[..]  ->  x[.., i] * (1 / s)[..]: one division a row instead of one an element.

    Not for a sum along a row: it is divided once a row, and a mean must be exact where it can be, since x - mean(x) has
    only its last digits left when x is large.
    """
    above, below = node.operands
    last = len(node.axes) - 1
    if last in below.index or last not in above.index or _is_constant(builder, above.value) or _is_sum(builder, above.value):
        return None
    _, (a, b) = _terms(builder, node)
    return (a * (1.0 / b)).value


def _is_sum(builder: Builder, value: int) -> bool:
    return OPS[builder.node(value).op].kind == "reduce"


def _is_constant(builder: Builder, value: int) -> bool:
    return builder.node(value).op == "constant"


def _double_negation(builder: Builder, node: Node) -> int | None:
    source = builder.node(node.operands[0].value)
    return source.operands[0].value if source.op == "negate" and _plain(node) and _plain(source) else None


def _plain(node: Node) -> bool:
    return all(o.index == tuple(range(len(node.axes))) for o in node.operands)


def _add_negated(builder: Builder, node: Node) -> int | None:
    """a + -b  ->  a - b,  -a + b  ->  b - a."""
    for k in (1, 0):
        source = builder.node(node.operands[k].value)
        if source.op == "negate":
            loops, terms = _terms(builder, node)
            return (terms[1 - k] - loops.term(*source.operands[0].along(terms[k].index))).value
    return None


def _subtract_negated(builder: Builder, node: Node) -> int | None:
    """a - -b  ->  a + b."""
    source = builder.node(node.operands[1].value)
    if source.op != "negate":
        return None
    loops, (a, b) = _terms(builder, node)
    return (a + loops.term(*source.operands[0].along(b.index))).value


def _power(builder: Builder, node: Node) -> int | None:
    """x^0.5, x^2, x^3, x^4, x^-1 and x^1 as products and roots."""
    _, (x, _e) = _terms(builder, node)
    exponent = _constant(builder, node.operands[1])
    forms: dict[float, Callable[[], Term]] = {
        2.0: lambda: x.apply("square"),
        3.0: lambda: x.apply("square") * x,
        4.0: lambda: x.apply("square").apply("square"),
        0.5: lambda: x.apply("sqrt"),
        -0.5: lambda: 1.0 / x.apply("sqrt"),
        -1.0: lambda: 1.0 / x,
    }
    if exponent == 1.0:
        return _same(builder, node, 0)
    return forms[exponent]().value if exponent in forms else None


def _zero_factor(builder: Builder, node: Node) -> int | None:
    """where(c, 0, 0)  ->  0."""
    values = [_constant(builder, o) for o in node.operands[1:]]
    if values[0] is not None and values[0] == values[1] and not node.axes:
        return builder.constant(values[0])
    return None


def _product_of_two(builder: Builder, node: Node) -> int | None:
    """A contraction over nothing is a product, element by element."""
    if node.reduced:
        return None
    return builder.add(replace(node, op="multiply"))


RULES: dict[str, tuple[Rule, ...]] = {
    "add": (_neutral(0.0, (0, 1)), _add_negated),
    "subtract": (_neutral(0.0, (1,)), _subtract_negated),
    "multiply": (_of_constants(_neutral(1.0, (0, 1)), _minus_one, _merge_factors),),
    "divide": (_neutral(1.0, (1,)), _divisor_of_rows),
    "negate": (_double_negation,),
    "power": (_power,),
    "where": (_zero_factor,),
    "contract": (_product_of_two,),
}
