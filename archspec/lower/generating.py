"""The `generate` section: which result says what comes next, how it is chosen, and where to begin."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from archspec.diagnostics import ArchError, Diagnostic, Span, did_you_mean
from archspec.frontend import syntax
from archspec.ir.graph import Graph
from archspec.learning import decoding
from archspec.lower.expressions import evaluate
from archspec.lower.recipes import recipe
from archspec.lower.scope import Poisoned, Scope
from archspec.lower.settings import Settings
from archspec.lower.values import Num, Recipe, Text, kind_of
from archspec.records import record, replace

KEYS = ("next", "prompt", "length")
LONGEST = 1_000_000
USAGE = "next = sample(z, temperature=0.8)"
SETTINGS = Settings("`generate`", "G01", "settings, `name = value`", KEYS, (USAGE,))


@record
class Generation:
    """What `generate` says; None where it says nothing.

    `result` has the scores of what comes next. `prompt` is the text to begin with, `length` the most entries to add.
    """

    result: str | None = None
    rule: Recipe | None = None
    prompt: str | None = None
    length: int | None = None


def feeds(graph: Graph, result: str) -> tuple[str, ...]:
    """The inputs that a result's choices can be appended to: `ids[B,T]: V` for `z[B,T,V]`."""
    axes = graph.nodes[graph.outputs[result]].axes
    nodes = {name: graph.nodes[value] for name, value in graph.inputs.items()}
    return tuple(n for n, node in nodes.items() if len(node.axes) == 2 and node.of and (*node.axes, node.of) == axes)


def lower_generate(section: syntax.Section, scope: Scope, results: Iterable[str]) -> Generation:
    """What the section says of a model with these results. Mistakes are collected in the scope's context."""
    made, seen = Generation(), dict[str, Span]()
    for item in section.body:
        try:
            made = _statement(item, made, seen, scope, tuple(results))
        except (ArchError, Poisoned) as error:
            if isinstance(error, ArchError):
                scope.context.report(error)
    if "next" not in seen:
        scope.context.problems.append(Diagnostic("G01", "`generate` needs `next`", section.span, hints=(USAGE,)))
    return made


def result_of(section: syntax.Section) -> str | None:
    """The result that the section names, `z` of `next = sample(z)`."""
    for item in section.body:
        if isinstance(item, syntax.Assign) and item.targets[0].name == "next":
            named = _parted(item.value)[0]
            return named.id if named is not None else None
    return None


def _statement(
    item: syntax.Statement, made: Generation, seen: dict[str, Span], scope: Scope, results: tuple[str, ...]
) -> Generation:
    name, value = SETTINGS.read(item, seen)
    return _next(made, value, scope, results) if name == "next" else _SETTERS[name](made, value, scope)


# --- next --------------------------------------------------------------------------------------------------------


def _next(made: Generation, node: syntax.Expression, scope: Scope, results: tuple[str, ...]) -> Generation:
    named, rule = _parted(node)
    if named is None or rule is None:
        raise ArchError(Diagnostic("G02", "`next` chooses by a result of the model", node.span, hints=(USAGE,)))
    if named.id not in results:
        message = f"`{named.id}` is no result of the model"
        raise ArchError(Diagnostic("G02", message, named.span, hints=did_you_mean(named.id, results)))
    chosen = recipe(rule, decoding.KIND, scope)
    graph = scope.builder.graph()
    if not feeds(graph, named.id):
        shape = graph.nodes[graph.outputs[named.id]].shape
        message = f"what `{named.id}{shape}` says cannot be fed back: no input takes it"
        hint = "a model that says what comes next has an input such as ids[B,T]: V and a result z[B,T,V]"
        raise ArchError(Diagnostic("G03", message, named.span, hints=(hint,)))
    return replace(made, result=named.id, rule=chosen)


def _parted(node: syntax.Expression) -> tuple[syntax.Name | None, syntax.Expression | None]:
    """`sample(z, top_k=4)` and `z |> sample(top_k=4)`  ->  z, sample(top_k=4)"""
    if isinstance(node, syntax.Pipe) and isinstance(node.value, syntax.Name):
        return node.value, node.stage
    if isinstance(node, syntax.Call) and node.arguments:
        first, *others = node.arguments
        if first.name is None and isinstance(first.value, syntax.Name):
            return first.value, replace(node, arguments=tuple(others))
    return None, None


# --- the others --------------------------------------------------------------------------------------------------


def _prompt(made: Generation, node: syntax.Expression, scope: Scope) -> Generation:
    value = evaluate(node, scope)
    if not isinstance(value, Text):
        raise ArchError(Diagnostic("G02", f"`prompt` must be a text, not {kind_of(value)}", node.span, hints=('prompt = "…"',)))
    return replace(made, prompt=value.value)


def _length(made: Generation, node: syntax.Expression, scope: Scope) -> Generation:
    value = evaluate(node, scope)
    if not isinstance(value, Num) or not isinstance(value.value, int) or not 1 <= value.value <= LONGEST:
        shown = value.text if isinstance(value, Num) else kind_of(value)
        message = f"`length` must be a whole number from 1 to {LONGEST:,}, not {shown}"
        raise ArchError(Diagnostic("G02", message, node.span))
    return replace(made, length=value.value)


_SETTERS: dict[str, Callable[[Generation, syntax.Expression, Scope], Generation]] = {"prompt": _prompt, "length": _length}
