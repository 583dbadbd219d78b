"""Classes: the names behind the values of `y[B]: K`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from archspec.data.cells import category_names, parse_number, parse_whole
from archspec.data.fields import FieldDraft
from archspec.data.problems import Problems, counted, listed, problem, quoted
from archspec.data.recipe import Labels
from archspec.data.tables import Rows
from archspec.records import replace


def bind_classes(drafts: Sequence[FieldDraft], sources: Mapping[str, Rows], problems: Problems) -> dict[str, tuple[str, ...]]:
    """For each axis of labels the names of its classes in index order, from all rows of all fields over it.

    Whole numbers go by size, so labels that are 0..K-1 keep their meaning; else texts go by code point.
    """
    classes: dict[str, tuple[str, ...]] = {}
    for axis in dict.fromkeys(draft.of.name for draft in drafts if draft.of and isinstance(draft.recipe, Labels)):
        over = [draft for draft in drafts if draft.of and draft.of.name == axis]
        with problems.collecting():
            classes[axis] = _names(over, sources)
            check_count(over[0], classes[axis], "labels are of", "class")
    return classes


def with_classes(drafts: Sequence[FieldDraft], classes: Mapping[str, tuple[str, ...]]) -> list[FieldDraft]:
    """`drafts` with the names of the classes in the recipes of labels; without those whose classes are not known."""
    return [fitted for draft in drafts if (fitted := _with_classes(draft, classes))]


def _with_classes(draft: FieldDraft, classes: Mapping[str, tuple[str, ...]]) -> FieldDraft | None:
    if draft.of is None or not isinstance(draft.recipe, Labels):
        return draft
    names = classes.get(draft.of.name)
    return replace(draft, recipe=replace(draft.recipe, classes=names)) if names is not None else None


def _names(drafts: Sequence[FieldDraft], sources: Mapping[str, Rows]) -> tuple[str, ...]:
    texts: set[str] = set()
    for draft in drafts:
        if isinstance(draft.recipe, Labels):
            texts.update(sources[draft.recipe.source].labels(draft.recipe.column).values)
    if all(parse_number(text) is not None for text in texts):
        for draft in drafts:
            _check_whole(draft, sources)
    return category_names(texts)


def _check_whole(draft: FieldDraft, sources: Mapping[str, Rows]) -> None:
    """Numbers with a fraction measure something; they are no labels."""
    if not isinstance(draft.recipe, Labels):
        return
    rows = sources[draft.recipe.source]
    column = rows.labels(draft.recipe.column)
    for code, text in enumerate(column.values):
        if parse_whole(text) is None:
            place = rows.place_of(draft.recipe.column, int(np.flatnonzero(column.codes == code)[0]))
            message = f"labels are whole numbers or texts, and column {quoted(draft.recipe.column)} holds {text}"
            hints = [f"if it is a quantity to predict: `{draft.name}[{draft.axes[0].name}] = …`, without `: …`"]
            raise problem("D19", message, draft.recipe.span, notes=[f"it is on {place}"], hints=hints)


def check_count(draft: FieldDraft, names: Sequence[str], what: str, noun: str) -> None:
    """Raises where the axis that values index is declared with another size than it has names."""
    axis = draft.of
    if axis is None or axis.size is None or axis.size == len(names):
        return
    message = f"{quoted(axis.name)} has the size {axis.size:,}, but the {what} {counted(len(names), noun)}"
    notes = [_shown(names)] if noun == "class" else []
    raise problem("D20", message, axis.span, notes=notes, hints=_hint(axis.name))


def _shown(names: Iterable[str]) -> str:
    return f"the labels: {listed(names, 12)}"


def _hint(axis: str) -> list[str]:
    return [] if axis.isdigit() else [f"declare it without a size, `dim {axis}`, and the data bind it"]
