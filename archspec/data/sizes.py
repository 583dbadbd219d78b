"""Sizes of axes, bound by data and held against what the spec declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archspec.data.dataset import Field
from archspec.data.fields import Axis, FieldDraft
from archspec.data.problems import Problems, counted, problem, quoted
from archspec.data.ragged import Ragged
from archspec.data.recipe import Encoded, Labels
from archspec.records import record, replace


@record
class _Count:
    """A size, and where it comes from as a message says it."""

    size: int
    origin: str


def bind_sizes(
    drafts: Sequence[FieldDraft],
    fields: Sequence[Field],
    classes: Mapping[str, tuple[str, ...]],
    problems: Problems,
) -> dict[str, int]:
    """The size of every named axis of the fields but the batch: its columns or its classes."""
    bound: dict[str, _Count] = {}
    axes = {draft.name: draft for draft in drafts}
    for field in fields:
        draft = axes[field.name]
        with problems.collecting():
            for axis, size in zip(draft.axes[1:], _shape(field)[1:], strict=True):
                if not axis.ragged:
                    _bind(axis, _Count(size, _origin(field, size, axis)), bound)
            if draft.of is not None and draft.of.name in classes:
                count = len(classes[draft.of.name])
                of = replace(draft.of, size=None)  # held against its declaration where the classes were counted
                _bind(of, _Count(count, f"the labels of {quoted(field.name)} have {count:,} classes"), bound)
    return {name: count.size for name, count in bound.items() if not name.isdigit()}


def _shape(field: Field) -> tuple[int, ...]:
    """The sizes of a field's axes; 0 for a ragged one."""
    if isinstance(field.array, Ragged):
        return (len(field.array), 0, *field.array.values.shape[1:])
    return field.array.shape


def _origin(field: Field, size: int, axis: Axis) -> str:
    if isinstance(field.recipe, Encoded | Labels) or len(field.axes) > 2:
        return (
            f"{quoted(field.name)} has {size:,} there" if axis.name.isdigit() else f"{quoted(field.name)} has {size:,} along it"
        )
    return f"{quoted(field.name)} has {counted(size, 'column')}"


def _bind(axis: Axis, found: _Count, bound: dict[str, _Count]) -> None:
    """Add the size of `axis` to `bound`, unless it is known to be another one."""
    known = bound.setdefault(axis.name, found)
    if known.size != found.size:
        message = f"{quoted(axis.name)} is {known.size:,} and {found.size:,} at once: "
        raise problem("D09", message + f"{known.origin}, {found.origin}", axis.span)
    if axis.size is not None and axis.size != found.size:
        hints = [] if axis.name.isdigit() else [f"declare it without a size, `dim {axis.name}`, and the data bind it"]
        message = f"{quoted(axis.name)} has the size {axis.size:,}, but {found.origin}"
        raise problem("D09", message, axis.span, hints=hints)
