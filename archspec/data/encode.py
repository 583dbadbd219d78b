"""Text to indices: tokens cut once, vocabularies counted in the training part, rows arranged.

column ── cut ──▶ Tokens ── vocabulary of the training part ──▶ ids ── crop, arrange ──▶ Ragged or array
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn, TypeAlias

import numpy as np

from archspec.data.columns import Tokens
from archspec.data.problems import counted, problem, quoted
from archspec.data.ragged import Indices, Ragged, offsets_of, spread
from archspec.data.recipe import Encoded
from archspec.data.tables import Rows
from archspec.data.tokens import counts, tokenise
from archspec.records import record

UNKNOWN, START, END = "<unknown>", "<start>", "<end>"
MAX_TOKENS = 1 << 28  # 2 GiB of indices

Segments: TypeAlias = tuple[Indices, Indices]  # where runs of entries that belong together begin and end
Parts: TypeAlias = Mapping[str, Indices]
Cut: TypeAlias = tuple[object, ...]


# --- tokens ----------------------------------------------------------------------------------------------------------


def cut(recipe: Encoded, rows: Rows) -> Tokens:
    """The column of a recipe as tokens, none of its rows empty."""
    column = rows.others[recipe.column]
    if not isinstance(column, tuple | Tokens):
        raise problem("D25", f"column {quoted(recipe.column)} holds numbers, not text", recipe.span)
    if isinstance(column, Tokens) and recipe.tokenizer == "chars":
        message = f"`chars` takes texts, and column {quoted(recipe.column)} holds sequences of words"
        raise problem("D25", message, recipe.span, hints=["`words` takes them as they are"])
    if isinstance(column, tuple) and sum(map(len, column)) > MAX_TOKENS:
        raise problem("D24", f"column {quoted(recipe.column)} has more than {MAX_TOKENS:,} characters", recipe.span)
    tokens = tokenise(column, recipe.tokenizer, dict(recipe.settings))
    empty = np.flatnonzero(np.diff(tokens.offsets) == 0)
    if len(empty):
        message = f"column {quoted(recipe.column)} has {counted(len(empty), 'row')} without {recipe.tokenizer}"
        raise problem("D18", message, recipe.span, notes=[f"the first is on {rows.place(int(empty[0]))}"])
    return tokens


def segments_of(tokens: Tokens, is_text: bool, parts: Parts) -> dict[str, Segments]:
    """The rows of every part as runs of entries. A text is divided at its entries, so a part of it is one run."""
    if is_text:
        return {part: (entries[:1], entries[-1:] + 1) for part, entries in parts.items()}
    return {part: (tokens.offsets[rows], tokens.offsets[rows + 1]) for part, rows in parts.items()}


# --- vocabularies ----------------------------------------------------------------------------------------------------


@record(eq=False)
class Counted:
    """A recipe with its tokens and how often each of their values occurs in the training part."""

    recipe: Encoded
    tokens: Tokens
    occurrences: Indices


def counted_tokens(recipe: Encoded, tokens: Tokens, train: Segments) -> Counted:
    return Counted(recipe, tokens, counts(tokens, *train))


def vocabulary(found: Sequence[Counted]) -> tuple[str, ...]:
    """The names of an axis: entries of its own, then what occurs in training, the most frequent first, then by text."""
    settings = dict(found[0].recipe.settings)
    marks = {START, END} if any(c.recipe.arrangement == "shifted" for c in found) else set()
    total: Counter[str] = Counter()
    for once in {c.recipe.cut: c for c in found}.values():
        pairs = zip(once.tokens.values, once.occurrences.tolist(), strict=True)
        total.update({text: count for text, count in pairs if count and text not in (UNKNOWN, *marks)})
    least, most = settings["min"], settings["most"]
    kept = sorted((text for text, count in total.items() if count >= _whole(least)), key=lambda text: (-total[text], text))
    kept = kept[: _whole(most)] if most is not None else kept
    if settings_of_words(found) or _has_unknown(found, kept):
        marks.add(UNKNOWN)
    return (*(mark for mark in (UNKNOWN, START, END) if mark in marks), *kept)


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def settings_of_words(found: Sequence[Counted]) -> bool:
    """Words have an entry for unknown ones always: new text nearly always holds some."""
    return found[0].recipe.tokenizer == "words"


def _has_unknown(found: Sequence[Counted], kept: Iterable[str]) -> bool:
    known = frozenset(kept)
    return any(text not in known for c in found for text in c.tokens.values)


def look_up(tokens: Tokens, names: Sequence[str]) -> Indices:
    """(total,) int64: the position of every entry among `names`, that of `<unknown>` where it has none, else -1."""
    index = {name: position for position, name in enumerate(names)}
    unknown = index.get(UNKNOWN, -1)
    table = np.array([index.get(text, unknown) for text in tokens.values], np.int64)
    return table[tokens.codes]


# --- rows ------------------------------------------------------------------------------------------------------------


def rows_of(recipe: Encoded, tokens: Tokens) -> Ragged:
    """The rows of a fitted recipe that keeps the rows of its source."""
    rows = Ragged(look_up(tokens, recipe.vocabulary), tokens.offsets)
    if recipe.longest is not None:
        rows = cropped(rows, recipe.longest)
    return shifted(rows, recipe) if recipe.arrangement == "shifted" else rows


def cropped(rows: Ragged, longest: int) -> Ragged:
    """The first entries of each row."""
    lengths = np.minimum(rows.lengths, longest)
    return Ragged(rows.values[spread(rows.offsets[:-1], lengths)], offsets_of(lengths))


def shifted(rows: Ragged, recipe: Encoded) -> Ragged:
    """Rows with `<start>` before them, or with `<end>` after them."""
    offsets = offsets_of(rows.lengths + 1)
    marks = offsets[:-1] if recipe.output == 0 else offsets[1:] - 1
    values = np.full(offsets[-1], recipe.vocabulary.index(END if recipe.output else START), np.int64)
    inside = np.ones(len(values), bool)
    inside[marks] = False
    values[inside] = rows.values
    return Ragged(values, offsets)


def windows(recipe: Encoded, tokens: Tokens) -> Indices:
    """(entries - length, length) int64, a view: the run that begins at each entry, or at the one after it."""
    length = recipe.sizes[0]
    ids = look_up(tokens, recipe.vocabulary)
    views = np.lib.stride_tricks.sliding_window_view(ids, length)
    return views[1:] if recipe.output else views[:-1]


def window_parts(recipe: Encoded, segments: Mapping[str, Segments]) -> dict[str, Indices]:
    """Where the windows of every part begin: at every `stride` in training, side by side in the other parts."""
    length, stride = recipe.sizes
    parts = {}
    for part, (starts, ends) in _cropped(recipe, segments).items():
        step = stride if part == "train" else length
        many = np.maximum((ends - starts - 1 - length) // step + 1, 0)
        parts[part] = np.repeat(starts, many) + step * spread(np.zeros_like(many), many)
        if not len(parts[part]):
            _fail_short(recipe, f"`windows({length})` needs {length + 1:,}", part, int((ends - starts).max(initial=0)))
    return parts


def skipgrams(recipe: Encoded, segments: Mapping[str, Segments]) -> tuple[Indices, dict[str, Indices]]:
    """(pairs,) int64, the entry at one side of each pair; and the pairs of every part. No pair leaves its row."""
    window, sides, parts, total = recipe.sizes[0], [], {}, 0
    for part, (starts, ends) in _cropped(recipe, segments).items():
        if 2 * window * int((ends - starts).sum()) > MAX_TOKENS:
            raise problem("D24", f"`skipgrams` makes more than {MAX_TOKENS:,} pairs", recipe.span)
        pairs = _neighbours(starts, ends - starts, window)
        if not pairs.shape[1]:
            _fail_short(recipe, "`skipgrams` needs 2", part, int((ends - starts).max(initial=0)))
        sides.append(pairs[recipe.output])
        parts[part] = np.arange(total, total + pairs.shape[1])
        total += pairs.shape[1]
    return np.concatenate(sides), parts


def _neighbours(starts: Indices, lengths: Indices, window: int) -> Indices:
    """(2, pairs) int64: places of all entries and of each one's neighbours, in the order of the entries."""
    places, row = spread(starts, lengths), np.repeat(np.arange(len(lengths)), lengths)
    found = [np.zeros((2, 0), np.int64)]
    for distance in range(1, min(window, len(places) - 1) + 1):
        same = row[distance:] == row[:-distance]
        pair = np.stack([places[:-distance][same], places[distance:][same]])
        found += [pair, pair[::-1]]
    pairs = np.concatenate(found, axis=1)
    return pairs[:, np.lexsort((pairs[1], pairs[0]))]


def _cropped(recipe: Encoded, segments: Mapping[str, Segments]) -> dict[str, Segments]:
    if recipe.longest is None:
        return dict(segments)
    return {part: (starts, np.minimum(ends, starts + recipe.longest)) for part, (starts, ends) in segments.items()}


def _fail_short(recipe: Encoded, needs: str, part: str, longest: int) -> NoReturn:
    message = f"{needs} entries in a row, and the longest row of the {part} part has {longest:,}"
    raise problem("D27", message, recipe.span)


def encoded_anew(recipe: Encoded, rows: Rows) -> Ragged | Indices:
    """A field of new rows by its fitted recipe; windows lie side by side."""
    tokens = cut(recipe, rows)
    segments = {"test": (tokens.offsets[:-1], tokens.offsets[1:])}
    check_known(tokens, recipe)
    if recipe.arrangement == "windows":
        return windows(recipe, tokens)[window_parts(recipe, segments)["test"]]
    if recipe.arrangement == "skipgrams":
        return look_up(tokens, recipe.vocabulary)[skipgrams(recipe, segments)[0]]
    return rows_of(recipe, tokens)


def read_texts(recipe: Encoded, texts: Sequence[str]) -> Ragged:
    """New texts by a fitted recipe: cut, looked up, cropped and shifted as in training, but not cut into windows."""
    tokens = tokenise(tuple(texts), recipe.tokenizer, dict(recipe.settings))
    check_known(tokens, recipe)
    return rows_of(recipe, tokens)


def check_known(tokens: Tokens, recipe: Encoded) -> None:
    """A vocabulary without `<unknown>` cannot take what did not occur in training."""
    known = frozenset(recipe.vocabulary)
    if UNKNOWN not in known:
        for text in tokens.values:
            if text not in known:
                raise problem("D25", f"{quoted(text)} did not occur in training, and there is no {quoted(UNKNOWN)}", None)
