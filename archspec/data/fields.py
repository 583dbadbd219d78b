"""Fields as a spec declares them: `x[B,F] = …` and `y[B]: K = …`."""

from __future__ import annotations

from collections.abc import Mapping

from archspec.data.problems import problem, quoted
from archspec.data.recipe import Encoded, Labels, Recipe
from archspec.data.values import Selection, Source, Value, as_columns, describe
from archspec.diagnostics import Span, did_you_mean, nearest
from archspec.frontend import syntax
from archspec.records import field, record


@record
class Axis:
    """An axis of a field; a number in its place is its own name. `size` is None until data bind it.

    ragged  rows differ in length along it
    """

    name: str
    size: int | None
    span: Span = field(compare=False, repr=False)
    ragged: bool = False


@record
class FieldDraft:
    """`x[B,F] = …`, its recipe not yet fitted. `of` is the axis that the values of `y[B]: K` index."""

    name: str
    axes: tuple[Axis, ...]
    of: Axis | None
    recipe: Recipe
    span: Span = field(compare=False, repr=False)


def draft_field(
    target: syntax.Target,
    indices: tuple[syntax.Expression, ...],
    value: Value,
    span: Span,
    dims: Mapping[str, int | None],
    ragged: frozenset[str] = frozenset(),
) -> FieldDraft:
    """The field that `target` declares, made from `value`, which stands at `span`."""
    axes = tuple(_axis(node, dims, ragged) for node in indices)
    of = None if target.of is None else _axis(target.of, dims, ragged)
    _check_axes(target, axes, of)
    recipe = _numbers(target.name, value, span) if of is None else _labels(target.name, value, span)
    return FieldDraft(target.name, axes, of, recipe, target.span)


def _axis(node: syntax.Expression, dims: Mapping[str, int | None], ragged: frozenset[str]) -> Axis:
    match node:
        case syntax.Name(id=name) if name in dims or name in ragged:
            return Axis(name, dims.get(name), node.span, name in ragged)
        case syntax.Name(id=name):
            hints = did_you_mean(name, dims) if nearest(name, dims) else (f"declare it: `dim {name}`",)
            raise problem("D08", f"unknown axis {quoted(name)}", node.span, hints=hints)
        case syntax.Number(value=int(size)) if size > 0:
            return Axis(str(size), size, node.span)
    raise problem("D08", "an axis is a name or a whole number", node.span)


def _check_axes(target: syntax.Target, axes: tuple[Axis, ...], of: Axis | None) -> None:
    seen: set[str] = set()
    for axis in (*axes, *([of] if of else [])):
        if axis.name in seen:
            raise problem("D08", f"{quoted(target.name)} names the axis {quoted(axis.name)} twice", axis.span)
        seen.add(axis.name)
    if not axes:
        raise problem("D08", f"{quoted(target.name)} has no axis", target.span, hints=["the first is the batch"])
    for position, axis in enumerate((*axes, *([of] if of else []))):
        if axis.ragged and (position != 1 or axis is of):
            message = f"{quoted(axis.name)} is ragged, and only the second axis of a field can be"
            raise problem("D26", message, axis.span, hints=["the first axis is the batch, the second runs along each row"])


def check_table(draft: FieldDraft) -> None:
    """What a table gives has few axes."""
    limit = 1 if draft.of else 2
    if len(draft.axes) > limit:
        wanted = "one axis, the batch" if draft.of else "one axis, the batch, or two: the batch and its columns"
        raise problem("D08", f"{quoted(draft.name)} from a table has {wanted}", draft.span)


def _numbers(name: str, value: Value, span: Span) -> Recipe:
    if isinstance(value, Encoded):
        message = f"{quoted(name)} holds indices, and nothing says into which axis"
        raise problem("D25", message, span, hints=[f"name it: `{name}[B,T]: V`"])
    recipe = as_columns(value)
    if recipe is None:
        hints = ['pick its columns: `source["p*"]`'] if isinstance(value, Source) else []
        raise problem("D05", f"{quoted(name)} holds columns, not {describe(value)}", span, hints=hints)
    return recipe


def _labels(name: str, value: Value, span: Span) -> Labels | Encoded:
    if isinstance(value, Encoded):
        return value
    if not isinstance(value, Selection) or len(value.columns) != 1:
        message = f"{quoted(name)} holds labels, which come straight from one column, not from {describe(value)}"
        raise problem("D19", message, span)
    return Labels(value.span, value.source, value.columns[0])
