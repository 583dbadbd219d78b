"""Calls of blocks: arguments meet the signature, axis names are bound, the body runs, results are checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from archspec.diagnostics import ArchError, Diagnostic, Span, did_you_mean
from archspec.frontend import syntax
from archspec.ir.build import Loops
from archspec.ir.graph import INT
from archspec.ir.sizes import Axis, shape_text
from archspec.lower.scope import Scope
from archspec.lower.values import Function, Items, Num, SharedLayer, Tensor, Value, kind_of

MAX_DEPTH = 60
MAX_NODES = 1_000_000
Positional = Sequence[tuple[Value, Span]]
Named = Mapping[str, tuple[Value, syntax.Argument]]


@dataclass
class Arguments:
    """What a call gives to a block so far."""

    tensors: dict[str, tuple[Tensor, Span]] = field(default_factory=dict)
    settings: dict[str, Value] = field(default_factory=dict)


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
    for name, (_, argument) in named.items():
        if name not in {t.name for t in block.tensors}:
            hint = "settings of a layer are given where it is defined"
            message = f"a use of a layer cannot change `{name}`"
            raise ArchError(Diagnostic("S04", message, argument.span, hints=(hint,)))
    given = _match(layer.function, positional, named, where, scope)
    missing = [t.name for t in block.tensors if t.name not in given.tensors]
    if missing:
        raise ArchError(Diagnostic("S04", f"the layer needs its tensor `{missing[0]}`", where))
    return _instantiate(layer.function, given, layer.path, where, scope)


# --- arguments ---------------------------------------------------------------------------------------------------


def _match(function: Function, positional: Positional, named: Named, where: Span, scope: Scope) -> Arguments:
    block = function.block
    given = Arguments(settings=dict(function.settings))
    for declaration, tensor in zip(block.tensors, function.tensors, strict=False):
        given.tensors[declaration.name] = (tensor, where)
    for name, (value, argument) in named.items():
        _take_named(block, given, name, value, argument, scope)
    for value, span in positional:
        _take_positional(block, given, value, span, scope, set(named))
    return given


def _take_named(
    block: syntax.Block, given: Arguments, name: str, value: Value, argument: syntax.Argument, scope: Scope
) -> None:
    if name in {t.name for t in block.tensors}:
        given.tensors[name] = (_as_tensor(block, name, value, argument.value.span, scope), argument.value.span)
    elif name in {s.name for s in block.settings}:
        given.settings[name] = value
    else:
        known = [*(t.name for t in block.tensors), *(s.name for s in block.settings)]
        message = f"`{block.name}` has no parameter `{name}`"
        raise ArchError(Diagnostic("S04", message, argument.span, hints=did_you_mean(name, known)))


def _take_positional(block: syntax.Block, given: Arguments, value: Value, span: Span, scope: Scope, named: set[str]) -> None:
    slots = [t.name for t in block.tensors if t.name not in given.tensors]
    settings = [s.name for s in block.settings if s.name not in given.settings]
    if isinstance(value, Tensor) and slots:
        given.tensors[slots[0]] = (value, span)
    elif isinstance(value, Tensor) and settings:
        message = f"`{block.name}` has no place for another tensor: `{settings[0]}` is a setting"
        raise ArchError(Diagnostic("S04", message, span, hints=(usage(block),)))
    elif settings:
        given.settings[settings[0]] = value
    elif slots and isinstance(value, Num):
        given.tensors[slots[0]] = (_as_tensor(block, slots[0], value, span, scope), span)
    else:
        message = f"`{block.name}` receives more arguments than it takes"
        raise ArchError(Diagnostic("S04", message, span, hints=(usage(block),)))


def usage(block: syntax.Block) -> str:
    """How a block is called: `linear(x, H, init, bias)`."""
    names = [*(t.name for t in block.tensors), *(s.name for s in block.settings)]
    return f"it is declared as {block.name}({', '.join(names)})"


def _as_tensor(block: syntax.Block, name: str, value: Value, span: Span, scope: Scope) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Num) and value.value is not None:
        return Tensor(scope.builder.constant(float(value.value)))
    raise ArchError(Diagnostic("S09", f"`{name}` of `{block.name}` is a tensor, not {kind_of(value)}", span))


# --- the body ----------------------------------------------------------------------------------------------------


def _instantiate(function: Function, given: Arguments, path: str, where: Span, scope: Scope) -> Value:
    context, block = scope.context, function.block
    if context.depth >= MAX_DEPTH:
        message = f"blocks are nested more than {MAX_DEPTH} deep at `{block.name}`"
        raise ArchError(Diagnostic("S10", message, where, hints=("does a block call itself?",)))
    if len(context.builder.nodes) > MAX_NODES:
        raise ArchError(Diagnostic("S10", f"the graph has more than {MAX_NODES} nodes", where))
    inner = Scope(context, function.file, path, parent=context.file_scope(function.file))
    context.depth += 1
    try:
        _bind_axes(function, inner, where)
        spreads = _bind_tensors(block, given, inner)
        _bind_settings(block, given, inner, where)
        context.run(block.body, inner)
        results = [_result(block, r, spreads, inner) for r in block.results]
    except ArchError as error:
        raise _in_call(error, block, where) from None
    finally:
        context.depth -= 1
    return results[0] if len(results) == 1 else Items(tuple(results))


def _in_call(error: ArchError, block: syntax.Block, where: Span) -> ArchError:
    """The same mistakes, told from the caller's side: a place inside the library helps nobody."""
    told = []
    for d in error.diagnostics:
        if d.span is not None and d.span.source.path.startswith("stdlib/"):
            told.append(replace(d, span=where, label="", notes=(*d.notes, f"in `{block.name}`, {d.span.place}")))
        elif d.span is not None and where.source.path.startswith("stdlib/"):
            told.append(d)
        else:
            note = f"in `{block.name}`, called at {where.place}"
            told.append(d if d.span == where else replace(d, notes=(*d.notes, note)))
    return ArchError(told)


def _bind_axes(function: Function, inner: Scope, where: Span) -> None:
    block = function.block
    if len(function.axes) < len(block.axes):
        names = ", ".join(block.axes)
        message = f"`{block.name}` needs its axes in a bracket: {block.name}[{names}](…)"
        raise ArchError(Diagnostic("S04", message, where))
    for name, number in zip(block.axes, function.axes, strict=True):
        inner.names[name] = number


def _bind_tensors(block: syntax.Block, given: Arguments, inner: Scope) -> tuple[Axis, ...]:
    """Binds every tensor slot and the axis names in the signature; returns what `..` stands for."""
    spreads: tuple[Axis, ...] = ()
    for declaration in block.tensors:
        tensor, span = given.tensors[declaration.name]
        leading = bind_tensor(declaration, tensor, span, block, inner)
        spreads = leading if len(leading) > len(spreads) else spreads
    return spreads


def bind_tensor(
    declaration: syntax.TensorDeclaration, tensor: Tensor, span: Span, block: syntax.Block, inner: Scope
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
    _bind_index_type(declaration, tensor, block, inner, span)
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
    if isinstance(pattern, syntax.Name) and pattern.id not in inner.names:
        inner.names[pattern.id] = Num(axis.size.evaluate(inner.builder.sizes), axis.size)
        return
    expected = inner.context.evaluate(pattern, inner)
    if not isinstance(expected, Num) or expected.size is None:
        raise ArchError(Diagnostic("S08", "a signature names axes: `D`, `4*H`, `64`", pattern.span))
    if expected.size != axis.size:
        message = f"`{declaration.name}` of `{block.name}` needs the axis {expected.size} and receives {axis}"
        note = f"it receives {shape_text(axes)}"
        raise ArchError(Diagnostic("S02", message, span, notes=(note, *_same_number(expected, axis, inner))))


def _same_number(expected: Num, axis: Axis, inner: Scope) -> tuple[str, ...]:
    size = axis.size.evaluate(inner.builder.sizes)
    if size is not None and size == expected.value:
        return (f"both have the size {size}, but axes are one by their names",)
    return ()


def _wrong_rank(declaration: syntax.TensorDeclaration, axes: Sequence[Axis], block: syntax.Block, span: Span) -> ArchError:
    declared = ", ".join(_pattern_text(p) for p in declaration.axes)
    message = f"`{declaration.name}` of `{block.name}` is declared [{declared}] and receives {shape_text(axes)}"
    return ArchError(Diagnostic("S02", message, span))


def _pattern_text(pattern: syntax.Expression) -> str:
    from archspec.frontend.text import text

    return text(pattern)


def _bind_index_type(
    declaration: syntax.TensorDeclaration, tensor: Tensor, block: syntax.Block, inner: Scope, span: Span
) -> None:
    node = inner.builder.node(tensor.value)
    if declaration.of is None:
        return
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
        else:
            hints = (usage(block),)
            raise ArchError(Diagnostic("S04", f"`{block.name}` needs `{parameter.name}`", where, hints=hints))
        bound = inner.names.get(parameter.name)
        if isinstance(bound, Num) and isinstance(value, Num) and bound.size != value.size:
            message = f"`{block.name}` receives {parameter.name} = {value.text}, but its tensor says {bound.size}"
            raise ArchError(Diagnostic("S02", message, where))
        inner.names[parameter.name] = value
        inner.spans.setdefault(parameter.name, parameter.span)


def _result(block: syntax.Block, declaration: syntax.TensorDeclaration, spread: tuple[Axis, ...], inner: Scope) -> Tensor:
    value = inner.find(declaration.name)
    if not isinstance(value, Tensor):
        message = f"`{block.name}` never defines its result `{declaration.name}`"
        raise ArchError(Diagnostic("S01", message, declaration.span, hints=(f"add a line `{declaration.name} = …`",)))
    actual = inner.builder.node(value.value).axes
    expected = _declared_axes(declaration, spread, actual, inner)
    if expected == actual:
        return value
    if sorted(expected) != sorted(actual):
        message = f"`{declaration.name}` is declared {shape_text(expected)} and has {shape_text(actual)}"
        raise ArchError(Diagnostic("S02", message, declaration.span, "declared here"))
    loops = Loops(inner.builder, actual)
    order = [actual.index(a) for a in expected]
    return Tensor(loops.materialise(loops.term(value.value), order))


def _declared_axes(
    declaration: syntax.TensorDeclaration, spread: tuple[Axis, ...], actual: tuple[Axis, ...], inner: Scope
) -> tuple[Axis, ...]:
    axes: list[Axis] = []
    same_rank = len(declaration.axes) == len(actual)
    for i, pattern in enumerate(declaration.axes):
        if isinstance(pattern, syntax.Spread):
            axes += spread
        elif isinstance(pattern, syntax.Name) and inner.find(pattern.id) is None and same_rank:
            axes.append(actual[i])
        else:
            axes.append(_axis(pattern, inner))
    return tuple(axes)


def _axis(pattern: syntax.Expression, inner: Scope) -> Axis:
    number = inner.context.evaluate(pattern, inner)
    if not isinstance(number, Num) or number.size is None:
        raise ArchError(Diagnostic("S08", f"an axis is needed here, not {kind_of(number)}", pattern.span))
    return Axis(number.size, ragged=str(number.size) in inner.context.ragged)
