"""Sums of products in index equations, as contractions of two operands at a time: no outer product is ever built.

    sum[j](a[b,n,i,j] * v[b,j,n,c] / z[b])      ->      contract(a, v over j) / z

Factors that do not hang on what is summed over are taken out. Of three or more factors, the two are joined first whose
result has the fewest axes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from archspec.diagnostics import ArchError, Diagnostic, Span
from archspec.frontend import syntax
from archspec.ir.build import Loops, Term
from archspec.ir.graph import FLOAT
from archspec.lower.align import combine, held_by
from archspec.lower.builtins import unused_index
from archspec.lower.masks import count_of, counted
from archspec.lower.scope import Scope
from archspec.lower.values import Builtin, Num, Tensor, Value, kind_of
from archspec.records import field, record

MOST_FACTORS = 12  # that are looked at pair by pair; more are multiplied in order


@record(frozen=False)
class Product:
    """`inner` hang on what is summed over; `outer` do not. A divisor is a factor whose `True` says that it divides."""

    loops: Loops
    over: tuple[int, ...]
    inner: list[Term] = field(default_factory=list)
    outer: list[tuple[Value, bool]] = field(default_factory=list)


def is_product(node: syntax.Expression) -> bool:
    if isinstance(node, syntax.Unary):
        return node.operator == "-" and is_product(node.operand)
    return isinstance(node, syntax.Binary) and node.operator in ("*", "/")


def sum_of_product(function: Builtin, node: syntax.Expression, scope: Scope) -> Tensor:
    """`sum[…](node)` or `mean[…](node)` of a product."""
    assert scope.frame is not None and function.axes is not None
    loops = scope.frame.loops
    over = tuple(i for number in function.axes for i, a in enumerate(loops.axes) if a.size == number.size)
    product = Product(loops, over)
    for factor, divides in _factors(node):
        _take(product, factor, divides, scope)
    mask = _mask(function, product, node.span, scope)
    _check_used(function.name, product, mask, node.span, scope)
    total = _contracted(product, mask)
    if function.name == "mean":
        total = total / (loops.extent(over) if mask is None else count_of(mask, over).apply("maximum", loops.number(1.0)))
    result = Tensor(total.value)
    for value, divides in product.outer:
        result = combine("divide" if divides else "multiply", [result, value], node.span, scope)
    return result


def _factors(node: syntax.Expression) -> Iterator[tuple[syntax.Expression, bool]]:
    if isinstance(node, syntax.Binary) and node.operator == "*":
        yield from _factors(node.left)
        yield from _factors(node.right)
    elif isinstance(node, syntax.Binary) and node.operator == "/":
        yield from _factors(node.left)
        yield node.right, True
    elif isinstance(node, syntax.Unary) and node.operator == "-":
        yield syntax.Number(node.span, -1), False
        yield from _factors(node.operand)
    else:
        yield node, False


def _take(product: Product, node: syntax.Expression, divides: bool, scope: Scope) -> None:
    """Puts one factor to those inside or outside of the sum."""
    value = scope.context.evaluate(node, scope)
    if not isinstance(value, Num | Tensor):
        raise ArchError(Diagnostic("S09", f"`*` takes numbers and tensors, not {kind_of(value)}", node.span))
    index = _loops_of(value, product.loops, scope)
    if isinstance(value, Tensor) and scope.builder.node(value.value).dtype != FLOAT:
        message = f"`*` needs numbers and receives {held_by(scope.builder.node(value.value))}"
        raise ArchError(Diagnostic("S09", message, node.span, hints=("wrap them: number(…)",)))
    if not isinstance(value, Tensor) or not set(index) & set(product.over):
        product.outer.append((value, divides))
        return
    if divides:
        value = combine("divide", [Num(1.0), value], node.span, scope)
    product.inner.append(product.loops.term(value.value, _loops_of(value, product.loops, scope)))


def _loops_of(value: Value, loops: Loops, scope: Scope) -> tuple[int, ...]:
    axes = scope.builder.node(value.value).axes if isinstance(value, Tensor) else ()
    return tuple(loops.axes.index(a) for a in axes if a in loops.axes)


def _mask(function: Builtin, product: Product, span: Span, scope: Scope) -> Term | None:
    """What is left of the points summed over: the condition, what the block around leaves out, the ends of rows."""
    loops, where = product.loops, function.mask
    kept = loops.term(where.value, _loops_of(where, loops, scope)) if where is not None else None
    present = sorted({*product.over, *(i for t in product.inner for i in t.index), *_outside(product, scope)})
    for loop in present:
        inside = counted(function.name, loops, loop, present, product.over, span, scope)
        if inside is not None:
            kept = inside if kept is None else kept.apply("and", inside)
    return kept


def _check_used(name: str, product: Product, mask: Term | None, span: Span, scope: Scope) -> None:
    used = {i for t in product.inner for i in t.index} | set(mask.index if mask is not None else ())
    for loop in product.over:
        if loop not in used:
            assert scope.frame is not None
            raise ArchError(unused_index(name, scope.frame.name_of(product.loops.axes[loop]) or "", span))


def _outside(product: Product, scope: Scope) -> Iterator[int]:
    for value, _ in product.outer:
        yield from _loops_of(value, product.loops, scope)


def _contracted(product: Product, mask: Term | None) -> Term:
    loops, terms = product.loops, product.inner
    if mask is not None:
        terms = _masked(terms, mask)
    while len(terms) > MOST_FACTORS:
        terms = [terms[0] * terms[1], *terms[2:]]
    while len(terms) > 1:
        terms = _joined(loops, terms, set(product.over))
    return loops.reduce("sum", terms[0], product.over) if set(terms[0].index) & set(product.over) else terms[0]


def _masked(terms: Sequence[Term], mask: Term) -> list[Term]:
    """The mask put on the smallest factor that has all of its axes, or beside the factors."""
    able = [k for k, t in enumerate(terms) if set(mask.index) <= set(t.index)]
    if not able:
        return [*terms, mask.apply("number")]
    at = min(able, key=lambda k: len(terms[k].index))
    term = mask.apply("where", terms[at], mask.loops.number(0.0))
    return [*terms[:at], term, *terms[at + 1 :]]


def _joined(loops: Loops, terms: Sequence[Term], over: set[int]) -> list[Term]:
    """The same product with two factors made one."""
    pairs = combinations(range(len(terms)), 2)
    i, j = min(pairs, key=lambda pair: _cost(terms, pair, over))
    rest = [t for k, t in enumerate(terms) if k not in (i, j)]
    keep = _kept(terms, (i, j), over)
    both = {*terms[i].index, *terms[j].index}
    product = loops.contract(terms[i], terms[j], sorted(keep)) if keep != both else terms[i] * terms[j]
    return [product, *rest]


def _kept(terms: Sequence[Term], pair: tuple[int, int], over: set[int]) -> set[int]:
    """The loops that the product of a pair keeps: what the others need, and what is not summed over."""
    i, j = pair
    needed = {loop for k, t in enumerate(terms) if k not in pair for loop in t.index}
    return {loop for loop in (*terms[i].index, *terms[j].index) if loop not in over or loop in needed}


def _cost(terms: Sequence[Term], pair: tuple[int, int], over: set[int]) -> tuple[int, int]:
    """How many axes the product of a pair has, and over how many loops it runs."""
    i, j = pair
    return len(_kept(terms, pair, over)), len({*terms[i].index, *terms[j].index})
