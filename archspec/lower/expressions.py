"""What an expression means: a number worked out now, or nodes added to the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from archspec.diagnostics import ArchError, Diagnostic, Span, did_you_mean
from archspec.frontend import syntax
from archspec.lower import arithmetic
from archspec.lower.align import combine, contract_last
from archspec.lower.builtins import BUILTINS, call_builtin, positions
from archspec.lower.calls import call_function, call_layer
from archspec.lower.files import SpecFile, library_block, library_names
from archspec.lower.recipes import initializer_named, initializer_names, is_initializer, kind_elsewhere, refine
from archspec.lower.scope import Scope, names_in, unknown_name, unordered_name
from archspec.lower.values import (
    Builtin,
    Function,
    Items,
    Module,
    Num,
    Recipe,
    SharedLayer,
    Tensor,
    Text,
    Truth,
    Value,
    kind_of,
)

MAX_COPIES = 10_000
OPS_BY_SIGN = {
    "+": "add",
    "-": "subtract",
    "*": "multiply",
    "/": "divide",
    "^": "power",
    "==": "equal",
    "!=": "not_equal",
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
    "and": "and",
    "or": "or",
}


def evaluate(node: syntax.Expression, scope: Scope) -> Value:
    """The value of an expression in `scope`."""
    scope.context.step(node.span)
    return _RULES[type(node)](node, scope)


def evaluate_tensor(node: syntax.Expression, scope: Scope) -> Tensor:
    """The value of an expression that must be a tensor; a number becomes one without axes."""
    value = evaluate(node, scope)
    if isinstance(value, Num) and value.value is not None:
        return Tensor(scope.builder.constant(float(value.value)))
    if isinstance(value, Function):
        raise _unfed(value, node.span)
    if isinstance(value, Items) and not isinstance(node, syntax.List):
        hint = "give each a name: a, b = …"
        raise ArchError(Diagnostic("S04", f"this gives {len(value.items)} tensors, not one", node.span, hints=(hint,)))
    if not isinstance(value, Tensor):
        raise ArchError(Diagnostic("S09", f"a tensor is needed here, not {kind_of(value)}", node.span, hints=_use(value)))
    return value


def _unfed(function: Function, span: Span) -> ArchError:
    """The error for a block that stands where its result should."""
    block, missing = function.block, function.missing
    what = f"its tensor `{missing[0]}`" if len(missing) == 1 else f"its tensors {', '.join(f'`{m}`' for m in missing)}"
    tensors = [t.name for t in block.tensors]
    hint = f"feed it: {tensors[0]} |> {block.name}" if len(tensors) == 1 else f"feed it: {block.name}({', '.join(tensors)})"
    return ArchError(Diagnostic("S04", f"`{block.name}` still needs {what}", span, hints=(hint,)))


def _use(value: Value) -> tuple[str, ...]:
    """How something that has been named but not used gives a tensor."""
    if isinstance(value, Builtin):
        return (f"feed it: x |> {value.name}",)
    return ("feed it: x |> …",) if isinstance(value, SharedLayer) else ()


def _name(node: syntax.Name, scope: Scope) -> Value:
    value = scope.find(node.id)
    return resolve(node.id, node.span, scope) if value is None else value


def resolve(name: str, span: Span, scope: Scope) -> Value:
    """A name that no scope defines: the file's blocks, its imports, the library, the ops, the initialisers."""
    found = _in_file(name, scope.file) or _in_library(name)
    if found is not None:
        return found
    if name in BUILTINS:
        return Builtin(name)
    if is_initializer(name):
        return initializer_named(name, span)
    known = (*scope.all_names(), *_file_names(scope.file), *library_names(), *BUILTINS, *initializer_names())
    if (defined := scope.elsewhere(name)) is not None:
        raise unordered_name(name, span, defined)
    if (kind := kind_elsewhere(name)) is not None:
        raise ArchError(Diagnostic("S01", f"`{name}` is {kind} and stands in `train`", span))
    raise unknown_name(name, span, known, here=scope.all_names())


def _in_file(name: str, file: object) -> Value | None:
    assert isinstance(file, SpecFile)
    if name in file.blocks:
        return Function(file.blocks[name], file)
    for alias, imported in file.imports:
        if alias == name:
            return Module(imported)
        if alias is None and (found := _in_file(name, imported)) is not None:
            return found
    return None


def _file_names(file: object) -> tuple[str, ...]:
    assert isinstance(file, SpecFile)
    return (*file.blocks, *(alias for alias, _ in file.imports if alias))


def _in_library(name: str) -> Value | None:
    found = library_block(name)
    return Function(*found) if found else None


def _attribute(node: syntax.Attribute, scope: Scope) -> Value:
    base = evaluate(node.value, scope)
    if isinstance(base, Module):
        found = _in_file(node.attribute, base.file)
        if found is None:
            known = _file_names(base.file)
            raise unknown_name(node.attribute, node.span, known, "in the imported file", here=known)
        return found
    if isinstance(base, SharedLayer):
        return _layer_weight(node, base, scope)
    message = f"{kind_of(base)} has no part called `{node.attribute}`"
    raise ArchError(Diagnostic("S09", message, node.span, hints=("a `.` picks a weight of a `layer`",)))


def _layer_weight(node: syntax.Attribute, layer: SharedLayer, scope: Scope) -> Value:
    path = f"{layer.path}/{node.attribute}"
    if path in scope.builder.weights:
        return Tensor(scope.builder.weights[path])
    known = [p.removeprefix(f"{layer.path}/") for p in scope.builder.weights if p.startswith(f"{layer.path}/")]
    if not known:
        hint = "a layer's weights have shapes only after its first use: use it in a line above"
        raise ArchError(Diagnostic("S01", f"`{node.attribute}` is not known yet", node.span, hints=(hint,)))
    raise unknown_name(node.attribute, node.span, tuple(known), "in this layer")


def _index(node: syntax.Index, scope: Scope) -> Value:
    base = evaluate(node.value, scope)
    if isinstance(base, Builtin | Function) and node.where is None:
        axes = tuple(axis_number(i, scope) for i in node.indices)
        if isinstance(base, Builtin) and base.name == "iota":
            return positions(axes, node.span, scope)
        return Builtin(base.name, axes) if isinstance(base, Builtin) else _with_axes(base, axes, node)
    what = f"{kind_of(base)} cannot be indexed" if node.where is None else "`where` in a bracket cannot be used"
    hint = "index equations come with the next version of the language; whole tensors align by axis name today"
    raise ArchError(Diagnostic("S12", f"{what} yet", node.span, hints=(hint,)))


def _with_axes(function: Function, axes: tuple[Num, ...], node: syntax.Index) -> Function:
    takes = len(function.block.axes)
    if len(axes) != takes:
        count = f"{takes or 'no'} ax{'i' if takes == 1 else 'e'}s"
        message = f"`{function.block.name}` takes {count} in a bracket and receives {len(axes)}"
        raise ArchError(Diagnostic("S04", message, node.span))
    return Function(function.block, function.file, axes, function.settings, function.tensors)


def axis_number(node: syntax.Expression, scope: Scope) -> Num:
    """An expression that names an axis: `D`, `4*H`, `64`."""
    if isinstance(node, syntax.Name) and not is_known(node.id, scope) and scope.elsewhere(node.id) is None:
        known = [name for name in scope.all_names() if isinstance(scope.find(name), Num)]
        hints = did_you_mean(node.id, known) or (f"declare it: dim {node.id}",)
        raise ArchError(Diagnostic("S08", f"unknown axis `{node.id}`", node.span, hints=hints))
    value = evaluate(node, scope)
    if not isinstance(value, Num):
        raise ArchError(Diagnostic("S08", f"an axis is needed here, not {kind_of(value)}", node.span))
    if value.size is None or (value.value is not None and not 1 <= value.value <= arithmetic.LARGEST):
        message = f"the size of an axis is a whole number of at least 1, not {value.text}"
        raise ArchError(Diagnostic("S08", message, node.span))
    return value


def is_known(name: str, scope: Scope) -> bool:
    """Whether `name` means anything here."""
    defined = scope.find(name) is not None or _in_file(name, scope.file) is not None
    return defined or name in library_names() or name in BUILTINS or is_initializer(name)


def _call(node: syntax.Call, scope: Scope) -> Value:
    return call(evaluate(node.function, scope), node, scope, None)


def call(function: Value, node: syntax.Call | None, scope: Scope, piped: Tensor | None, span: Span | None = None) -> Value:
    """`function(arguments…)`, with `piped` in its first free tensor slot."""
    arguments = node.arguments if node else ()
    positional = [(evaluate(a.value, scope), a.value.span) for a in arguments if a.name is None]
    named = {a.name: (evaluate(a.value, scope), a) for a in arguments if a.name is not None}
    _refuse_repeated(arguments)
    where = span or (node.span if node else None)
    assert where is not None
    if piped is not None:
        positional.insert(0, (piped, where))
    if isinstance(function, Builtin):
        return call_builtin(function, positional, named, where, scope)
    if isinstance(function, Function):
        return call_function(function, positional, named, where, scope)
    if isinstance(function, SharedLayer):
        return call_layer(function, positional, named, where, scope)
    if isinstance(function, Recipe):
        return refine(function, positional, named, where)
    raise ArchError(_not_callable(function, node.function.span if node else where, scope))


def _not_callable(value: Value, span: Span, scope: Scope) -> Diagnostic:
    name = span.source.line(span.line)[span.column - 1 : span.end_column - 1]
    hints = ("`*` multiplies",) if isinstance(value, Num | Tensor) else ()
    if isinstance(value, Module):
        hints = (f"name a block of the file: {name}.NAME",)
    if name in BUILTINS or _in_file(name, scope.file) or _in_library(name):
        hints = (f"here `{name}` names {kind_of(value)}, which hides the block: give it another name",)
    return Diagnostic("S09", f"{kind_of(value)} cannot be called", span, hints=hints)


def _refuse_repeated(arguments: tuple[syntax.Argument, ...]) -> None:
    seen: set[str] = set()
    for argument in arguments:
        if argument.name in seen:
            raise ArchError(Diagnostic("S04", f"`{argument.name}` is given twice", argument.span))
        if argument.name is not None:
            seen.add(argument.name)


def _pipe(node: syntax.Pipe, scope: Scope) -> Value:
    return feed(evaluate_tensor(node.value, scope), node.stage, scope)


def feed(value: Tensor, stage: syntax.Expression, scope: Scope) -> Tensor:
    """`value |> stage`."""
    if isinstance(stage, syntax.Repeat):
        return _repeat(value, stage, scope)
    if isinstance(stage, syntax.Call):
        result = call(evaluate(stage.function, scope), stage, scope, value)
    else:
        result = call(evaluate(stage, scope), None, scope, value, stage.span)
    if isinstance(result, Tensor):
        return result
    if isinstance(result, Function):
        raise _unfed(result, stage.span)
    if isinstance(result, Items):
        hint = "give each a name: a, b = …"
        message = f"a stage of a pipe gives one tensor, and this one {len(result.items)}"
        raise ArchError(Diagnostic("S04", message, stage.span, hints=(hint,)))
    raise ArchError(Diagnostic("S09", f"a stage of a pipe must give a tensor, not {kind_of(result)}", stage.span))


def _repeat(value: Tensor, node: syntax.Repeat, scope: Scope) -> Tensor:
    copies = _copies(node, scope)
    prefix = scope.numbered("repeat").removeprefix("repeat").strip("_")
    for i in range(copies):
        copy = scope.child(f"repeat_{prefix}/{i}" if prefix else str(i))
        if node.index is not None:
            copy.define(node.index, Num.integer(i), node.span)
        try:
            for stage in node.body:
                value = feed(value, stage, copy)
        except ArchError as error:
            raise _in_copy(error, i, copies) from None
    return value


def _copies(node: syntax.Repeat, scope: Scope) -> int:
    count = evaluate(node.count, scope)
    if not isinstance(count, Num):
        message = f"`repeat` needs the number of copies, not {kind_of(count)}"
        raise ArchError(Diagnostic("S07", message, node.count.span))
    if count.value is None:
        hint = f"give it a size: dim {count.text} = …"
        raise ArchError(Diagnostic("S07", f"the size of `{count.text}` is not known here", node.count.span, hints=(hint,)))
    if not isinstance(count.value, int) or not 0 <= count.value <= MAX_COPIES:
        message = f"`repeat` makes a whole number of copies from 0 to {MAX_COPIES:,}, not {count.text}"
        raise ArchError(Diagnostic("S10", message, node.count.span))
    return count.value


def _in_copy(error: ArchError, i: int, copies: int) -> ArchError:
    """The same mistakes; where the first copy was fine and a shape is wrong, with the number of the one it is in."""
    note = f"in copy {i + 1} of {copies:,}: what one copy gives, the next one receives"
    shapes = [i > 0 and d.code in ("S02", "S03") for d in error.diagnostics]
    told = zip(error.diagnostics, shapes, strict=True)
    return ArchError(replace(d, notes=(*d.notes, note)) if shape else d for d, shape in told)


def _unary(node: syntax.Unary, scope: Scope) -> Value:
    value = evaluate(node.operand, scope)
    if node.operator == "not":
        if isinstance(value, Truth):
            return Truth(None if value.value is None else not value.value)
        return combine("not", [value], node.span, scope)
    if isinstance(value, Num):
        return arithmetic.number_arithmetic("-", Num.integer(0), value, node.span)
    return combine("negate", [value], node.span, scope)


def _binary(node: syntax.Binary, scope: Scope) -> Value:
    left, right = evaluate(node.left, scope), evaluate(node.right, scope)
    if isinstance(left, Tensor) or isinstance(right, Tensor):
        return _tensor_binary(node, left, right, scope)
    if node.operator in ("and", "or"):
        return arithmetic.logic(node.operator, left, right, node.span)
    if node.operator in ("==", "!=", "<", "<=", ">", ">="):
        return arithmetic.compare(node.operator, left, right, node.span)
    if isinstance(left, Num) and isinstance(right, Num) and node.operator != "@":
        return _registered(arithmetic.number_arithmetic(node.operator, left, right, node.span), scope)
    raise _no_operand(node, left, right, *(() if node.operator == "@" else (Num,)))


def _registered(number: Num, scope: Scope) -> Num:
    """`number`; where it is an inexact quotient such as `(D/N)`, its symbol has a size from now on."""
    if number.size is not None and isinstance(number.value, int):
        for symbol in number.size.symbols - scope.builder.sizes.keys():
            scope.builder.sizes[symbol] = number.value
    return number


def _no_operand(node: syntax.Binary, left: Value, right: Value, *kinds: type) -> ArchError:
    """The error for the first side that is of none of `kinds`."""
    value, side = (left, node.left) if not isinstance(left, kinds) else (right, node.right)
    if isinstance(value, Function):
        return _unfed(value, side.span)
    needs = "tensors" if node.operator == "@" else "numbers and tensors"
    return ArchError(Diagnostic("S09", f"`{node.operator}` takes {needs}, not {kind_of(value)}", side.span, hints=_use(value)))


def _tensor_binary(node: syntax.Binary, left: Value, right: Value, scope: Scope) -> Tensor:
    if node.operator == "@":
        if not isinstance(left, Tensor) or not isinstance(right, Tensor):
            raise ArchError(Diagnostic("S09", "`@` multiplies two tensors", node.span, hints=("`*` scales",)))
        return contract_last(left, right, node.span, scope)
    if not isinstance(left, Tensor | Num | Truth) or not isinstance(right, Tensor | Num | Truth):
        raise _no_operand(node, left, right, Tensor, Num, Truth)
    if node.operator == "%":
        raise ArchError(Diagnostic("S09", "`%` works on numbers, not on tensors", node.span))
    if node.operator == "/" and isinstance(right, Num) and right.value == 0:
        raise ArchError(Diagnostic("S07", "division by zero", node.span))
    if node.operator == "^" and isinstance(right, Num) and right.value == 2:
        return combine("square", [left], node.span, scope)
    return combine(OPS_BY_SIGN[node.operator], [left, right], node.span, scope)


def _conditional(node: syntax.Conditional, scope: Scope) -> Value:
    return evaluate(node.then if decide(node.condition, scope) else node.otherwise, scope)


def decide(node: syntax.Expression, scope: Scope) -> bool:
    """A condition that must be decided now."""
    value = evaluate(node, scope)
    if isinstance(value, Tensor):
        hint = "where(condition, a, b) chooses element by element"
        message = "a condition is decided when the spec is read and cannot hang on a tensor"
        raise ArchError(Diagnostic("S07", message, node.span, hints=(hint,)))
    if not isinstance(value, Truth):
        raise ArchError(Diagnostic("S09", f"a condition must be true or false, not {kind_of(value)}", node.span))
    if value.value is None:
        open_axes = [f"`{n}`" for n in dict.fromkeys(names_in(node)) if _is_open(scope.find(n))]
        message = f"this hangs on the size of {' and '.join(open_axes) or 'an axis'}, which is not known yet"
        hint = "give it a size: dim NAME = …, or let the data bind it"
        raise ArchError(Diagnostic("S07", message, node.span, hints=(hint,)))
    return value.value


def _is_open(value: Value | None) -> bool:
    return isinstance(value, Num) and value.value is None


def _spread(node: syntax.Spread, scope: Scope) -> Value:
    raise ArchError(Diagnostic("S08", "`..` stands for leading axes in a signature only", node.span))


def _stray_repeat(node: syntax.Repeat, scope: Scope) -> Value:
    raise ArchError(Diagnostic("S09", "`repeat` is a stage of a pipe", node.span, hints=("x |> repeat L { … }",)))


_RULES: dict[type, Callable[[Any, Scope], Value]] = {
    syntax.Number: lambda n, s: Num.integer(n.value) if isinstance(n.value, int) else Num(n.value),
    syntax.String: lambda n, s: Text(n.value),
    syntax.Boolean: lambda n, s: Truth(n.value),
    syntax.List: lambda n, s: Items(tuple(evaluate(i, s) for i in n.items)),
    syntax.Name: _name,
    syntax.Attribute: _attribute,
    syntax.Index: _index,
    syntax.Call: _call,
    syntax.Pipe: _pipe,
    syntax.Repeat: _stray_repeat,
    syntax.Unary: _unary,
    syntax.Binary: _binary,
    syntax.Conditional: _conditional,
    syntax.Spread: _spread,
}
