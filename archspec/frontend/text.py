"""The tree as text in canonical form: `parse(text(tree)) == tree`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from archspec.frontend import syntax as s
from archspec.frontend.layout import lay_out


def text(node: s.Node | s.File) -> str:
    """Any node in canonical form. A statement with a body takes several lines; there is no line break at the end."""
    if isinstance(node, s.Argument | s.SettingParameter):
        # In parentheses, because `=` is set without spaces only there.
        return lay_out(f"({_raw(node)})")[1:-2]
    return lay_out(_raw(node)).removesuffix("\n")


def print_file(file: s.File) -> str:
    """A whole file in canonical form, with an empty line around each block and section."""
    return lay_out(_file(file))


# --- expressions -------------------------------------------------------------------------------------------------

# How tightly an expression binds, and how tightly its parts must bind to stand without parentheses.
EXPRESSION, STAGE, CHOICE, EITHER, BOTH, NEGATION, COMPARISON, SUM, PRODUCT, SIGNED, POWER, OPERAND, PLACE = range(13)

_BINARY = {
    "or": (EITHER, EITHER, BOTH),
    "and": (BOTH, BOTH, NEGATION),
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), (COMPARISON, SUM, SUM)),
    **dict.fromkeys(("+", "-"), (SUM, SUM, PRODUCT)),
    **dict.fromkeys(("*", "/", "%", "@"), (PRODUCT, PRODUCT, SIGNED)),
    "^": (POWER, OPERAND, SIGNED),
}

_LEVELS: dict[type, int] = {
    s.Pipe: EXPRESSION,
    s.Repeat: STAGE,
    s.Conditional: CHOICE,
    s.Number: OPERAND,
    s.String: OPERAND,
    s.Boolean: OPERAND,
    s.List: OPERAND,
}


def _level(node: s.Expression) -> int:
    if isinstance(node, s.Binary):
        return _BINARY[node.operator][0]
    if isinstance(node, s.Unary):
        return NEGATION if node.operator == "not" else SIGNED
    if isinstance(node, s.Number) and _number(node).startswith("-"):
        return SIGNED
    return _LEVELS.get(type(node), PLACE)


def _at(level: int, node: s.Expression) -> str:
    """`node` where only what binds as tightly as `level` may stand bare."""
    return _raw(node) if _level(node) >= level else f"({_raw(node)})"


def _number(node: s.Number) -> str:
    """`3`, `0.001`, `1e-5`."""
    return repr(node.value).replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def _string(node: s.String) -> str:
    value = node.value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + value.replace("\n", "\\n").replace("\t", "\\t") + '"'


def _unary(node: s.Unary) -> str:
    level = NEGATION if node.operator == "not" else SIGNED
    return f"{node.operator} {_at(level, node.operand)}"


def _binary(node: s.Binary) -> str:
    _, left, right = _BINARY[node.operator]
    return f"{_at(left, node.left)} {node.operator} {_at(right, node.right)}"


def _conditional(node: s.Conditional) -> str:
    then, condition = _at(EITHER, node.then), _at(EITHER, node.condition)
    return f"{then} if {condition} else {_at(CHOICE, node.otherwise)}"


def _index(node: s.Index) -> str:
    where = f" where {_raw(node.where)}" if node.where else ""
    return f"{_at(PLACE, node.value)}[{_commas(node.indices)}{where}]"


def _stage(node: s.Expression) -> str:
    """A part of a pipe. A choice could stand bare, but `x |> f if c else g` is easily misread."""
    return _at(EITHER if isinstance(node, s.Conditional) else STAGE, node)


def _pipe(node: s.Pipe) -> str:
    value = _raw(node.value) if isinstance(node.value, s.Pipe) else _stage(node.value)
    return f"{value} |> {_stage(node.stage)}"


def _repeat(node: s.Repeat) -> str:
    index = f"{node.index} in " if node.index else ""
    stages = " |> ".join(_stage(stage) for stage in node.body)
    return f"repeat {index}{_raw(node.count)} {{ {stages} }}"


# --- parts of statements -----------------------------------------------------------------------------------------


def _commas(nodes: Iterable[s.Node]) -> str:
    return ", ".join(_raw(node) for node in nodes)


def _axes(axes: Iterable[s.Expression] | None) -> str:
    return "" if axes is None else f"[{_commas(axes)}]"


def _option(mark: str, node: s.Node | None) -> str:
    """An optional part after its mark."""
    return f" {mark} {_raw(node)}" if node else ""


def _body(statements: Iterable[s.Statement]) -> str:
    return "{\n" + "".join(f"{_raw(statement)}\n" for statement in statements) + "}"


def _block(node: s.Block) -> str:
    axes = f"[{_commas(node.axes)}]" if node.axes else ""
    parameters = _commas((*node.tensors, *node.settings))
    return f"{node.kind} {node.name}{axes}({parameters}) -> {_commas(node.results)} {_body(node.body)}"


def _if(node: s.If) -> str:
    head = f"if {_raw(node.condition)} {_body(node.then)}"
    if len(node.otherwise) == 1 and isinstance(node.otherwise[0], s.If):
        return f"{head} else {_if(node.otherwise[0])}"
    return f"{head} else {_body(node.otherwise)}" if node.otherwise else head


def _over(node: s.Over) -> str:
    words = " reversed" * node.is_reversed + " carry" * node.carry
    return f"over {node.index} in {_raw(node.axis)}{words} {_body(node.body)}"


def _file(node: s.File) -> str:
    """The items, those with a body set apart by empty lines."""
    lines = ""
    for previous, item in zip((None, *node.items), node.items, strict=False):
        apart = previous and isinstance(item, s.Block | s.Section) | isinstance(previous, s.Block | s.Section)
        lines += "\n" * bool(apart) + _raw(item) + "\n"
    return lines


_PRINTERS: dict[type, Callable[[Any], str]] = {
    s.Argument: lambda n: f"{n.name} = {_raw(n.value)}" if n.name else _raw(n.value),
    s.Assign: lambda n: f"{_commas(n.targets)} = {_raw(n.value)}",
    s.Attribute: lambda n: f"{_at(PLACE, n.value)}.{n.attribute}",
    s.Binary: _binary,
    s.Binding: lambda n: f"{n.name} = {_raw(n.value)}{_option('~', n.search)}",
    s.Block: _block,
    s.Boolean: lambda n: "true" if n.value else "false",
    s.Bound: lambda n: f"{n.name} in {_raw(n.axis)}",
    s.Call: lambda n: f"{_at(PLACE, n.function)}({_commas(n.arguments)})",
    s.Conditional: _conditional,
    s.Dim: lambda n: f"dim {_commas(n.entries)}",
    s.DimEntry: lambda n: f"{n.name}{'?' * n.ragged}{_option('=', n.value)}",
    s.File: _file,
    s.Group: lambda n: f"{n.id}..",
    s.If: _if,
    s.Import: lambda n: f"import {_raw(n.path)}{f' as {n.alias}' if n.alias else ''}",
    s.Index: _index,
    s.Layer: lambda n: f"layer {n.name} = {_raw(n.value)}",
    s.Let: lambda n: f"let {_commas(n.bindings)}",
    s.List: lambda n: f"[{_commas(n.items)}]",
    s.Name: lambda n: str(n.id),
    s.Number: _number,
    s.Over: _over,
    s.Pipe: _pipe,
    s.Repeat: _repeat,
    s.Require: lambda n: f"require {_raw(n.condition)}{_option(':', n.message)}",
    s.Rule: lambda n: f"{_raw(n.pattern)} {_body(n.body)}",
    s.Section: lambda n: f"{n.kind} {_body(n.body)}",
    s.SettingParameter: lambda n: f"{n.name}{'..' * n.is_group}{_option('=', n.default)}",
    s.Spread: lambda n: "..",
    s.State: lambda n: f"state {_commas(n.entries)}",
    s.StateEntry: lambda n: f"{n.name}{_axes(n.axes)} = {_raw(n.initial)}",
    s.String: _string,
    s.Target: lambda n: f"{n.name}{_axes(n.indices)}{_option(':', n.of)}",
    s.TensorDeclaration: lambda n: f"{n.name}{_axes(n.axes)}{_option(':', n.of)}",
    s.Unary: _unary,
    s.Weight: lambda n: f"weight {n.name}{_axes(n.axes)}{_option('~', n.initializer)}{' frozen' * n.frozen}",
}


def _raw(node: s.Node | s.File) -> str:
    """`node` with the right tokens and parentheses; the spaces are for `lay_out` to set."""
    return _PRINTERS[type(node)](node)
