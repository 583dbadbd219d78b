"""Texts cut into characters or words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain

import numpy as np

from archspec.data.columns import PIECE, Column, Texts, Tokens, tokens_of
from archspec.data.ragged import Indices, offsets_of

_WORD = re.compile(r"\w+|[^\w\s]")
_BLANK = re.compile(r"\s")


def chars(texts: Texts, lower: bool = False) -> Tokens:
    """The code points of each text."""
    texts = tuple(text.lower() for text in texts) if lower else texts
    points = np.frombuffer("".join(texts).encode("utf-32-le"), "<u4")
    seen = np.flatnonzero(np.bincount(points, minlength=1))
    position = np.zeros(seen[-1] + 1 if len(seen) else 1, np.int64)
    position[seen] = np.arange(len(seen))
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    return Tokens(position[points], offsets_of(lengths), tuple(map(chr, seen.tolist())))


def words(texts: Texts, lower: bool = False, punctuation: bool = False) -> Tokens:
    """What stands between blanks; with `punctuation` every mark is a word of its own."""
    cut: Callable[[str], Sequence[str]] = _WORD.findall if punctuation else str.split
    pieces = [list(_pieces(text)) for text in texts] if max(map(len, texts), default=0) > 2 * PIECE else None
    if pieces is None:
        return tokens_of(cut(text.lower() if lower else text) for text in texts)
    counts = np.array([len(row) for row in pieces])
    flat = tokens_of(cut(text.lower() if lower else text) for text in chain.from_iterable(pieces))
    return Tokens(flat.codes, flat.offsets[offsets_of(counts)], flat.values)


def _pieces(text: str) -> Iterator[str]:
    """A long text in pieces that end at a blank."""
    start = 0
    while start < len(text):
        blank = _BLANK.search(text, start + PIECE)
        end = blank.start() if blank else len(text)
        yield text[start:end]
        start = end


def lowered(tokens: Tokens) -> Tokens:
    """The same rows in lower case."""
    texts = [text.lower() for text in tokens.values]
    index = {text: code for code, text in enumerate(dict.fromkeys(texts))}
    table = np.array([index[text] for text in texts], np.int64)
    return Tokens(table[tokens.codes], tokens.offsets, tuple(index))


def tokenise(column: Column, tokenizer: str, settings: Mapping[str, object]) -> Tokens:
    """A column of texts as tokens. A column of sequences has its words already."""
    options = {name: bool(settings[name]) for name in ("lower", "punctuation") if name in settings}
    if isinstance(column, Tokens):
        return lowered(column) if options.get("lower") else column
    if not isinstance(column, tuple):
        raise TypeError("numbers have no words")
    return (chars if tokenizer == "chars" else words)(column, **options)


def counts(tokens: Tokens, starts: Indices, ends: Indices) -> Indices:
    """(values,) int64: how often each text occurs in the runs of codes [start, end)."""
    marks = np.zeros(len(tokens.codes) + 1, np.int64)
    np.add.at(marks, starts, 1)
    np.subtract.at(marks, ends, 1)
    inside = np.cumsum(marks[:-1]) > 0
    return np.bincount(tokens.codes[inside], minlength=len(tokens.values)).astype(np.int64)
