"""What an expression means: a number worked out now, or nodes added to the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archspec.diagnostics import ArchError, Diagnostic, Span
from archspec.frontend import syntax
from archspec.ir.graph import INT
from archspec.lower import arithmetic
from archspec.lower.align import combine, contract_last, open_number
from archspec.lower.builtins import BUILTINS, REDUCTIONS, bracket_builtin, call_builtin
from archspec.lower.calls import call_function, call_layer, is_grouped
from archspec.lower.copies import LAID_OUT, mark, may_be_equal, moved_on
from archspec.lower.frame import number_of, position_of
from archspec.lower.indexed import bound_scope
from archspec.lower.masks import mask_of
from archspec.lower.products import is_product, sum_of_product
from archspec.lower.recipes import refine
from archspec.lower.resolve import axis_number, decide, file_names, in_file, library_function, resolve
from archspec.lower.scope import Scope, join, unknown_name
from archspec.lower.subscripts import read_at, read_whole, spread_name, step_number, value_of_base
from archspec.lower.values import (
    Builtin,
    Function,
    IndexName,
    Items,
    Module,
    Num,
    Recipe,
    Series,
    SharedLayer,
    Step,
    Tensor,
    Text,
    Truth,
    Value,
    kind_of,
)
from archspec.records import replace

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
    if isinstance(value, Num) and value.size is not None:
        return open_number(value, node.span, scope)
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
    if value is None:
        return resolve(node.id, node.span, scope)
    if isinstance(value, IndexName):
        return Tensor(number_of(value, scope.builder))
    if isinstance(value, Step):
        return step_number(value, scope)
    if isinstance(value, Series):
        raise _bare_series(value, node.span)
    if isinstance(value, Tensor) and scope.frame is not None and scope.builder.node(value.value).axes:
        message = f"`{node.id}` {scope.builder.node(value.value).shape} needs subscripts in an index equation"
        raise ArchError(Diagnostic("S08", message, node.span, hints=("one index for each axis, as in x[b,i]",)))
    return value


def _bare_series(series: Series, span: Span) -> ArchError:
    t = series.step.name
    message = f"`{series.name}` changes from step to step of the loop over `{t}`"
    before = f", {series.name}[{t}{1 if series.step.is_reversed else -1:+d}] before it" if series.previous is not None else ""
    hint = f"{series.name}[{t}] is its value at this step{before}"
    return ArchError(Diagnostic("S13", message, span, hints=(hint,)))


def _attribute(node: syntax.Attribute, scope: Scope) -> Value:
    base = evaluate(node.value, scope)
    if isinstance(base, Module):
        found = in_file(node.attribute, base.file)
        if found is None:
            known = file_names(base.file)
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
    base = value_of_base(node.value, scope)
    if isinstance(base, Tensor | Series):
        _refuse_where(node)
        return read_at(base, node, scope) if scope.frame is not None else read_whole(base, node, scope)
    if not isinstance(base, Builtin | Function):
        hint = "a bracket reads a tensor, `x[b,i]`, or names the axes of an op, `mean[D](x)`"
        raise ArchError(Diagnostic("S09", f"{kind_of(base)} takes no bracket", node.span, hints=(hint,)))
    axes = tuple(number for i in node.indices for number in _bracket_axes(i, scope))
    if isinstance(base, Function):
        return replace(_with_axes(base, axes, node), mask=mask_of(node, scope))
    if node.where is not None and base.name not in REDUCTIONS:
        hint = f"reductions take one, {', '.join(REDUCTIONS)}, and blocks such as softmax"
        raise ArchError(Diagnostic("S04", f"`{base.name}` takes no condition", node.where.span, hints=(hint,)))
    return bracket_builtin(base, axes, mask_of(node, scope), node.span, scope)


def _refuse_where(node: syntax.Index) -> None:
    if node.where is not None:
        hint = "where(condition, a, b) chooses element by element"
        raise ArchError(Diagnostic("S13", "`where` in a bracket belongs to a reduction", node.where.span, hints=(hint,)))


def _bracket_axes(node: syntax.Expression, scope: Scope) -> tuple[Num, ...]:
    """What one entry of the bracket names; `..` names all the leading axes of the block around."""
    if not isinstance(node, syntax.Spread):
        return (_bracket_axis(node, scope),)
    axes = scope.leading(node.span)
    if scope.frame is not None:
        return tuple(_bracket_axis(syntax.Name(node.span, spread_name(k)), scope) for k in range(len(axes)))
    return tuple(Num(a.size.evaluate(scope.builder.sizes), a.size) for a in axes)


def _bracket_axis(node: syntax.Expression, scope: Scope) -> Num:
    """An axis or an index in the bracket of an op or a block."""
    if isinstance(node, syntax.Bound):
        node = syntax.Name(node.span, node.name)
    value = scope.find(node.id) if isinstance(node, syntax.Name) else None
    if isinstance(value, Step):
        message = f"`{value.name}` is the index of the loop: at each step there is one of it"
        raise ArchError(Diagnostic("S13", message, node.span, hints=("reduce after the loop",)))
    return axis_number(node, scope)


def _with_axes(function: Function, axes: tuple[Num, ...], node: syntax.Index) -> Function:
    takes = len(function.block.axes)
    if len(axes) != takes and not is_grouped(function.block):
        count = f"{takes or 'no'} ax{'i' if takes == 1 else 'e'}s"
        message = f"`{function.block.name}` takes {count} in a bracket and receives {len(axes)}"
        raise ArchError(Diagnostic("S04", message, node.span))
    return replace(function, axes=axes)


def _call(node: syntax.Call, scope: Scope) -> Value:
    inner = bound_scope(node, scope)
    function = evaluate(node.function, inner)
    if _is_sum_of_product(function, node, inner):
        assert isinstance(function, Builtin)
        result: Value = sum_of_product(function, node.arguments[0].value, inner)
    else:
        result = call(function, node, inner, None)
    if inner.frame is not None and scope.frame is None:
        _close(result, node, inner)
    return result


def _is_sum_of_product(function: Value, node: syntax.Call, scope: Scope) -> bool:
    """Whether this is the sum of a product over indices, which is contracted."""
    if not isinstance(function, Builtin) or function.name not in ("sum", "mean") or scope.frame is None:
        return False
    arguments, known = node.arguments, {axis.size for axis in scope.frame.axes}
    if not function.axes or not {number.size for number in function.axes} <= known:
        return False
    return len(arguments) == 1 and not arguments[0].name and is_product(arguments[0].value)


def _close(result: Value, node: syntax.Call, scope: Scope) -> None:
    """Ends the indices of a reduction that stands in an equation of whole tensors: none of them is left."""
    assert scope.frame is not None
    axes = scope.builder.node(result.value).axes if isinstance(result, Tensor) else ()
    for index in (i for i in scope.frame.known.values() if i.axis in axes):
        message = f"the index `{index.name}` is left over in an equation without indices on the left"
        raise ArchError(Diagnostic("S08", message, node.span, hints=(f"name it on the left: y[{index.name}] = …",)))
    scope.frame.close()


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
    if name in BUILTINS or in_file(name, scope.file) or library_function(name):
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
    marks, context = [mark(value.value, scope.context)], scope.context

    def path(i: int) -> str:
        return f"repeat_{prefix}/{i}" if prefix else str(i)

    for i in range(copies):
        if i == LAID_OUT and may_be_equal(node, scope):
            last = moved_on(marks, lambda i: join(scope.path, path(i)), copies, context)
            if last is not None:
                return Tensor(last)
        copy = scope.child(path(i))
        if node.index is not None:
            copy.define(node.index, Num.integer(i), node.span)
        try:
            for stage in node.body:
                value = feed(value, stage, copy)
        except ArchError as error:
            raise _in_copy(error, i, copies) from None
        marks.append(mark(value.value, context))
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
    if node.operator in ("==", "!="):
        left, right = _as_integer(left, node.left, right, scope), _as_integer(right, node.right, left, scope)
    if isinstance(left, Tensor) or isinstance(right, Tensor):
        return _tensor_binary(node, left, right, scope)
    if node.operator in ("and", "or"):
        return arithmetic.logic(node.operator, left, right, node.span)
    if node.operator in ("==", "!=", "<", "<=", ">", ">="):
        return arithmetic.compare(node.operator, left, right, node.span)
    if isinstance(left, Num) and isinstance(right, Num) and node.operator != "@":
        number = arithmetic.number_arithmetic(node.operator, left, right, node.span, scope.context.ragged)
        return _registered(number, scope)
    raise _no_operand(node, left, right, *(() if node.operator == "@" else (Num,)))


def _as_integer(value: Value, node: syntax.Expression, other: Value, scope: Scope) -> Value:
    """An index that is compared with a tensor of indices is one of them too: `y[b] == k`."""
    index = scope.find(node.id) if isinstance(node, syntax.Name) else None
    if isinstance(index, IndexName) and isinstance(other, Tensor) and scope.builder.node(other.value).dtype == INT:
        return Tensor(position_of(index, scope.builder))
    return value


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
        if scope.frame is not None:
            hint = "write the sum: sum[d](x[b,d] * W[d,h])"
            raise ArchError(Diagnostic("S13", "`@` is for whole tensors, not for an index equation", node.span, hints=(hint,)))
        return contract_last(left, right, node.span, scope)
    if not isinstance(left, Tensor | Num | Truth) or not isinstance(right, Tensor | Num | Truth):
        raise _no_operand(node, left, right, Tensor, Num, Truth)
    if node.operator in ("/", "%") and isinstance(right, Num) and right.value == 0:
        raise ArchError(Diagnostic("S07", "division by zero", node.span))
    if node.operator == "^" and isinstance(right, Num) and right.value == 2:
        return combine("square", [left], node.span, scope)
    if node.operator == "%":
        whole = combine("floor", [combine("divide", [left, right], node.span, scope)], node.span, scope)
        return combine("subtract", [left, combine("multiply", [right, whole], node.span, scope)], node.span, scope)
    return combine(OPS_BY_SIGN[node.operator], [left, right], node.span, scope)


def _conditional(node: syntax.Conditional, scope: Scope) -> Value:
    return evaluate(node.then if decide(node.condition, scope) else node.otherwise, scope)


def _spread(node: syntax.Spread, scope: Scope) -> Value:
    raise ArchError(Diagnostic("S08", "`..` stands for leading axes in a signature only", node.span))


def _stray_group(node: syntax.Group, scope: Scope) -> Value:
    message = f"`{node.id}..` stands for several axes in a signature only"
    raise ArchError(Diagnostic("S08", message, node.span, hints=(f"in the body they are one axis, `{node.id}`",)))


def _stray_bound(node: syntax.Bound, scope: Scope) -> Value:
    message = f"`{node.name} in …` stands on the left of an equation or in the bracket of a reduction"
    raise ArchError(Diagnostic("S08", message, node.span, hints=(f"y[{node.name} in P] = …, sum[{node.name} in P](…)",)))


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
    syntax.Group: _stray_group,
    syntax.Bound: _stray_bound,
}
