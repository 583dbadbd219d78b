"""Whole-tensor equations: operands align by the names of their axes, never by position."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from archspec.diagnostics import ArchError, Diagnostic, Span
from archspec.ir.build import COMPARISONS, LOGICAL, Loops, Term
from archspec.ir.graph import BOOL, FLOAT, INT
from archspec.ir.sizes import Axis, shape_text
from archspec.lower.scope import Scope
from archspec.lower.values import Num, Tensor, Truth, Value, kind_of

SIGNS = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "power": "^",
    "contract": "@",
    "equal": "==",
    "not_equal": "!=",
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
}


def combine(op: str, values: Sequence[Value], span: Span, scope: Scope) -> Tensor:
    """An elementwise op of values, at least one of which is a tensor; the rest are numbers or truth values."""
    loops, terms = align(op, values, span, scope)
    _check_dtypes(op, terms, span)
    return Tensor(loops.map(op, *terms).value)


def align(op: str, values: Sequence[Value], span: Span, scope: Scope) -> tuple[Loops, list[Term]]:
    """The loops that all `values` share, those of the operand with the most axes, and the values read in them."""
    builder = scope.builder
    shapes = [builder.node(v.value).axes for v in values if isinstance(v, Tensor)]
    widest = max(shapes, key=len, default=())
    loops = Loops(builder, widest)
    return loops, [_term(op, v, loops, shapes, span) for v in values]


def _term(op: str, value: Value, loops: Loops, shapes: Sequence[Sequence[Axis]], span: Span) -> Term:
    if isinstance(value, Tensor):
        index = place_axes(loops.builder.node(value.value).axes, loops.axes)
        if index is None:
            raise _misaligned(op, shapes, span)
        return loops.term(value.value, index)
    return scalar_term(value, loops, op, span)


def scalar_term(value: Value, loops: Loops, op: str, span: Span) -> Term:
    """A number or truth value as a term without axes; a size that is still open becomes a node."""
    if isinstance(value, Num):
        if value.value is not None:
            return loops.number(float(value.value))
        assert value.size is not None
        return Term(loops, loops.builder.size(value.size), ())
    if isinstance(value, Truth) and value.value is not None:
        return loops.number(value.value, BOOL)
    message = f"`{SIGNS.get(op, op)}` takes tensors and numbers, not {kind_of(value)}"
    raise ArchError(Diagnostic("S09", message, span))


def place_axes(axes: Sequence[Axis], among: Sequence[Axis]) -> tuple[int, ...] | None:
    """For each of `axes` its position in `among`; None where one is missing or could be meant twice."""
    if tuple(axes) == tuple(among):
        return tuple(range(len(axes)))
    counts = Counter(among)
    if any(counts[a] != 1 for a in axes) or len(set(axes)) != len(axes):
        return None
    return tuple(list(among).index(a) for a in axes)


def _misaligned(op: str, shapes: Sequence[Sequence[Axis]], span: Span) -> ArchError:
    distinct = list(dict.fromkeys(shape_text(s) for s in shapes))
    message = f"`{SIGNS.get(op, op)}` cannot align {' with '.join(distinct)}"
    hint = "the axes of one side must all be among those of the other; their names decide, not their sizes"
    twice = [str(a) for s in shapes for a, n in Counter(s).items() if n > 1]
    notes = (f"the axis `{twice[0]}` occurs twice, so its name does not say which is meant",) if twice else ()
    return ArchError(Diagnostic("S03", message, span, notes=notes, hints=(hint,)))


def _check_dtypes(op: str, terms: Sequence[Term], span: Span) -> None:
    kinds = [t.node.dtype for t in terms]
    indexed = [t.node.of for t in terms if t.node.dtype == INT and t.node.of is not None]
    if op in COMPARISONS:
        if len(set(indexed)) > 1:
            raise _wrong(span, f"`{SIGNS[op]}` compares an index into {indexed[0]} with an index into {indexed[1]}")
        return
    if op in LOGICAL and any(k != BOOL for k in kinds):
        raise _wrong(span, f"`{op}` needs truth values on both sides", "compare first, as in `x > 0`")
    if op not in LOGICAL and op not in ("where", "number") and BOOL in kinds:
        raise _wrong(span, f"`{SIGNS.get(op, op)}` needs numbers and receives truth values", "wrap them: number(…)")
    if op not in ("where", "number", "copy") and indexed:
        message = f"`{SIGNS.get(op, op)}` needs numbers and receives an index into {indexed[0]}"
        raise _wrong(span, message, "number(…) turns it into a number, one_hot(…) into a vector")
    if op == "where" and kinds[0] != BOOL:
        raise _wrong(span, "the condition of `where` must be truth values", "compare first, as in `x > 0`")


def _wrong(span: Span, message: str, hint: str = "") -> ArchError:
    return ArchError(Diagnostic("S09", message, span, hints=(hint,) if hint else ()))


def contract_last(left: Tensor, right: Tensor, span: Span, scope: Scope) -> Tensor:
    """`a @ W`: the last axis of `a` with the first of `W`. The other axes of both stay, in their order."""
    builder = scope.builder
    a, w = builder.node(left.value), builder.node(right.value)
    for node in (a, w):
        if node.dtype != FLOAT:
            raise _wrong(span, f"`@` multiplies numbers, not {'an index' if node.dtype == INT else 'truth values'}")
    if not a.axes or not w.axes or a.axes[-1] != w.axes[0]:
        message = f"`@` needs the last axis of {a.shape} to be the first of {w.shape}"
        raise ArchError(Diagnostic("S03", message, span))
    rank = len(a.axes)
    loops = Loops(builder, a.axes + w.axes[1:])
    index = (rank - 1, *range(rank, rank + len(w.axes) - 1))
    keep = [i for i in range(len(loops.axes)) if i != rank - 1]
    return Tensor(loops.contract(loops.term(left.value), loops.term(right.value, index), keep).value)
