"""Calls of blocks: arguments meet the signature, axis names are bound, the body runs, results are checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archspec.diagnostics import ArchError, Diagnostic, Span, did_you_mean
from archspec.frontend import syntax
from archspec.ir.build import Loops
from archspec.ir.graph import INT, Node
from archspec.ir.sizes import Axis, product, shape_text
from archspec.lower.align import combine, size_notes
from archspec.lower.files import in_library
from archspec.lower.lengths import is_ragged, valid_along, without_rows
from archspec.lower.resolve import as_axis
from archspec.lower.scope import Scope, axis_of, check_rank, name_span
from archspec.lower.structure import axis_at, merged
from archspec.lower.subscripts import is_position
from archspec.lower.values import Function, Items, Num, SharedLayer, Tensor, Value, kind_of
from archspec.records import field, record, replace

MAX_DEPTH = 40
MAX_NOTES = 3
CALL_STEPS = 10  # what laying out a call costs, in expressions
Positional = Sequence[tuple[Value, Span]]
Named = Mapping[str, tuple[Value, syntax.Argument]]


@record(frozen=False)
class Arguments:
    """What a call gives to a block so far."""

    tensors: dict[str, tuple[Tensor, Span]] = field(default_factory=dict)
    settings: dict[str, Value] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)
    group: str | None = None


def call_function(function: Function, positional: Positional, named: Named, where: Span, scope: Scope) -> Value:
    """A block in place, with fresh weights; one that still lacks tensors is returned to be fed later."""
    given = _match(function, positional, named, where, scope)
    if len(given.tensors) < len(function.block.tensors):
        tensors = tuple(t for t, _ in given.tensors.values())
        return replace(function, settings=given.settings, tensors=tensors)
    path = scope.child(scope.numbered(function.block.name)).path
    return _instantiate(function, given, path, where, scope)


def call_layer(layer: SharedLayer, positional: Positional, named: Named, where: Span, scope: Scope) -> Value:
    """A use of a named layer: the same block and the same weights as every other use."""
    block = layer.function.block
    given = _match(layer.function, positional, named, where, scope)
    for name, span in given.spans.items():
        hint = "settings of a layer are given where it is defined"
        raise ArchError(Diagnostic("S04", f"a use of a layer cannot change `{name}`", span, hints=(hint,)))
    missing = [t.name for t in block.tensors if t.name not in given.tensors]
    if missing:
        hint = f"the layer is a `{block.name}`: feed it, as in x |> …"
        raise ArchError(Diagnostic("S04", f"the layer needs its tensor `{missing[0]}`", where, hints=(hint,)))
    return _instantiate(layer.function, given, layer.path, where, scope)


# --- arguments ---------------------------------------------------------------------------------------------------


def _match(function: Function, positional: Positional, named: Named, where: Span, scope: Scope) -> Arguments:
    block = function.block
    given = Arguments(settings=dict(function.settings))
    for declaration, tensor in zip(block.tensors, function.tensors, strict=False):
        given.tensors[declaration.name] = (tensor, where)
    for name, (value, argument) in named.items():
        _take_named(block, given, name, value, argument, scope)
    left_out = _left_out(function, positional, set(named))
    for value, span in positional:
        _take_positional(function, given, value, span, scope, set(named), left_out)
    return given


def _left_out(function: Function, positional: Positional, named: set[str]) -> set[str]:
    """Settings that the axes of the tensors bind, where a call gives fewer than there are: `embed(D)`."""
    taken = named | set(function.settings)
    needed = [s.name for s in function.block.settings if s.default is None and s.name not in taken]
    lacking = len(needed) - sum(not isinstance(value, Tensor) for value, _ in positional)
    bound = {p.id for t in function.block.tensors for p in (*t.axes, t.of) if isinstance(p, syntax.Name)}
    return set([name for name in needed if name in bound][: max(0, lacking)])


def _take_named(
    block: syntax.Block, given: Arguments, name: str, value: Value, argument: syntax.Argument, scope: Scope
) -> None:
    if name in {t.name for t in block.tensors}:
        given.tensors[name] = (_as_tensor(block, name, value, argument.value.span, scope), argument.value.span)
    elif name in {s.name for s in block.settings}:
        if isinstance(value, Tensor):
            message = f"`{name}` of `{block.name}` is a setting and takes no tensor"
            raise ArchError(Diagnostic("S04", message, argument.value.span, hints=(usage(block),)))
        is_group = next(s.is_group for s in block.settings if s.name == name)
        grouped = Items((value,)) if is_group and not isinstance(value, Items) else value
        given.settings[name], given.spans[name] = grouped, argument.value.span
    else:
        known = [*(t.name for t in block.tensors), *(s.name for s in block.settings)]
        message = f"`{block.name}` has no parameter `{name}`"
        raise ArchError(Diagnostic("S04", message, argument.span, hints=did_you_mean(name, known)))


def _take_positional(
    function: Function, given: Arguments, value: Value, span: Span, scope: Scope, named: set[str], left_out: set[str]
) -> None:
    block = function.block
    slots = [t.name for t in block.tensors if t.name not in given.tensors]
    free = [s for s in block.settings if s.name not in function.settings and s.name not in left_out]
    parameter = next((s for s in free if s.name in named or s.name not in given.settings), None)
    setting = parameter.name if parameter else None
    if given.group is not None and isinstance(value, Num):
        begun = given.settings[given.group]
        assert isinstance(begun, Items)
        given.settings[given.group] = Items((*begun.items, value))
    elif isinstance(value, Tensor) and slots:
        given.tensors[slots[0]] = (value, span)
    elif isinstance(value, Tensor) and setting:
        message = f"`{block.name}` has no place for another tensor: `{setting}` is a setting"
        raise ArchError(Diagnostic("S04", message, span, hints=(usage(block),)))
    elif setting in named:
        message = f"`{setting}` of `{block.name}` is given twice: by name, and here"
        raise ArchError(Diagnostic("S04", message, span, hints=(usage(block),)))
    elif setting and parameter:
        given.group = setting if parameter.is_group and isinstance(value, Num) else None
        given.settings[setting], given.spans[setting] = Items((value,)) if parameter.is_group else value, span
    elif slots and isinstance(value, Num):
        given.tensors[slots[0]] = (_as_tensor(block, slots[0], value, span, scope), span)
    else:
        message = f"`{block.name}` receives more arguments than it takes"
        raise ArchError(Diagnostic("S04", message, span, hints=(usage(block),)))


def usage(block: syntax.Block) -> str:
    """How a block is called: `linear(x[.., D], H, init=glorot, bias=true)`."""
    tensors = [f"{t.name}[{', '.join(map(_pattern_text, t.axes))}]" for t in block.tensors]
    return f"it is declared as {block.name}({', '.join(tensors + [_pattern_text(s) for s in block.settings])})"


def _as_tensor(block: syntax.Block, name: str, value: Value, span: Span, scope: Scope) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Num) and value.value is not None:
        return Tensor(scope.builder.constant(float(value.value)))
    raise ArchError(Diagnostic("S09", f"`{name}` of `{block.name}` is a tensor, not {kind_of(value)}", span))


# --- the body ----------------------------------------------------------------------------------------------------


def _instantiate(function: Function, given: Arguments, path: str, where: Span, scope: Scope) -> Value:
    context, block = scope.context, function.block
    if len(context.active) >= MAX_DEPTH:
        raise ArchError(_too_deep(block, context.active, where))
    context.step(where, CALL_STEPS)
    inner = Scope(context, function.file, path, parent=context.file_scope(function.file), body=block.body)
    context.active += (block.name,)
    try:
        _bind_axes(function, given, inner, where)
        _bind_masks(function, given, inner, where, scope)
        spreads = _bind_tensors(function, given, inner)
        _bind_settings(block, given, inner, where)
        context.run(block.body, inner)
        results = [_result(block, r, spreads, inner) for r in block.results]
    except ArchError as error:
        raise _in_call(error, block, given, where) from None
    except RecursionError:
        raise ArchError(_too_deep(block, context.active, where)) from None
    finally:
        context.active = context.active[:-1]
    return results[0] if len(results) == 1 else Items(tuple(results))


def _too_deep(block: syntax.Block, active: tuple[str, ...], where: Span) -> Diagnostic:
    message = f"blocks are nested more than {MAX_DEPTH} deep at `{block.name}`"
    if block.name not in active:
        return Diagnostic("S10", message, where, hints=("lay some of them side by side",))
    loop = active[len(active) - 1 - active[::-1].index(block.name) :]
    through = f" through {', '.join(f'`{b}`' for b in loop[1:])}" if len(loop) > 1 else ""
    hint = "a block that calls itself needs an `if` that ends it; `repeat` stacks blocks"
    return Diagnostic("S10", f"`{block.name}` calls itself{through}, more than {MAX_DEPTH} deep", where, hints=(hint,))


def _in_call(error: ArchError, block: syntax.Block, given: Arguments, where: Span) -> ArchError:
    """The same mistakes, told from the caller's side: a place inside the library helps nobody."""
    return ArchError(_told(d, block, given, where) for d in error.diagnostics)


def _told(d: Diagnostic, block: syntax.Block, given: Arguments, where: Span) -> Diagnostic:
    if d.span is None or _lies_in(d.span, where):
        return d
    if in_library(d.span):
        span, label = _blamed(d.span, block, given, where)
        return replace(d, span=span, label=label, notes=(*d.notes, f"in `{block.name}`, {d.span.place}"))
    if in_library(where):
        return d
    notes = (*d.notes[:MAX_NOTES], f"in `{block.name}`, called at {where.place}")
    return replace(d, notes=tuple(dict.fromkeys(notes)))


def _lies_in(span: Span, where: Span) -> bool:
    """Whether `span` is a part of the call at `where`."""
    starts = (where.line, where.column) <= (span.line, span.column)
    ends = (span.end_line, span.end_column) <= (where.end_line, where.end_column)
    return span.source is where.source and starts and ends


def _blamed(span: Span, block: syntax.Block, given: Arguments, where: Span) -> tuple[Span, str]:
    """Where the call is at fault for what is wrong inside: the setting that stands there, or else the whole call."""
    name = span.source.line(span.line)[span.column - 1 : span.end_column - 1]
    return (given.spans[name], f"`{name}` of `{block.name}`") if name in given.spans else (where, "")


def _bind_axes(function: Function, given: Arguments, inner: Scope, where: Span) -> None:
    block = function.block
    if is_grouped(block):
        return
    if len(function.axes) < len(block.axes):
        noun = "axis" if len(block.axes) == 1 else "axes"
        axes = [str(a) for t, _ in given.tensors.values() for a in inner.builder.node(t.value).axes]
        hint = f"such as {block.name}[{', '.join(axes[-len(block.axes) :] or [a.id for a in block.axes])}](…)"
        raise ArchError(Diagnostic("S04", f"`{block.name}` needs its {noun} in a bracket", where, hints=(hint,)))
    for name, number in zip(block.axes, function.axes, strict=True):
        inner.names[name.id] = number
        inner.spans.setdefault(name.id, block.name_span)


def is_grouped(block: syntax.Block) -> bool:
    """Whether the bracket of a block is a group, `linear[D..]`: it takes any number of axes, or none."""
    return any(isinstance(a, syntax.Group) for a in block.axes)


def _bind_masks(function: Function, given: Arguments, inner: Scope, where: Span, scope: Scope) -> None:
    """Binds to each axis of the bracket what is left out along it: a condition, or what lies past the ends of rows."""
    if function.mask is not None and len(function.axes) != 1:
        message = f"`{function.block.name}` takes a condition only with one axis in its bracket"
        raise ArchError(Diagnostic("S04", message, where))
    for number in function.axes:
        axis = axis_of(number, scope.context)
        is_bound, mask = scope.mask_of(axis)
        if not is_bound:
            shapes = [scope.builder.node(t.value).axes for t, _ in given.tensors.values()]
            having = [s for s in shapes if s.count(axis) == 1]
            mask = next((m for s in having if (m := valid_along(s, s.index(axis), scope)) is not None), None)
            if mask is None and having and is_ragged(axis, scope.context):
                raise without_rows(function.block.name, axis, having[0], where, scope.context)
        if function.mask is not None:
            mask = function.mask if mask is None else combine("and", [mask, function.mask], where, scope)
            _widen(axis, mask, given, scope)
        inner.masks[axis.size] = mask


def _widen(axis: Axis, mask: Tensor, given: Arguments, scope: Scope) -> None:
    """Repeats the tensors along what the condition hangs on: `softmax[j where j <= i](s[b,j])` differs for every i."""
    for name, (tensor, span) in given.tensors.items():
        axes = scope.builder.node(tensor.value).axes
        more = [a for a in scope.builder.node(mask.value).axes if a not in axes]
        if axis in axes and more:
            loops = Loops(scope.builder, (*more, *axes))
            term = loops.term(tensor.value, range(len(more), len(loops.axes)))
            given.tensors[name] = (Tensor(loops.materialise(term, range(len(loops.axes)))), span)


def _bind_tensors(function: Function, given: Arguments, inner: Scope) -> tuple[Axis, ...]:
    """Binds every tensor slot and the axis names in the signature; returns what `..` stands for."""
    spreads: dict[str, tuple[Axis, ...]] = {}
    for declaration in function.block.tensors:
        tensor, span = given.tensors[declaration.name]
        tensor = _grouped(declaration, tensor, function, inner, span)
        leading = bind_tensor(declaration, tensor, span, function.block, inner, given)
        if any(isinstance(p, syntax.Spread) for p in declaration.axes):
            spreads[declaration.name] = leading
            _check_spreads(spreads, function.block, inner.builder.node(tensor.value), span)
    inner.spread = max(spreads.values(), key=len) if spreads else None
    return inner.spread or ()


def _grouped(declaration: syntax.TensorDeclaration, tensor: Tensor, function: Function, inner: Scope, span: Span) -> Tensor:
    """The tensor with the axes of its group as one, at the end: those in the bracket of the call, or the last."""
    group = declaration.axes[-1] if declaration.axes else None
    axes = inner.builder.node(tensor.value).axes
    if not isinstance(group, syntax.Group) or not axes:
        return tensor
    at = [axis_at(function.block.name, number, axes, span, inner) for number in function.axes] or [len(axes) - 1]
    inner.groups[group.id] = tuple(axes[k] for k in at)
    rest = [k for k in range(len(axes)) if k not in at]
    loops = Loops(inner.builder, axes)
    ordered = loops.materialise(loops.term(tensor.value), [*rest, *at])
    return Tensor(merged(ordered, range(len(rest), len(axes)), span, inner))


def _check_spreads(spreads: Mapping[str, tuple[Axis, ...]], block: syntax.Block, node: Node, span: Span) -> None:
    """`..` stands for the same axes in every tensor of a call, or a loss would repeat its targets by accident."""
    (first, axes), (last, others) = next(iter(spreads.items())), list(spreads.items())[-1]
    if sorted(axes) != sorted(others):
        message = f"`..` of `{block.name}` is {shape_text(axes)} in `{first}` and {shape_text(others)} in `{last}`"
        more = [a for a in (*axes, *others) if a not in axes or a not in others]
        hint = f"; sum[{more[0]}](…) takes an axis away" if more else ""
        hint = f"; one_hot(…) gives indices the axis {node.of}" if node.of is not None else hint
        raise ArchError(Diagnostic("S02", message, span, hints=(f"it stands for the same axes in both{hint}",)))


def bind_tensor(
    declaration: syntax.TensorDeclaration, tensor: Tensor, span: Span, block: syntax.Block, inner: Scope, given: Arguments
) -> tuple[Axis, ...]:
    """Matches a tensor with `x[.., D]`, binds the names in it, and returns the axes that `..` stands for."""
    node = inner.builder.node(tensor.value)
    patterns = declaration.axes
    spread = next((i for i, p in enumerate(patterns) if isinstance(p, syntax.Spread)), None)
    fixed = len(patterns) - (spread is not None)
    if len(node.axes) < fixed or (spread is None and len(node.axes) != fixed):
        raise _wrong_rank(declaration, node.axes, block, span)
    before = len(patterns) if spread is None else spread
    after = len(patterns) - before - 1 if spread is not None else 0
    cut = len(node.axes) - after
    for pattern, axis in zip(patterns[:before], node.axes, strict=False):
        _bind_axis(pattern, axis, declaration, node.axes, block, inner, span)
    for pattern, axis in zip(patterns[before + 1 :], node.axes[cut:], strict=True):
        _bind_axis(pattern, axis, declaration, node.axes, block, inner, span)
    _bind_index_type(declaration, tensor, block, inner, span, given)
    inner.define(declaration.name, tensor, declaration.span)
    return node.axes[before:cut]


def _bind_axis(
    pattern: syntax.Expression,
    axis: Axis,
    declaration: syntax.TensorDeclaration,
    axes: Sequence[Axis],
    block: syntax.Block,
    inner: Scope,
    span: Span,
) -> None:
    if isinstance(pattern, syntax.Group) or (isinstance(pattern, syntax.Name) and pattern.id not in inner.names):
        inner.names[pattern.id] = Num(axis.size.evaluate(inner.builder.sizes), axis.size)
        inner.spans.setdefault(pattern.id, pattern.span)
        return
    expected = inner.context.evaluate(pattern, inner)
    if not isinstance(expected, Num) or expected.size is None:
        raise ArchError(Diagnostic("S08", "a signature names axes: `D`, `4*H`, `64`", pattern.span))
    if expected.size != axis.size:
        needs = f"[{', '.join(_pattern_text(p) for p in declaration.axes)}] with {_pattern_text(pattern)} = {expected.size}"
        message = f"`{declaration.name}` of `{block.name}` needs {needs}, and receives {shape_text(axes)}"
        raise ArchError(
            Diagnostic("S02", message, span, notes=size_notes((Axis(expected.size),), (axis,), inner.builder.sizes))
        )


def _wrong_rank(declaration: syntax.TensorDeclaration, axes: Sequence[Axis], block: syntax.Block, span: Span) -> ArchError:
    declared = ", ".join(_pattern_text(p) for p in declaration.axes)
    message = f"`{declaration.name}` of `{block.name}` is declared [{declared}] and receives {shape_text(axes)}"
    return ArchError(Diagnostic("S02", message, span))


def _pattern_text(pattern: syntax.Expression | syntax.SettingParameter) -> str:
    from archspec.frontend.text import text

    return text(pattern)


def _bind_index_type(
    declaration: syntax.TensorDeclaration, tensor: Tensor, block: syntax.Block, inner: Scope, span: Span, given: Arguments
) -> None:
    node = inner.builder.node(tensor.value)
    if declaration.of is None:
        return
    of = declaration.of.id if isinstance(declaration.of, syntax.Name) else ""
    if of in given.settings and is_position(tensor.value, inner):
        return  # positions may pick from a table over another axis
    if node.dtype != INT or node.of is None:
        kind = "numbers" if node.dtype == "float" else "truth values"
        message = f"`{declaration.name}` of `{block.name}` must hold indices, and receives {kind}"
        raise ArchError(Diagnostic("S09", message, span, hints=("declare what it indexes: `y[B]: K`",)))
    if isinstance(declaration.of, syntax.Name) and declaration.of.id not in inner.names:
        inner.names[declaration.of.id] = Num(node.of.size.evaluate(inner.builder.sizes), node.of.size)
        return
    expected = inner.context.evaluate(declaration.of, inner)
    if not isinstance(expected, Num) or expected.size != node.of.size:
        wanted = expected.text if isinstance(expected, Num) and expected.size is None else expected
        name = wanted.size if isinstance(wanted, Num) else wanted
        message = f"`{declaration.name}` of `{block.name}` must index the axis {name} and indexes {node.of}"
        raise ArchError(Diagnostic("S02", message, span))


def _bind_settings(block: syntax.Block, given: Arguments, inner: Scope, where: Span) -> None:
    for parameter in block.settings:
        if parameter.name in given.settings:
            value = given.settings[parameter.name]
        elif parameter.default is not None:
            value = inner.context.evaluate(parameter.default, inner)
        elif isinstance(inner.names.get(parameter.name), Num):
            continue
        else:
            hints = (usage(block),)
            raise ArchError(Diagnostic("S04", f"`{block.name}` needs `{parameter.name}`", where, hints=hints))
        if parameter.is_group:
            value = _bind_group(parameter, value, block, inner, given.spans.get(parameter.name, where))
        bound = inner.names.get(parameter.name)
        if isinstance(bound, Num) and isinstance(value, Num) and bound.size != value.size:
            given_size = value.text if value.size is None else str(value.size)
            message = f"`{block.name}` receives {parameter.name} = {given_size}, but its tensor says {bound.size}"
            raise ArchError(Diagnostic("S02", message, given.spans.get(parameter.name, where)))
        inner.names[parameter.name] = value
        inner.spans.setdefault(parameter.name, parameter.span)


def _bind_group(parameter: syntax.SettingParameter, value: Value, block: syntax.Block, inner: Scope, span: Span) -> Num:
    """The axes that a call gives to `H..`, as one axis: their product."""
    items = value.items if isinstance(value, Items) else ()
    label = f"`{parameter.name}` of `{block.name}`"
    axes = tuple(axis_of(as_axis(item, span, label), inner.context) for item in items)
    inner.groups[parameter.name] = axes
    size = product(axes)
    return Num(size.evaluate(inner.builder.sizes), size)


def _result(block: syntax.Block, declaration: syntax.TensorDeclaration, spread: tuple[Axis, ...], inner: Scope) -> Tensor:
    value = inner.names.get(declaration.name)
    if not isinstance(value, Tensor):
        raise ArchError(undefined_result(block, declaration))
    actual = inner.builder.node(value.value).axes
    expected = _declared_axes(declaration, spread, actual, inner)
    if expected != actual and not _left_over(declaration, spread, actual):
        value = in_declared_order(value, expected, declaration, inner)
    return _ungrouped(value, declaration, inner)


def _ungrouped(value: Tensor, declaration: syntax.TensorDeclaration, inner: Scope) -> Tensor:
    """The result with the axes that a group stands for in place of their product."""
    group = declaration.axes[-1] if declaration.axes else None
    axes = inner.groups.get(group.id, ()) if isinstance(group, syntax.Group) else ()
    if len(axes) < 2:
        return value
    whole = inner.builder.node(value.value).axes
    check_rank((*whole, *axes[1:]), declaration.span)
    return Tensor(inner.builder.reshape(value.value, (*whole[:-1], *axes)))


def undefined_result(block: syntax.Block, declaration: syntax.TensorDeclaration) -> Diagnostic:
    message = f"the {block.kind} `{block.name}` never defines its result `{declaration.name}`"
    hint = f"add a line `{declaration.name} = …`"
    return Diagnostic("S01", message, name_span(declaration, declaration.name), hints=(hint,))


def in_declared_order(value: Tensor, expected: tuple[Axis, ...], declaration: syntax.TensorDeclaration, scope: Scope) -> Tensor:
    """`value` with its axes in the order of the signature."""
    actual = scope.builder.node(value.value).axes
    if expected == actual:
        return value
    if sorted(expected) != sorted(actual) or len(set(actual)) != len(actual):
        message = f"`{declaration.name}` is declared {shape_text(expected)} and has {shape_text(actual)}"
        defined = scope.spans.get(declaration.name)
        notes: tuple[str, ...] = (f"`{declaration.name}` is defined at line {defined.line}",) if defined else ()
        notes += size_notes(expected, actual, scope.builder.sizes)
        raise ArchError(Diagnostic("S02", message, declaration.span, "declared here", notes))
    loops = Loops(scope.builder, actual)
    return Tensor(loops.materialise(loops.term(value.value), [actual.index(a) for a in expected]))


def _left_over(declaration: syntax.TensorDeclaration, spread: tuple[Axis, ...], actual: tuple[Axis, ...]) -> bool:
    """Whether `y[..]` holds: in a result, `..` alone stands for those leading axes that are left, in their order."""
    rest = iter(spread)
    alone = len(declaration.axes) == 1 and isinstance(declaration.axes[0], syntax.Spread)
    return alone and all(axis in rest for axis in actual)


def _declared_axes(
    declaration: syntax.TensorDeclaration, spread: tuple[Axis, ...], actual: tuple[Axis, ...], inner: Scope
) -> tuple[Axis, ...]:
    axes: list[Axis] = []
    same_rank = len(declaration.axes) == len(actual)
    for i, pattern in enumerate(declaration.axes):
        if isinstance(pattern, syntax.Spread):
            axes += spread
        elif isinstance(pattern, syntax.Group):
            axes.append(_axis(syntax.Name(pattern.span, pattern.id), inner))
        elif isinstance(pattern, syntax.Name) and inner.find(pattern.id) is None:
            axes.append(actual[i] if same_rank else Axis.named(pattern.id))
            inner.names[pattern.id] = Num(axes[-1].size.evaluate(inner.builder.sizes), axes[-1].size)
        else:
            axes.append(_axis(pattern, inner))
    return tuple(axes)


def _axis(pattern: syntax.Expression, inner: Scope) -> Axis:
    number = inner.context.evaluate(pattern, inner)
    if not isinstance(number, Num) or number.size is None:
        raise ArchError(Diagnostic("S08", f"an axis is needed here, not {kind_of(number)}", pattern.span))
    return Axis(number.size, ragged=str(number.size) in inner.context.ragged)
