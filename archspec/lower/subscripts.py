"""Reading a tensor at places: `q[b,i,n,c]`, `x[b, 2*i + u - 1, c]`, `E[words[b,t], d]`, `x[t-1]`.

A subscript is a sum of indices times constants, or a tensor of integers. Plain indices are the loops of a copy, others
a window, integers a gather. The index of a recurrence becomes a marker in the operand, which the end of the loop turns
into a loop (recurrence.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archspec.diagnostics import ArchError, Diagnostic, Span
from archspec.frontend import syntax
from archspec.ir.build import Loops
from archspec.ir.graph import INT, Node, Operand, Place
from archspec.ir.sizes import Axis, Size, shape_text
from archspec.lower.align import held_by
from archspec.lower.frame import Frame
from archspec.lower.lengths import ends_cleared
from archspec.lower.scope import Scope, check_rank, names_in
from archspec.lower.values import IndexName, Num, Series, Step, Tensor, Value, kind_of
from archspec.records import record, replace

ZERO, ONE = Size.number(0), Size.number(1)
Key = IndexName | Step
AFFINE = "a subscript adds up indices times whole numbers: `2*i + u - 1`"


@record
class Affine:
    """(the sum of indices times factors + offset) / divisor."""

    terms: tuple[tuple[Key, Size], ...] = ()
    offset: Size = ZERO
    divisor: Size = ONE
    literal: bool = True

    @property
    def plain(self) -> Key | None:
        """The index, where the subscript is nothing else."""
        simple = len(self.terms) == 1 and self.terms[0][1] == ONE and not self.offset.terms and self.divisor == ONE
        return self.terms[0][0] if simple and self.literal else None

    @property
    def constant(self) -> Size | None:
        return self.offset if not self.terms and self.divisor == ONE else None

    def scaled(self, factor: Size) -> Affine:
        terms = tuple((key, f * factor) for key, f in self.terms)
        return Affine(terms, self.offset * factor, self.divisor, False)

    def plus(self, other: Affine) -> Affine:
        """The sum, both over one divisor."""
        left, right = self.scaled(other.divisor), other.scaled(self.divisor)
        totals: dict[Key, Size] = dict(left.terms)
        for key, factor in right.terms:
            totals[key] = totals.get(key, ZERO) + factor
        terms = tuple((k, f) for k, f in totals.items() if f.terms)
        return Affine(terms, left.offset + right.offset, self.divisor * other.divisor, False)


def subscript(node: syntax.Expression, scope: Scope) -> Affine | Tensor:
    """What stands between two commas of a bracket."""
    if isinstance(node, syntax.Name):
        value = scope.find(node.id)
        if isinstance(value, IndexName | Step):
            return Affine(((value, ONE),))
        if value is None and scope.frame is not None and scope.elsewhere(node.id) is None and len(node.id) <= 2:
            hint = f"an index stands on the left or in the bracket of a reduction: sum[{node.id}](…)"
            raise ArchError(Diagnostic("S01", f"unknown index `{node.id}`", node.span, hints=(hint,)))
    if isinstance(node, syntax.Binary | syntax.Unary) and _mentions_index(node, scope):
        return _arithmetic(node, scope)
    return _evaluated(node, scope)


def _mentions_index(node: syntax.Expression, scope: Scope) -> bool:
    return any(isinstance(scope.find(name), IndexName | Step) for name in names_in(node))


def _evaluated(node: syntax.Expression, scope: Scope) -> Affine | Tensor:
    value = scope.context.evaluate(node, scope)
    if isinstance(value, Num) and value.size is not None:
        _refuse_ragged(value.size, node.span, scope)
        return Affine((), value.size)
    if isinstance(value, Tensor) and scope.builder.node(value.value).dtype == INT:
        return value
    if isinstance(value, Tensor):
        holds = held_by(scope.builder.node(value.value))
        message = f"a subscript is made of indices, and this holds {holds}"
    else:
        shown = value.text if isinstance(value, Num) else kind_of(value)
        message = f"a subscript is made of indices and whole numbers, not of {shown}"
    raise ArchError(Diagnostic("S09", message, node.span, hints=(AFFINE,)))


def _refuse_ragged(size: Size, span: Span, scope: Scope) -> None:
    for axis in sorted(size.roots & scope.context.lengths.keys()):
        message = f"rows differ in length along {axis}, so `{size}` is no place that all of them have"
        hint = f"last[{axis}](x) is the last place of each row, flip[{axis}](x) each row the other way round"
        raise ArchError(Diagnostic("S08", message, span, hints=(hint,)))


def _arithmetic(node: syntax.Binary | syntax.Unary, scope: Scope) -> Affine:
    if isinstance(node, syntax.Unary) and node.operator == "-":
        return _part(node.operand, scope).scaled(Size.number(-1))
    if isinstance(node, syntax.Binary):
        left, right = _part(node.left, scope), _part(node.right, scope)
        if node.operator in ("+", "-"):
            return left.plus(right if node.operator == "+" else right.scaled(Size.number(-1)))
        if node.operator == "*" and left.constant is not None:
            return right.scaled(left.constant)
        if node.operator == "*" and right.constant is not None:
            return left.scaled(right.constant)
        if node.operator == "/" and right.constant is not None and right.constant.terms:
            return replace(left, divisor=left.divisor * right.constant, literal=False)
    raise ArchError(Diagnostic("S08", "this subscript is not a sum of indices times constants", node.span, hints=(AFFINE,)))


def _part(node: syntax.Expression, scope: Scope) -> Affine:
    found = subscript(node, scope)
    if isinstance(found, Tensor):
        message = "a subscript of integers stands alone; nothing can be added to it"
        raise ArchError(Diagnostic("S08", message, node.span, hints=(AFFINE,)))
    return found


# --- reading inside an index equation ----------------------------------------------------------------------------


def read_at(base: Tensor | Series, node: syntax.Index, scope: Scope) -> Tensor:
    """`base[…]` inside an index equation: one subscript for each axis."""
    parts, axes, step = parts_of(base, node, scope)
    if isinstance(base, Series):
        assert step is not None
        base = step_of(base, subscript(step, scope), step)
    found = [subscript(s, scope) for s in parts]
    spans = [s.span for s in parts]
    ids = [k for k, s in enumerate(found) if isinstance(s, Tensor)]
    if len(ids) > 1:
        message = "one subscript at most is a tensor of integers"
        raise ArchError(Diagnostic("S08", message, spans[ids[1]], hints=("name the first result, then read it again",)))
    places = [s if isinstance(s, Affine) else None for s in found]
    _check_axes(places, axes, spans)
    if not ids:
        return _read(base.value, places, scope)
    return _picked(base.value, places, found[ids[0]], ids[0], spans[ids[0]], scope)  # type: ignore[arg-type]


Parts = tuple[list[syntax.Expression], tuple[Axis, ...], syntax.Expression | None]


def parts_of(base: Tensor | Series, node: syntax.Index, scope: Scope) -> Parts:
    """The subscripts of a tensor, the axes that they read, and for a name of a loop the subscript of its step."""
    indices, step = list(node.indices), None
    for part in indices:
        if isinstance(part, syntax.Bound | syntax.Group):
            scope.context.evaluate(part, scope)
    if isinstance(base, Series):
        step = indices.pop(_step_at(base, node))
    axes = base.axes if isinstance(base, Series) else scope.builder.node(base.value).axes
    parts = _spread_out(indices, axes, scope)
    if len(parts) != len(axes):
        whole = base.whole if isinstance(base, Series) else axes
        noun = "subscript" if len(node.indices) == 1 else "subscripts"
        message = f"{shape_text(whole)} is read with {len(node.indices)} {noun}"
        hint = f"an index equation gives one for each axis: {len(whole)}" if whole else "it has no axes: leave the bracket out"
        raise ArchError(Diagnostic("S08", message, node.span, hints=(hint,)))
    return parts, axes, step


def _step_at(base: Series, node: syntax.Index) -> int:
    """Which subscript of a name of a loop is its step: the second where that can be."""
    having = [k for k, part in enumerate(node.indices) if base.step.name in set(names_in(part))]
    if not having:
        message = f"`{base.name}` changes from step to step, and no subscript names the step `{base.step.name}`"
        hint = f"its axes are {shape_text(base.whole)}: the step is the second subscript"
        raise ArchError(Diagnostic("S08", message, node.span, hints=(hint,)))
    return 1 if 1 in having else having[0]


def _spread_out(indices: Sequence[syntax.Expression], axes: Sequence[Axis], scope: Scope) -> list[syntax.Expression]:
    """The subscripts with an index of its own for each axis that `..` stands for."""
    at = next((k for k, part in enumerate(indices) if isinstance(part, syntax.Spread)), None)
    if at is None:
        return list(indices)
    span, leading = indices[at].span, scope.leading(indices[at].span)
    left = list(enumerate(leading))
    names: list[syntax.Expression] = []
    for axis in axes[at : at + max(0, len(axes) - len(indices) + 1)]:
        number = next((k for k, a in left if a == axis), None)
        if number is None:
            message = f"`..` reads the axis {axis} here, and it stands for {shape_text(leading)}"
            raise ArchError(Diagnostic("S08", message, span, hints=("give that axis an index of its own",)))
        left = [(k, a) for k, a in left if k != number]
        names.append(syntax.Name(span, spread_name(number)))
    return [*indices[:at], *names, *indices[at + 1 :]]


def spread_name(number: int) -> str:
    """The index along one of the axes that `..` stands for; no name of a spec is like it."""
    return f"..{number}"


def _check_axes(places: Sequence[Affine | None], axes: Sequence[Axis], spans: Sequence[Span]) -> None:
    """An index that stands alone runs along the axis that it reads."""
    for place, axis, span in zip(places, axes, spans, strict=True):
        key = place.plain if place is not None else None
        real = key.real if isinstance(key, IndexName) else key.axis if key is not None else axis
        if real != axis and key is not None:
            message = f"`{key.name}` runs along {real} and reads the axis {axis} here"
            hint = f"write `{key.name} + 0` to read the first {real} places of {axis}, zeros past its end"
            raise ArchError(Diagnostic("S08", message, span, hints=(hint,)))


def _read(value: int, places: Sequence[Affine | None], scope: Scope) -> Tensor:
    """`value` with the loops of the equation for axes; an axis without a place stays, at the end."""
    keys = [p.plain if p is not None else None for p in places]
    if all(k is not None or p is None for k, p in zip(keys, places, strict=True)):
        return _view(value, keys, scope)
    return _windowed(value, places, scope)


def _view(value: int, keys: Sequence[Key | None], scope: Scope) -> Tensor:
    """The axes of `value` renamed and put into the order of the loops: a copy."""
    node = scope.builder.node(value)
    indices = [k for k in keys if isinstance(k, IndexName)]
    if len(indices) == len(keys) == len(set(indices)) and tuple(k.axis for k in indices) == node.axes:
        return Tensor(value)
    names = _ordered(indices, scope.frame)
    rest = [axis for axis, key in zip(node.axes, keys, strict=True) if key is None]
    axes = (*(k.axis for k in names), *rest)
    index, free = [], iter(range(len(names), len(axes)))
    for key in keys:
        index.append(next(free) if key is None else key.marker if isinstance(key, Step) else names.index(key))
    return Tensor(_copy(value, index, axes, scope))


def _copy(value: int, index: Sequence[int], axes: Sequence[Axis], scope: Scope) -> int:
    node = scope.builder.node(value)
    return scope.builder.add(Node("copy", (Operand(value, tuple(index)),), tuple(axes), dtype=node.dtype, of=node.of))


def _ordered(indices: Sequence[IndexName], frame: Frame | None) -> list[IndexName]:
    """Each index once, in the order of the loops."""
    assert frame is not None
    return sorted(dict.fromkeys(indices), key=lambda k: frame.axes.index(k.axis))


def _windowed(value: int, places: Sequence[Affine | None], scope: Scope) -> Tensor:
    for axis, place in enumerate(places):
        if place is not None and place.plain is None:
            value = ends_cleared(value, axis, scope)
    used = [key for place in places if place is not None for key, _ in place.terms]
    steps = list(dict.fromkeys(k for k in used if isinstance(k, Step)))
    names = _ordered([k for k in used if isinstance(k, IndexName)], scope.frame)
    if places and places[-1] is not None and places[-1].plain in names:  # the innermost axis stays the innermost
        names = [*(n for n in names if n != places[-1].plain), *(n for n in names if n == places[-1].plain)]
    rest = [a for a, p in zip(scope.builder.node(value).axes, places, strict=True) if p is None]
    keys: list[Key] = [*steps, *names]
    axes = (*(k.axis for k in keys), *rest)
    check_rank(axes, scope.builder.origin.span) if scope.builder.origin.span else None
    free = iter(range(len(keys), len(axes)))
    at = [Place.loop(next(free)) if p is None else place_of(p, keys) for p in places]
    read = scope.builder.window(value, axes, at)
    if not steps:
        return Tensor(read)
    index = [*(s.marker for s in steps), *range(len(axes) - len(steps))]
    return Tensor(_copy(read, index, axes[len(steps) :], scope))


def place_of(place: Affine, keys: Sequence[Key]) -> Place:
    """The place with loops in the order of `keys`."""
    return Place(tuple((keys.index(k), f) for k, f in place.terms), place.offset, place.divisor)


def _picked(value: int, places: Sequence[Affine | None], ids: Tensor, axis: int, span: Span, scope: Scope) -> Tensor:
    """Rows of `value` by the integers `ids`, which stand at one of its axes."""
    assert scope.frame is not None
    builder, frame = scope.builder, scope.frame
    check_indexed(ids.value, builder.node(value).axes[axis], span, scope)
    value = ends_cleared(value, axis, scope)
    keys = [p.plain if p is not None else None for p in places]
    others = [k for k in keys if isinstance(k, IndexName)]
    if len(others) != len(keys) - 1 or len(set(others)) != len(others):
        value = _read(value, places, scope).value
        axis = len(builder.node(value).axes) - 1
        index = [frame.axes.index(a) for a in builder.node(value).axes[:-1]]
    else:
        index = [frame.axes.index(k.axis) for k in others]
    loops = frame.loops
    term = loops.term(ids.value, [frame.axes.index(a) for a in builder.node(ids.value).axes])
    keep = sorted({*index, *term.index})
    return Tensor(loops.gather(term, value, axis, index, keep).value)


def check_indexed(ids: int, axis: Axis, span: Span, scope: Scope) -> None:
    """Integers pick from the axis that they index; positions, `iota[T]`, may pick from any."""
    node = scope.builder.node(ids)
    of = scope.context.real(node.of) if node.of is not None else None
    if is_position(ids, scope):
        _check_positions(of, axis, span, scope)
        return
    if of != axis:
        message = f"this holds indices into {of} and picks from the axis {axis}"
        raise ArchError(Diagnostic("S02", message, span, hints=("a table has a row for each value: its axis is theirs",)))


def _check_positions(of: Axis | None, axis: Axis, span: Span, scope: Scope) -> None:
    sizes = scope.builder.sizes
    count, rows = of.size.evaluate(sizes) if of is not None else None, axis.size.evaluate(sizes)
    if count is not None and rows is not None and count > rows:
        message = f"the positions along {of} = {count} go past the end of the axis {axis} = {rows}"
        raise ArchError(Diagnostic("S02", message, span, hints=("give the table at least as many rows",)))


def is_position(value: int, scope: Scope) -> bool:
    """Whether a tensor counts along an axis, as `iota[T]` does."""
    node = scope.builder.node(value)
    while node.op == "copy":
        node = scope.builder.node(node.operands[0].value)
    return node.op == "position"


# --- reading whole tensors -----------------------------------------------------------------------------------------


def read_whole(base: Tensor | Series, node: syntax.Index, scope: Scope) -> Tensor:
    """`x[t]`, `x[t-1]`, `E[ids]` in an equation of whole tensors."""
    found = [subscript(s, scope) for s in node.indices]
    if isinstance(base, Series):
        return _whole_series(base, node, found, scope)
    if len(found) == 1 and isinstance(found[0], Tensor):
        return _rows(base, found[0], node, scope)
    value = base.value
    for place, part in zip(found, node.indices, strict=True):
        value = _at_step(value, place, part, node, scope)
    return Tensor(value)


def _whole_series(base: Series, node: syntax.Index, found: list[Affine | Tensor], scope: Scope) -> Tensor:
    if len(found) != 1:
        hint = f"{base.name}[{base.step.name}] is the whole of it at this step; an index equation has indices on the left"
        message = f"`{base.name}` is read with {len(found)} subscripts in an equation of whole tensors"
        raise ArchError(Diagnostic("S08", message, node.span, hints=(hint,)))
    return step_of(base, found[0], node.indices[0])


def step_of(base: Series, place: Affine | Tensor, part: syntax.Expression) -> Tensor:
    """The value of a name of a loop at the step that a subscript says."""
    step = base.step
    known = isinstance(place, Affine) and place.terms == ((step, ONE),) and place.divisor == ONE
    offset = place.offset.constant if known and isinstance(place, Affine) else None
    back = 1 if step.is_reversed else -1
    if offset == 0 and base.current is not None:
        return Tensor(base.current)
    if offset == back and base.previous is not None:
        return Tensor(base.previous)
    raise ArchError(_no_step(base, offset, back, part))


def _no_step(base: Series, offset: int | None, back: int, part: syntax.Expression) -> Diagnostic:
    t = base.step.name
    before = f"{base.name}[{t}{back:+d}]"
    if offset == 0:
        hint = f"{before} is the value of the step before" if base.previous is not None else "assign it in a line above"
        return Diagnostic("S01", f"`{base.name}[{t}]` has no value yet at this point", part.span, hints=(hint,))
    if base.previous is None:
        message = f"`{base.name}` is not a state, so only its value at this step, `{base.name}[{t}]`, can be read"
        return Diagnostic("S13", message, part.span, hints=(f"keep it from step to step: state {base.name}[…] = 0",))
    what = f"{t}{offset:+d}" if offset is not None else "this"
    message = f"a state of a {'reversed ' if back > 0 else ''}loop is read at `{t}` or `{t}{back:+d}`, not at {what}"
    hint = f"`over {t} in {base.step.axis} reversed` runs from the end" if offset == 1 else f"{before} is the step before"
    return Diagnostic("S13", message, part.span, hints=(hint,))


def _rows(base: Tensor, ids: Tensor, node: syntax.Index, scope: Scope) -> Tensor:
    """`E[ids]`: a row of `E` for every integer."""
    builder = scope.builder
    axes, own = builder.node(base.value).axes, builder.node(ids.value).axes
    if not axes:
        raise ArchError(Diagnostic("S08", "this has no axes to pick from", node.span))
    check_indexed(ids.value, axes[0], node.indices[0].span, scope)
    check_rank(own + axes[1:], node.span)
    loops = Loops(builder, own + axes[1:])
    keep = range(len(loops.axes))
    return Tensor(loops.gather(loops.term(ids.value), base.value, 0, list(keep)[len(own) :], list(keep)).value)


def _at_step(value: int, place: Affine | Tensor, part: syntax.Expression, node: syntax.Index, scope: Scope) -> int:
    """`value` at one step of a loop: the axis of the loop goes."""
    axes = scope.builder.node(value).axes
    steps = [k for k, _ in place.terms if isinstance(k, Step)] if isinstance(place, Affine) else []
    if not isinstance(place, Affine) or len(steps) != 1:
        raise _no_whole_read(axes, part, node)
    (step,) = steps
    matches = [k for k, axis in enumerate(axes) if axis == step.axis]
    if len(matches) != 1:
        found = "it twice" if matches else "no such axis"
        message = f"`{step.name}` runs along {step.axis}, and {shape_text(axes)} has {found}"
        hint = "read it without the bracket: it is the same at every step" if not matches else "use an index equation"
        raise ArchError(Diagnostic("S08", message, part.span, hints=(hint,)))
    at = matches[0]
    if place.plain is None:
        value = ends_cleared(value, at, scope)
        places = [Place.loop(k) for k in range(len(axes))]
        places[at] = Place(((at, place.terms[0][1]),), place.offset, place.divisor)
        value = scope.builder.window(value, axes, places)
    index = [k - (k > at) for k in range(len(axes))]
    index[at] = step.marker
    return _copy(value, index, (*axes[:at], *axes[at + 1 :]), scope)


def _no_whole_read(axes: Sequence[Axis], part: syntax.Expression, node: syntax.Index) -> ArchError:
    message = f"{shape_text(axes)} cannot be read so in an equation of whole tensors"
    hint = "name indices on the left, `y[b,i] = x[b,i,0]`, or pick rows by integers, `E[ids]`"
    return ArchError(Diagnostic("S08", message, node.span, hints=(hint,)))


def step_number(step: Step, scope: Scope) -> Tensor:
    """The number of the step, from 0."""
    return Tensor(Loops(scope.builder, ()).term(step_position(step, scope)).apply("number").value)


def step_position(step: Step, scope: Scope) -> int:
    """The number of the step as an integer."""
    count = Loops(scope.builder, (step.axis,)).position(0).value
    return _copy(count, (step.marker,), (), scope)


# --- which names are subscripts -------------------------------------------------------------------------------------


def subscript_names(node: object, scope: Scope) -> Iterator[str]:
    """The names that stand in the brackets of tensors, `b` and `i` of `x[b, 2*i]`; those of ops and blocks are axes."""
    if isinstance(node, tuple):
        for item in node:
            yield from subscript_names(item, scope)
    elif isinstance(node, syntax.Node):
        scope.context.step(node.span)
        if isinstance(node, syntax.Index) and _may_be_tensor(node.value, scope):
            yield from names_in(node.indices)
        for value in vars(node).values():
            if isinstance(value, syntax.Node | tuple):
                yield from subscript_names(value, scope)


def _may_be_tensor(base: syntax.Expression, scope: Scope) -> bool:
    """Whether what stands before a bracket is read, rather than called with axes."""
    if isinstance(base, syntax.Name):
        return isinstance((scope.frame.outer if scope.frame else scope).find(base.id), Tensor | Series)
    return True


def value_of_base(node: syntax.Expression, scope: Scope) -> Value:
    """What stands before a bracket: its names are those around the equation, not its indices."""
    frame = scope.frame
    if frame is None:
        return _plain_value(node, scope)
    if id(node) not in frame.bases:
        frame.bases[id(node)] = _plain_value(node, frame.outer)
    return frame.bases[id(node)]


def _plain_value(node: syntax.Expression, scope: Scope) -> Value:
    if isinstance(node, syntax.Name):
        value = scope.find(node.id)
        if isinstance(value, Series):
            return value
    return scope.context.evaluate(node, scope)
