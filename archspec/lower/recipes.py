"""Named choices with arguments: initialisers, optimisers, schedules, clipping, stopping. Checked against their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from archspec.diagnostics import ArchError, Diagnostic, Span, did_you_mean
from archspec.frontend import syntax
from archspec.learning import initializers, optimizers, schedules
from archspec.learning.recipes import RECIPES, REQUIRED, Parameter, RecipeType, names
from archspec.lower.scope import Scope
from archspec.lower.values import Num, Recipe, Text, Truth, Value, kind_of

INITIALIZER, OPTIMIZER, SCHEDULE = initializers.KIND, optimizers.KIND, schedules.KIND
FIGURE = "figure"
Named = Mapping[str, tuple[Value, syntax.Argument]]


def is_initializer(name: str) -> bool:
    return (INITIALIZER, name) in RECIPES


def kind_elsewhere(name: str) -> str | None:
    """`an optimizer`, where `name` is one: it means something in `train` alone."""
    return next((_a(kind) for kind, known in RECIPES if known == name), None)


def initializer_names() -> tuple[str, ...]:
    return names(INITIALIZER)


def unknown_initializer(name: str, span: Span) -> ArchError:
    """The error for a name after `~` that means nothing; the hint knows what other libraries call ours."""
    ours = initializers.OTHER_NAMES.get(name.lower().rstrip("_"))
    hints = (f"it is called `{ours}` here",) if ours else did_you_mean(name, initializer_names())
    usual = ("such as glorot, he, orthogonal, zeros or normal(std=0.02)",)
    return ArchError(Diagnostic("S01", f"unknown initializer `{name}`", span, hints=hints or usual))


def initializer_named(name: str, span: Span) -> Recipe:
    """An initialiser with its default arguments."""
    return _complete(RECIPES[INITIALIZER, name], {}, span)


def recipe(node: syntax.Expression, kind: str, scope: Scope) -> Recipe:
    """`adam`, `adam(lr=1e-3)` or, for schedules, `warmup(200) |> cosine`: a choice of one kind."""
    if isinstance(node, syntax.Pipe):
        first, second = recipe(node.value, kind, scope), recipe(node.stage, kind, scope)
        return Recipe(kind, first.name, first.arguments, first.span, (*first.then, second))
    name_node = node.function if isinstance(node, syntax.Call) else node
    if not isinstance(name_node, syntax.Name):
        raise ArchError(Diagnostic("T02", f"the name of {_a(kind)} is needed here", node.span, hints=_known(kind)))
    if (kind, name_node.id) not in RECIPES:
        hints = did_you_mean(name_node.id, names(kind))
        raise ArchError(Diagnostic("T02", f"unknown {kind} `{name_node.id}`", name_node.span, hints=hints))
    kind_type = RECIPES[kind, name_node.id]
    arguments = node.arguments if isinstance(node, syntax.Call) else ()
    return _complete(kind_type, _given(kind_type, arguments, scope), node.span)


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _known(kind: str) -> tuple[str, ...]:
    return (f"known: {', '.join(f'`{n}`' for n in names(kind))}",)


def _given(kind_type: RecipeType, arguments: Sequence[syntax.Argument], scope: Scope) -> dict[str, tuple[Value, Span]]:
    given: dict[str, tuple[Value, Span]] = {}
    order = iter(kind_type.parameters)
    for argument in arguments:
        name = argument.name if argument.name is not None else next(order, None)
        if name is None or name not in kind_type.parameters:
            raise _unknown_argument(kind_type, name, argument.span)
        if name in given:
            raise ArchError(Diagnostic("S04", f"`{name}` is given twice", argument.span))
        figure = _figure(argument.value) if name == FIGURE else None
        given[name] = (figure or scope.context.evaluate(argument.value, scope), argument.value.span)
    return given


def _figure(node: syntax.Expression) -> Text | None:
    """`validation.loss` names a figure of the run."""
    if isinstance(node, syntax.Attribute) and isinstance(node.value, syntax.Name):
        return Text(f"{node.value.id}.{node.attribute}")
    return Text(node.id) if isinstance(node, syntax.Name) else None


def _unknown_argument(kind_type: RecipeType, name: str | None, span: Span) -> ArchError:
    takes = ", ".join(kind_type.parameters) or "no arguments"
    if name is None:
        count = len(kind_type.parameters)
        message = f"`{kind_type.name}` takes {f'at most {count}' if count else 'no'} argument{'s' * (count != 1)}"
        return ArchError(Diagnostic("S04", message, span, hints=(f"it takes: {takes}",) if count else ()))
    message = f"`{kind_type.name}` has no argument `{name}`"
    return ArchError(Diagnostic("S04", message, span, hints=did_you_mean(name, kind_type.parameters)))


def refine(base: Recipe, positional: Sequence[tuple[Value, Span]], named: Named, where: Span) -> Recipe:
    """`normal(std=0.02)`: a recipe with arguments in place of its defaults."""
    kind_type = RECIPES[base.kind, base.name]
    order = list(kind_type.parameters)
    if len(positional) > len(order):
        raise _unknown_argument(kind_type, None, where)
    given = dict(zip(order, positional, strict=False))
    for name, (value, argument) in named.items():
        if name not in kind_type.parameters:
            raise _unknown_argument(kind_type, name, argument.span)
        if name in given:
            raise ArchError(Diagnostic("S04", f"`{name}` is given twice", argument.span))
        given[name] = (value, argument.value.span)
    return _complete(kind_type, given, where)


def complete(kind: str, name: str) -> Recipe:
    """A choice with its default arguments, which nobody wrote."""
    defaults: dict[str, Any] = {n: p.default for n, p in RECIPES[kind, name].parameters.items()}
    return Recipe(kind, name, defaults)


def _complete(kind_type: RecipeType, given: Mapping[str, tuple[Value, Span]], span: Span) -> Recipe:
    arguments: dict[str, Any] = {}
    for name, parameter in kind_type.parameters.items():
        if name in given:
            arguments[name] = _checked(kind_type, name, parameter, *given[name])
        elif parameter.default is REQUIRED:
            raise ArchError(Diagnostic("S04", f"`{kind_type.name}` needs `{name}`", span, hints=(_usage(kind_type),)))
        else:
            arguments[name] = parameter.default
    if "low" in arguments and arguments["low"] > arguments["high"]:
        low, high = arguments["low"], arguments["high"]
        raise _bad(kind_type, "low", f"at most `high` = {high:g}", f"{low:g}", given["low"][1] if "low" in given else span)
    return Recipe(kind_type.kind, kind_type.name, arguments, span)


def _usage(kind_type: RecipeType) -> str:
    parts = [n if p.default is REQUIRED else f"{n}={_shown(p.default)}" for n, p in kind_type.parameters.items()]
    return f"{kind_type.name}({', '.join(parts)}): {kind_type.doc}"


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _checked(kind_type: RecipeType, name: str, parameter: Parameter, value: Value, span: Span) -> float | int | bool | str:
    if isinstance(parameter.default, bool):
        if not isinstance(value, Truth) or value.value is None:
            raise _bad(kind_type, name, "true or false", kind_of(value), span)
        return value.value
    if name == FIGURE:
        if not isinstance(value, Text) or "." not in value.value:
            found = f"`{value.value}`" if isinstance(value, Text) else kind_of(value)
            raise _bad(kind_type, name, "a figure such as validation.loss", found, span)
        return value.value
    if not isinstance(value, Num) or value.value is None:
        raise _bad(kind_type, name, "a number", kind_of(value), span)
    refusal = parameter.refusal(value.value)
    if refusal:
        raise _bad(kind_type, name, refusal, f"{value.value}", span)
    return int(value.value) if parameter.integer else float(value.value)


def _bad(kind_type: RecipeType, name: str, needed: str, found: str, span: Span) -> ArchError:
    message = f"`{name}` of `{kind_type.name}` must be {needed}, not {found}"
    return ArchError(Diagnostic("S07", message, span, hints=(_usage(kind_type),)))
