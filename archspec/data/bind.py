"""From a `data` section to a dataset.

section ── read_section ──▶ draft ── load ──▶ rows ── classes, parts ──▶ fit ──▶ fields ── sizes ──▶ Dataset
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archspec.data.cells import look_up
from archspec.data.dataset import Dataset, Field, load_columns, shaped
from archspec.data.fields import FieldDraft
from archspec.data.files import Folder
from archspec.data.fit import evaluate_field, feature_names
from archspec.data.labels import bind_classes, with_classes
from archspec.data.problems import Problems, counted, listed, problem, quoted
from archspec.data.recipe import Labels, leaves
from archspec.data.section import Draft, read_section
from archspec.data.sizes import bind_sizes
from archspec.data.splits import divide
from archspec.data.tables import Rows
from archspec.data.values import Split
from archspec.frontend import syntax


def bind(
    section: syntax.Section,
    dims: Mapping[str, int | None],
    settings: Mapping[str, object],
    folder: Path,
    allow: Sequence[Path] = (),
    seed: int = 0,
) -> Dataset:
    """The data that `section` describes.

    dims      the declared axes, with their sizes where the spec fixes them
    settings  values of the spec's `let`s
    folder    where the spec lies; files are read from it and from the folders in `allow` alone
    seed      what random splits depend on

    Raises ArchError with every mistake found.
    """
    problems = Problems()
    draft = read_section(section, dims, settings, Folder(folder, tuple(allow)), problems)
    sources = _load(draft, problems)
    drafts = [field for field in draft.fields if all(leaf.source in sources for leaf in leaves(field.recipe))]
    if not drafts:
        problems.stop_if_any()
    _check_lengths(draft, sources, problems)
    classes = bind_classes(drafts, sources, problems)
    drafts = [with_classes(field, classes) for field in drafts if field.of is None or field.of.name in classes]
    parts = _parts(draft.split, drafts, sources, seed, problems)
    fields = _fields(drafts, sources, parts["train"], problems)
    sizes = bind_sizes(drafts, fields, classes, problems)
    problems.stop_if_any()
    layouts = {name: source.tables["train"].file.layout for name, source in draft.sources.items() if name in sources}
    return Dataset(tuple(fields), parts, sizes, classes, _length(sources), fields[0].axes[0], layouts)


def _load(draft: Draft, problems: Problems) -> dict[str, Rows]:
    """The rows of each source that a field uses."""
    recipes = [field.recipe for field in draft.fields]
    used = {leaf.source for recipe in recipes for leaf in leaves(recipe)}
    rows = {}
    for name, source in draft.sources.items():
        if name in used:
            with problems.collecting():
                rows[name] = load_columns(name, source.tables, recipes)
    return rows


def _check_lengths(draft: Draft, sources: Mapping[str, Rows], problems: Problems) -> None:
    """Stop where sources disagree on the rows of a part, as nothing can be made from both."""
    first, *others = sources
    for other in others:
        with problems.collecting():
            if sources[first].lengths != sources[other].lengths:
                sides = [f"{quoted(name)} has {_rows_of(sources[name])}" for name in (first, other)]
                hint = "row by row they must belong together"
                raise problem("D22", ", ".join(sides), draft.sources[other].span, hints=[hint])
    if any(found.code == "D22" for found in problems.found):
        problems.stop_if_any()


def _rows_of(rows: Rows) -> str:
    if len(rows.lengths) == 1:
        return counted(len(rows), "row")
    return " and ".join(f"{count:,} to {part}" for part, count in rows.lengths.items())


def _length(sources: Mapping[str, Rows]) -> int:
    return len(next(iter(sources.values())))


# --- parts -------------------------------------------------------------------------------------------------------


def _parts(
    split: Split | None, drafts: Sequence[FieldDraft], sources: Mapping[str, Rows], seed: int, problems: Problems
) -> dict[str, NDArray[np.int64]]:
    """The rows of each part: the files that parts have of their own, and the training file divided."""
    lengths = next(iter(sources.values())).lengths
    ends = np.cumsum(list(lengths.values()))
    parts = {part: np.arange(end - lengths[part], end) for part, end in zip(lengths, ends, strict=True)}
    if split is not None:
        with problems.collecting():
            for part in lengths:
                if split.settings.get(part) is not None:
                    raise problem("D21", f"{quoted(part)} has a file of its own, and the split asks for it too", split.span)
            groups = _groups(split, drafts, sources, lengths["train"])
            parts |= divide(split, lengths["train"], groups, seed)
    return {part: parts[part] for part in ("train", "validation", "test") if part in parts}


def _groups(split: Split, drafts: Sequence[FieldDraft], sources: Mapping[str, Rows], rows: int) -> NDArray[np.int64] | None:
    """(rows,) int64: the class of each row where the split keeps shares of them equal; else None."""
    if not split.settings.get("stratify"):
        return None
    recipes = [draft.recipe for draft in drafts if isinstance(draft.recipe, Labels)]
    if len(recipes) != 1:
        message = f"`stratify` needs one field of labels, and there are {len(recipes)}"
        raise problem("D21", message, split.span, hints=["such as `y[B]: K = …`"])
    column = sources[recipes[0].source].categories[recipes[0].column]
    return look_up(column, recipes[0].classes)[:rows]


# --- fields ------------------------------------------------------------------------------------------------------


def _fields(
    drafts: Sequence[FieldDraft], sources: Mapping[str, Rows], train: NDArray[np.int64], problems: Problems
) -> list[Field]:
    fields = []
    for draft in drafts:
        with problems.collecting():
            fields.append(_field(draft, sources, train))
    return fields


def _field(draft: FieldDraft, sources: Mapping[str, Rows], train: NDArray[np.int64]) -> Field:
    recipe, values = evaluate_field(draft.recipe, sources, train)
    axes = tuple(axis.name for axis in draft.axes)
    if values.ndim == 2 and len(axes) == 1 and values.shape[1] != 1:
        message = f"`{draft.name}[{axes[0]}]` is one number for each row, but there are {values.shape[1]:,} columns"
        hint = f"name the axis of the columns: `{draft.name}[{axes[0]},F]`"
        raise problem("D08", message, draft.span, notes=[f"the columns: {listed(feature_names(recipe))}"], hints=[hint])
    of = draft.of.name if draft.of else None
    return Field(draft.name, axes, of, shaped(values, len(axes)), draft.span, recipe)
