"""From a `data` section to a dataset.

section ── read_section ──▶ draft ── load ──▶ rows ── classes, parts, vocabularies ──▶ fit ──▶ fields ── sizes ──▶ Dataset
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archspec.data.cells import look_up
from archspec.data.columns import Tokens
from archspec.data.dataset import Dataset, Field, Origin, load_columns
from archspec.data.encode import (
    Cut,
    Segments,
    cut,
    rows_of,
    segments_of,
    skipgrams,
    window_parts,
    windows,
)
from archspec.data.encode import look_up as look_up_tokens
from archspec.data.fields import FieldDraft, check_table
from archspec.data.files import Folder
from archspec.data.fit import Values, evaluate_field
from archspec.data.labels import bind_classes, with_classes
from archspec.data.problems import Problems, counted, problem, quoted
from archspec.data.ragged import Ragged
from archspec.data.recipe import Encoded, Labels, leaves
from archspec.data.section import Draft, read_section
from archspec.data.shapes import check_lengths, shaped_as
from archspec.data.sizes import bind_sizes
from archspec.data.splits import divide
from archspec.data.tables import Rows
from archspec.data.values import Split
from archspec.data.vocabularies import check_spaces, of_axis, with_vocabularies
from archspec.frontend import syntax

Parts = dict[str, NDArray[np.int64]]


def bind(
    section: syntax.Section,
    dims: Mapping[str, int | None],
    settings: Mapping[str, object],
    folder: Path,
    allow: Sequence[Path] = (),
    seed: int = 0,
    ragged: frozenset[str] = frozenset(),
) -> Dataset:
    """The data that `section` describes.

    dims      the declared axes, with their sizes where the spec fixes them
    settings  values of the spec's `let`s
    folder    where the spec lies; files are read from it and from the folders in `allow` alone
    seed      what random splits and generators depend on
    ragged    the axes along which rows differ in length, `dim T?`

    Raises ArchError with every mistake found.
    """
    problems = Problems()
    draft = read_section(section, dims, settings, Folder(folder, tuple(allow)), problems, ragged)
    sources = _load(draft, seed, problems)
    drafts = [field for field in draft.fields if all(leaf.source in sources for leaf in leaves(field.recipe))]
    drafts = _checked(drafts, sources, problems)
    if not drafts:
        problems.stop_if_any()
    _check_lengths(draft, sources, problems)
    check_spaces(drafts, sources, problems)
    classes = bind_classes(drafts, sources, problems)
    drafts = with_classes(drafts, classes)
    tokens = _cut(drafts, sources, problems)
    parts = _parts(draft.split, drafts, sources, tokens, seed, problems)
    drafts = with_vocabularies(drafts, sources, tokens, parts, classes, problems)
    fields, parts = _fields(drafts, sources, tokens, parts, problems)
    sizes = bind_sizes(drafts, fields, classes, problems)
    check_lengths(drafts, fields, sources, problems)
    problems.stop_if_any()
    origins = {n: Origin(s.kind, s.settings) for n, s in draft.sources.items() if n in sources}
    return Dataset(tuple(fields), parts, sizes, classes, len(fields[0].array), fields[0].axes[0], origins)


def _load(draft: Draft, seed: int, problems: Problems) -> dict[str, Rows]:
    """The rows of each source that a field uses."""
    recipes = [field.recipe for field in draft.fields]
    used = {leaf.source for recipe in recipes for leaf in leaves(recipe)}
    rows = {}
    for name, source in draft.sources.items():
        if name in used:
            with problems.collecting():
                rows[name] = load_columns(name, source.tables, recipes, seed)
    return rows


def _checked(drafts: Sequence[FieldDraft], sources: Mapping[str, Rows], problems: Problems) -> list[FieldDraft]:
    """The fields whose axes fit the source that they come from, as far as that is known already."""
    kept = []
    for draft in drafts:
        with problems.collecting():
            if not isinstance(draft.recipe, Encoded) and all(sources[leaf.source].is_table for leaf in leaves(draft.recipe)):
                check_table(draft)
            kept.append(draft)
    return kept


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


def _cut(drafts: Sequence[FieldDraft], sources: Mapping[str, Rows], problems: Problems) -> dict[Cut, Tokens]:
    """The tokens of every column of text, cut once for all fields made of it."""
    tokens: dict[Cut, Tokens] = {}
    failed: set[Cut] = set()
    for recipe in (draft.recipe for draft in drafts):
        if isinstance(recipe, Encoded) and recipe.cut not in tokens and recipe.cut not in failed:
            failed.add(recipe.cut)
            with problems.collecting():
                tokens[recipe.cut] = cut(recipe, sources[recipe.source])
    if len(tokens) < len(failed):
        problems.stop_if_any()
    return tokens


# --- parts -------------------------------------------------------------------------------------------------------


def _parts(
    split: Split | None,
    drafts: Sequence[FieldDraft],
    sources: Mapping[str, Rows],
    tokens: Mapping[Cut, Tokens],
    seed: int,
    problems: Problems,
) -> Parts:
    """The rows of each part: the files that parts have of their own, and the training file divided."""
    lengths = _lengths(sources, tokens)
    ends = np.cumsum(list(lengths.values()))
    parts = {part: np.arange(end - lengths[part], end) for part, end in zip(lengths, ends, strict=True)}
    if split is not None:
        with problems.collecting():
            _check_split(split, sources)
            for part in lengths:
                if split.settings.get(part) is not None:
                    raise problem("D21", f"{quoted(part)} has a file of its own, and the split asks for it too", split.span)
            groups = _groups(split, drafts, sources, lengths["train"])
            parts |= divide(split, lengths["train"], groups, seed)
    return {part: parts[part] for part in ("train", "validation", "test") if part in parts}


def _lengths(sources: Mapping[str, Rows], tokens: Mapping[Cut, Tokens]) -> dict[str, int]:
    """How many rows each part's file has; of a text, how many entries."""
    rows = next(iter(sources.values()))
    if not rows.is_text:
        return rows.lengths
    counts = np.diff(next(iter(tokens.values())).offsets).tolist()
    return dict(zip(rows.lengths, counts, strict=True))


def _check_split(split: Split, sources: Mapping[str, Rows]) -> None:
    if split.rule != "tail" and any(rows.is_text for rows in sources.values()):
        message = f"`{split.rule}` draws rows, and a text is not cut at random"
        raise problem("D21", message, split.span, hints=["its end can be kept back: `split = tail(validation=0.1)`"])


def _groups(split: Split, drafts: Sequence[FieldDraft], sources: Mapping[str, Rows], rows: int) -> NDArray[np.int64] | None:
    """(rows,) int64: the class of each row where the split keeps shares of them equal; else None."""
    if not split.settings.get("stratify"):
        return None
    recipes = [draft.recipe for draft in drafts if isinstance(draft.recipe, Labels) and len(draft.axes) == 1]
    if len(recipes) != 1:
        message = f"`stratify` needs one field of labels, and there are {len(recipes)}"
        raise problem("D21", message, split.span, hints=["such as `y[B]: K = …`"])
    column = sources[recipes[0].source].labels(recipes[0].column)
    return look_up(column, recipes[0].classes)[:rows]


# --- fields ------------------------------------------------------------------------------------------------------


def _fields(
    drafts: Sequence[FieldDraft],
    sources: Mapping[str, Rows],
    tokens: Mapping[Cut, Tokens],
    parts: Parts,
    problems: Problems,
) -> tuple[list[Field], Parts]:
    """The fields, and the rows of every part, which windows and pairs number anew."""
    fields, numbered = [], parts
    for draft in drafts:
        with problems.collecting():
            recipe, values = draft.recipe, None
            if isinstance(recipe, Encoded):
                segments = segments_of(tokens[recipe.cut], sources[recipe.source].is_text, parts)
                values, found = _encoded(recipe, tokens[recipe.cut], segments)
                numbered = found or numbered
            else:
                recipe, values = evaluate_field(recipe, sources, parts["train"])
            array = shaped_as(draft, recipe, values, sources)
            axes = tuple(axis.name for axis in draft.axes)
            fields.append(Field(draft.name, axes, of_axis(draft) or None, array, draft.span, recipe))
    return fields, numbered


def _encoded(recipe: Encoded, tokens: Tokens, segments: Mapping[str, Segments]) -> tuple[Values | Ragged, Parts]:
    """A sequence's values and, where its rows are not those of the source, the rows of every part."""
    if recipe.arrangement == "windows":
        parts = window_parts(recipe, segments)
        return windows(recipe, tokens), parts
    if recipe.arrangement == "skipgrams":
        places, parts = skipgrams(recipe, segments)
        return look_up_tokens(tokens, recipe.vocabulary)[places], parts
    return rows_of(recipe, tokens), {}
