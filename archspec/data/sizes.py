"""Sizes of axes, bound by data and held against what the spec declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from archspec.data.dataset import Field
from archspec.data.fields import Axis, FieldDraft
from archspec.data.problems import Problems, counted, problem, quoted


@dataclass(frozen=True)
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
            if field.array.ndim == 2:
                columns = field.array.shape[1]
                _bind(draft.axes[1], _Count(columns, f"{quoted(field.name)} has {counted(columns, 'column')}"), bound)
            if draft.of is not None and draft.of.name in classes:
                count = len(classes[draft.of.name])
                of = replace(draft.of, size=None)  # held against its declaration where the classes were counted
                _bind(of, _Count(count, f"the labels of {quoted(field.name)} have {count:,} classes"), bound)
    return {name: count.size for name, count in bound.items() if not name.isdigit()}


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
