"""Which fields share a vocabulary, and whose rows they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from archspec.data.columns import Tokens
from archspec.data.encode import Cut, Segments, counted_tokens, segments_of, vocabulary
from archspec.data.fields import FieldDraft
from archspec.data.labels import check_count
from archspec.data.problems import Problems, problem, quoted
from archspec.data.recipe import Encoded, leaves
from archspec.data.tables import Rows
from archspec.records import replace

Parts = Mapping[str, NDArray[np.int64]]


def of_axis(draft: FieldDraft) -> str:
    """The axis that the values of a field index, or nothing."""
    return draft.of.name if draft.of else ""


def check_spaces(drafts: Sequence[FieldDraft], sources: Mapping[str, Rows], problems: Problems) -> None:
    """Stop where fields do not have the same rows: windows and pairs are rows of their own, and so is a text uncut."""
    expanding = [draft.recipe for draft in drafts if isinstance(draft.recipe, Encoded) and draft.recipe.expands]
    before = len(problems.found)
    for draft in drafts:
        with problems.collecting():
            _check_space(draft, expanding, sources)
    if len(problems.found) > before:
        problems.stop_if_any()


def _check_space(draft: FieldDraft, expanding: Sequence[Encoded], sources: Mapping[str, Rows]) -> None:
    recipe = draft.recipe
    expands = isinstance(recipe, Encoded) and recipe.expands
    if not expands and any(sources[leaf.source].is_text for leaf in leaves(recipe)):
        hints = ["cut it: `… |> chars |> windows(64)`", "or read a row for each line: `lines(…)`"]
        raise problem("D27", f"{quoted(draft.name)} would be one long row, the whole text", recipe.span, hints=hints)
    first = expanding[0] if expanding else None
    if first is not None and (not isinstance(recipe, Encoded) or _space(recipe) != _space(first)):
        message = f"{quoted(draft.name)} has other rows than the fields that `{first.arrangement}` gives"
        raise problem("D22", message, draft.span, hints=["a spec has them from one expression alone"])


def _space(recipe: Encoded) -> tuple[object, ...]:
    return (*recipe.cut, recipe.longest, recipe.arrangement, recipe.sizes)


def with_vocabularies(
    drafts: Sequence[FieldDraft],
    sources: Mapping[str, Rows],
    tokens: Mapping[Cut, Tokens],
    parts: Parts,
    classes: dict[str, tuple[str, ...]],
    problems: Problems,
) -> list[FieldDraft]:
    """`drafts` with the vocabularies of the training part in their recipes; their names are added to `classes`."""
    for axis in dict.fromkeys(of_axis(draft) for draft in drafts if isinstance(draft.recipe, Encoded)):
        over = [draft for draft in drafts if isinstance(draft.recipe, Encoded) and of_axis(draft) == axis]
        with problems.collecting():
            names = _vocabulary(over, [d for d in drafts if of_axis(d) == axis], sources, tokens, parts)
            check_count(over[0], names, "vocabulary has", "entry")
            classes[axis] = names
    kept = [draft for draft in drafts if draft.of is None or draft.of.name in classes]
    return [_fitted(draft, classes) for draft in kept]


def _vocabulary(
    over: Sequence[FieldDraft],
    every: Sequence[FieldDraft],
    sources: Mapping[str, Rows],
    tokens: Mapping[Cut, Tokens],
    parts: Parts,
) -> tuple[str, ...]:
    recipes = [draft.recipe for draft in over if isinstance(draft.recipe, Encoded)]
    first = recipes[0]
    for draft, recipe in zip(over, recipes, strict=True):
        if (recipe.tokenizer, recipe.settings) != (first.tokenizer, first.settings):
            _fail_vocabularies(over[0], draft, "they have other settings")
    for draft in every:
        if not isinstance(draft.recipe, Encoded):
            _fail_vocabularies(over[0], draft, "it holds labels")
    names = vocabulary([counted_tokens(r, tokens[r.cut], _train(r, sources, tokens, parts)) for r in recipes])
    if all(name.startswith("<") and name.endswith(">") and len(name) > 2 for name in names):
        raise problem("D25", f"no entry is left for the vocabulary of {quoted(over[0].name)}", first.span)
    return names


def _train(recipe: Encoded, sources: Mapping[str, Rows], tokens: Mapping[Cut, Tokens], parts: Parts) -> Segments:
    return segments_of(tokens[recipe.cut], sources[recipe.source].is_text, {"train": parts["train"]})["train"]


def _fail_vocabularies(first: FieldDraft, other: FieldDraft, why: str) -> NoReturn:
    message = f"{quoted(first.name)} and {quoted(other.name)} cannot share {quoted(of_axis(first))}: {why}"
    raise problem("D25", message, other.span, hints=["fields over one axis share one vocabulary; give this one another axis"])


def _fitted(draft: FieldDraft, classes: Mapping[str, tuple[str, ...]]) -> FieldDraft:
    if not isinstance(draft.recipe, Encoded):
        return draft
    return replace(draft, recipe=replace(draft.recipe, vocabulary=classes[of_axis(draft)]))
