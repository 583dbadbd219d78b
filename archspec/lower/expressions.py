"""What an expression means: a number worked out now, or nodes added to the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archspec.diagnostics import ArchError, Diagnostic, Span
from archspec.frontend import syntax
from archspec.lower import arithmetic
from archspec.lower.align import combine, contract_last
from archspec.lower.builtins import BUILTINS, call_builtin, positions
from archspec.lower.calls import call_function, call_layer
from archspec.lower.files import SpecFile, library_block, library_names
from archspec.lower.recipes import initializer_named, is_initializer, refine
from archspec.lower.scope import Scope, unknown_name
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
    return _RULES[type(node)](node, scope)


def evaluate_tensor(node: syntax.Expression, scope: Scope) -> Tensor:
    """The value of an expression that must be a tensor; a number becomes one without axes."""
    value = evaluate(node, scope)
    if isinstance(value, Num) and value.value is not None:
        return Tensor(scope.builder.constant(float(value.value)))
    if isinstance(value, Function):
        slots = ", ".join(f"`{t.name}`" for t in value.block.tensors[len(value.tensors) :])
        message = f"`{value.block.name}` still needs its tensor {slots}"
        hint = f"feed it: x |> {value.block.name}(…)"
        raise ArchError(Diagnostic("S04", message, node.span, hints=(hint,)))
    if not isinstance(value, Tensor):
        raise ArchError(Diagnostic("S09", f"a tensor is needed here, not {kind_of(value)}", node.span))
    return value


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
    known = (*scope.all_names(), *_file_names(scope.file), *library_names(), *BUILTINS)
    raise unknown_name(name, span, known)


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
            raise unknown_name(node.attribute, node.span, _file_names(base.file), "in the imported file")
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
    hint = "index equations come with the next version of the language; whole tensors align by axis name today"
    raise ArchError(Diagnostic("S12", f"{kind_of(base)} cannot be indexed here", node.span, hints=(hint,)))


def _with_axes(function: Function, axes: tuple[Num, ...], node: syntax.Index) -> Function:
    takes = len(function.block.axes)
    if len(axes) != takes:
        message = f"`{function.block.name}` takes {takes} axes in its bracket and receives {len(axes)}"
        raise ArchError(Diagnostic("S04", message, node.span))
    return Function(function.block, function.file, axes, function.settings, function.tensors)


def axis_number(node: syntax.Expression, scope: Scope) -> Num:
    """An expression that names an axis: `D`, `4*H`, `64`."""
    value = evaluate(node, scope)
    if not isinstance(value, Num) or value.size is None:
        raise ArchError(Diagnostic("S08", f"an axis is needed here, not {kind_of(value)}", node.span))
    if value.value is not None and value.value < 0:
        raise ArchError(Diagnostic("S08", f"an axis cannot have the size {value.value}", node.span))
    return value


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
    hint = ("`*` multiplies",) if isinstance(function, Num | Tensor) else ()
    raise ArchError(Diagnostic("S09", f"{kind_of(function)} cannot be called", where, hints=hint))


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
        rest = result.block.tensors[len(result.tensors) :]
        message = f"`{result.block.name}` still needs `{rest[0].name}`" if rest else "this stage gives no tensor"
        raise ArchError(Diagnostic("S04", message, stage.span))
    raise ArchError(Diagnostic("S09", f"a stage of a pipe must give a tensor, not {kind_of(result)}", stage.span))


def _repeat(value: Tensor, node: syntax.Repeat, scope: Scope) -> Tensor:
    count = evaluate(node.count, scope)
    if not isinstance(count, Num) or not isinstance(count.value, int):
        raise ArchError(Diagnostic("S07", "`repeat` needs a whole number of copies, known here", node.count.span))
    if not 0 <= count.value <= MAX_COPIES:
        message = f"`repeat` makes 0 to {MAX_COPIES} copies, not {count.value}"
        raise ArchError(Diagnostic("S10", message, node.count.span))
    prefix = scope.numbered("repeat").removeprefix("repeat").strip("_")
    for i in range(count.value):
        copy = scope.child(f"repeat_{prefix}/{i}" if prefix else str(i))
        if node.index is not None:
            copy.define(node.index, Num.integer(i), node.span)
        for stage in node.body:
            value = feed(value, stage, copy)
    return value


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
        return arithmetic.number_arithmetic(node.operator, left, right, node.span)
    return _no_numbers(node, left, right)


def _no_numbers(node: syntax.Binary, left: Value, right: Value) -> Value:
    wrong = left if not isinstance(left, Num) else right
    if isinstance(wrong, Function):
        hint = f"feed it: x |> {wrong.block.name}(…)"
        raise ArchError(Diagnostic("S09", f"`{node.operator}` needs values, not a block", node.span, hints=(hint,)))
    needs = "tensors" if node.operator == "@" else "numbers or tensors"
    raise ArchError(Diagnostic("S09", f"`{node.operator}` needs {needs}, not {kind_of(wrong)}", node.span))


def _tensor_binary(node: syntax.Binary, left: Value, right: Value, scope: Scope) -> Tensor:
    if node.operator == "@":
        if not isinstance(left, Tensor) or not isinstance(right, Tensor):
            raise ArchError(Diagnostic("S09", "`@` multiplies two tensors", node.span, hints=("`*` scales",)))
        return contract_last(left, right, node.span, scope)
    if node.operator == "%":
        raise ArchError(Diagnostic("S09", "`%` works on numbers, not on tensors", node.span))
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
        raise ArchError(Diagnostic("S07", "this hangs on a size that is not known yet", node.span))
    return value.value


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
