"""Whole-tensor equations: operands align by the names of their axes, never by position."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from archspec.diagnostics import ArchError, Diagnostic, Span
from archspec.ir.build import COMPARISONS, LOGICAL, Loops, Term
from archspec.ir.graph import BOOL, FLOAT, INT, Node
from archspec.ir.sizes import Axis, shape_text
from archspec.lower.lengths import row_length
from archspec.lower.scope import Scope, check_rank
from archspec.lower.values import Num, Tensor, Truth, Value, kind_of

SIGNS = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "power": "^",
    "negate": "-",
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
    values = [_for_each_row(v, span, scope) for v in values]
    shapes = [builder.node(v.value).axes for v in values if isinstance(v, Tensor)]
    loops = Loops(builder, max(shapes, key=len, default=())) if scope.frame is None else scope.frame.loops
    return loops, [_term(op, v, loops, shapes, span) for v in values]


def open_number(number: Num, span: Span, scope: Scope) -> Tensor:
    """A size that is not known when the spec is read, as a tensor: that of the batch, or the length of each row."""
    assert number.size is not None
    found = _for_each_row(number, span, scope)
    return found if isinstance(found, Tensor) else Tensor(scope.builder.size(number.size))


def _for_each_row(value: Value, span: Span, scope: Scope) -> Value:
    """A number; one that hangs on a ragged axis, such as `T`, is the length of each row."""
    lengths = scope.context.lengths
    if not isinstance(value, Num) or value.value is not None or not lengths or not value.size:
        return value
    return row_lengths(value, span, scope) if value.size.roots & lengths.keys() else value


def row_lengths(number: Num, span: Span, scope: Scope) -> Tensor:
    """What a number that hangs on a ragged axis is for each row: a tensor along the axis of the rows."""
    assert number.size is not None
    term = row_length(number.size, scope.context)
    (rows,) = term.node.axes
    indices = [i for i in scope.frame.known.values() if i.real == rows] if scope.frame is not None else []
    if scope.frame is not None and len(indices) != 1:
        few = "none" if not indices else "several"
        message = f"`{number.text}` is another number for every row, and {few} of the indices here run along {rows}"
        raise ArchError(Diagnostic("S08", message, span, hints=(f"define it in a line of its own: n = {number.text}, n[b]",)))
    return Tensor(term.apply("number").value)


def _term(op: str, value: Value, loops: Loops, shapes: Sequence[Sequence[Axis]], span: Span) -> Term:
    if isinstance(value, Tensor):
        index = place_axes(loops.builder.node(value.value).axes, loops.axes)
        if index is None:
            raise _misaligned(op, shapes, span, loops)
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


def _misaligned(op: str, shapes: Sequence[Sequence[Axis]], span: Span, loops: Loops) -> ArchError:
    distinct = list(dict.fromkeys(shape_text(s) for s in shapes))
    if len(distinct) == 1:
        distinct.append("the indices of this equation")
    message = f"`{SIGNS.get(op, op)}` cannot align {' with '.join(distinct)}"
    hint = "the axes of one side must all be among those of the other; their names decide, not their sizes"
    twice = [str(a) for s in shapes for a, n in Counter(s).items() if n > 1]
    notes: tuple[str, ...] = (f"the axis `{twice[0]}` occurs twice, so its name does not say which is meant",) if twice else ()
    notes += _same_sizes(shapes, loops)
    return ArchError(Diagnostic("S03", message, span, notes=notes, hints=(hint,)))


def _same_sizes(shapes: Sequence[Sequence[Axis]], loops: Loops) -> tuple[str, ...]:
    shape = next(s for s in shapes if place_axes(s, loops.axes) is None)
    alone = [a for a in shape if a not in loops.axes], [a for a in loops.axes if a not in shape]
    return size_notes(*alone, loops.builder.sizes)


def _check_dtypes(op: str, terms: Sequence[Term], span: Span) -> None:
    kinds = [t.node.dtype for t in terms]
    indexed = next((t.node for t in terms if t.node.dtype == INT), None)
    sign = SIGNS.get(op, op)
    if op in COMPARISONS:
        return _check_compared(sign, terms, span)
    if op == "where":
        return _check_choice(terms, span)
    if op in LOGICAL and any(k != BOOL for k in kinds):
        raise _wrong(span, f"`{op}` needs truth values", "compare first, as in `x > 0`")
    if op not in LOGICAL and op != "number" and BOOL in kinds:
        raise _wrong(span, f"`{sign}` needs numbers and receives truth values", "wrap them: number(…)")
    if op != "number" and indexed is not None:
        message = f"`{sign}` needs numbers and receives {held_by(indexed)}"
        raise _wrong(span, message, "number(…) turns them into numbers, one_hot(…) into vectors")
    return None


def _check_compared(sign: str, terms: Sequence[Term], span: Span) -> None:
    """Numbers compare with numbers, indices with indices into the same axis or with a plain number."""
    left, right = (t.node for t in terms)
    plain = "constant" in (left.op, right.op) and BOOL not in (left.dtype, right.dtype)
    if (left.dtype, left.of) != (right.dtype, right.of) and not plain:
        message = f"`{sign}` compares {held_by(left)} with {held_by(right)}"
        raise _wrong(span, message, "number(…) turns indices and truth values into numbers")


def _check_choice(terms: Sequence[Term], span: Span) -> None:
    condition, *branches = (t.node for t in terms)
    if condition.dtype != BOOL:
        raise _wrong(span, "the condition of `where` must be truth values", "compare first, as in `x > 0`")
    for node in branches:
        if node.dtype != FLOAT:
            message = f"`where` chooses between numbers and receives {held_by(node)}"
            raise _wrong(span, message, "number(…) turns them into numbers")


def held_by(node: Node) -> str:
    """What a tensor holds, as messages say it."""
    names = {FLOAT: "numbers", BOOL: "truth values", INT: "indices"}
    return f"indices into {node.of}" if node.of is not None else names[node.dtype]


def _wrong(span: Span, message: str, hint: str = "") -> ArchError:
    return ArchError(Diagnostic("S09", message, span, hints=(hint,) if hint else ()))


def contract_last(left: Tensor, right: Tensor, span: Span, scope: Scope) -> Tensor:
    """`a @ W`: the last axis of `a` with the first of `W`. The other axes of both stay, in their order."""
    builder = scope.builder
    a, w = builder.node(left.value), builder.node(right.value)
    for node in (a, w):
        if node.dtype != FLOAT:
            hint = "number(…) turns them into numbers, one_hot(…) indices into vectors"
            raise _wrong(span, f"`@` multiplies numbers, not {held_by(node)}", hint)
    if not a.axes or not w.axes or a.axes[-1] != w.axes[0]:
        raise _no_contraction(a.axes, w.axes, span, scope)
    rank = len(a.axes)
    check_rank(a.axes[1:] + w.axes[1:], span)
    loops = Loops(builder, a.axes + w.axes[1:])
    index = (rank - 1, *range(rank, rank + len(w.axes) - 1))
    keep = [i for i in range(len(loops.axes)) if i != rank - 1]
    return Tensor(loops.contract(loops.term(left.value), loops.term(right.value, index), keep).value)


def _no_contraction(a: Sequence[Axis], w: Sequence[Axis], span: Span, scope: Scope) -> ArchError:
    message = f"`@` needs the last axis of {shape_text(a)} to be the first of {shape_text(w)}"
    if not a or not w:
        return _wrong(span, f"`@` needs axes on both sides: {shape_text(a)} @ {shape_text(w)}", "`*` scales")
    rest = [axis for axis in w if axis != a[-1]] if a[-1] in w else w[1:]
    hint = f"it sums over an axis that both share: {shape_text(a)} @ {shape_text((a[-1], *rest))}"
    return ArchError(Diagnostic("S03", message, span, notes=size_notes(a[-1:], w[:1], scope.builder.sizes), hints=(hint,)))


def size_notes(expected: Sequence[Axis], actual: Sequence[Axis], sizes: Mapping[str, int]) -> tuple[str, ...]:
    """Axes of one size and two names are still two axes: say so."""
    pairs = [(e, a, e.size.evaluate(sizes)) for e, a in zip(expected, actual, strict=False) if e != a]
    same = [(e, a, size) for e, a, size in pairs if size is not None and size == a.size.evaluate(sizes)]
    return tuple(f"{e} and {a} both have the size {size}, but axes are one by their names" for e, a, size in same)
