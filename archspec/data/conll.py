"""Sentences with columns of tags: CoNLL and CoNLL-U."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import numpy as np

from archspec.data.columns import Opened, Part, Tokens, coded
from archspec.data.decode import decode
from archspec.data.problems import counted, listed, problem, quoted
from archspec.data.ragged import Indices, offsets_of
from archspec.data.texts import OpenFile
from archspec.diagnostics import Span
from archspec.records import record

# https://universaldependencies.org/format.html
CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")


@record
class Sentences:
    """A file of sentences: a line for each word, a blank line after each sentence.

    is_conllu  lines that begin with `#` are comments; words of several tokens (`8-9`) and empty nodes (`8.1`) are skipped
    delimiter  what stands between columns; None for any run of blanks
    """

    path: str
    lines: tuple[str, ...]
    names: tuple[str, ...]
    is_conllu: bool
    delimiter: str | None
    span: Span | None

    def words(self) -> Iterator[tuple[int, list[str]]]:
        """The line and the cells of every word; no cells where a sentence ends."""
        width, delimiter, is_conllu = len(self.names), self.delimiter, self.is_conllu
        for number, line in enumerate(self.lines, 1):
            if not line or line.isspace():
                yield number, []
                continue
            if (is_conllu and line[0] == "#") or line.startswith("-DOCSTART-"):
                continue
            cells = line.split(delimiter)
            if len(cells) != width:
                self._fail(number, cells)
            if not is_conllu or cells[0].isdigit():
                yield number, cells
            elif not cells[0].replace("-", "").replace(".", "").isdigit():
                message = f"line {number} of {quoted(self.path)} is numbered {quoted(cells[0])}"
                raise problem("D15", message, self.span, hints=["words are numbered `8`, `8-9` or `8.1`"])

    def sentences(self) -> Iterator[tuple[int, list[list[str]]]]:
        """The line of the first word and the words of every sentence."""
        start = 0
        words: list[list[str]] = []
        for number, cells in self.words():
            if cells:
                start = start if words else number
                words.append(cells)
            elif words:
                yield start, words
                words = []
        if words:
            yield start, words

    def read(self, wanted: frozenset[str], _: int) -> Part:
        """The wanted columns, a row for each sentence."""
        positions = {name: self.names.index(name) for name in wanted if name in self.names}
        for name in wanted - positions.keys():
            raise problem("D06", f"{quoted(self.path)} has no column {quoted(name)}", self.span)
        flat: dict[str, list[str]] = {name: [] for name in wanted}
        starts, lengths = [], []
        for start, words in self.sentences():
            starts.append(start)
            lengths.append(len(words))
            for name, position in positions.items():
                flat[name] += [cells[position] for cells in words]
        if not lengths:
            raise problem("D14", f"{quoted(self.path)} has no sentences", self.span)
        offsets = offsets_of(np.array(lengths, np.int64))
        return Part({name: _tokens(cells, offsets) for name, cells in flat.items()}, np.array(starts, np.int64))

    def _fail(self, number: int, cells: list[str]) -> NoReturn:
        message = f"line {number} of {quoted(self.path)} has {counted(len(cells), 'column')}, not {len(self.names)}"
        raise problem("D15", message, self.span, notes=[f"line {number}: {listed(cells, 6)}"])


def _tokens(cells: list[str], offsets: Indices) -> Tokens:
    values, codes = coded(cells)
    return Tokens(codes, offsets, values)


def conll_reader(settings: Mapping[str, Any]) -> OpenFile:
    """Sentences, their columns named by the spec, by CoNLL-U, or `c0`, `c1`, …"""

    def open_file(path: str, data: bytes, span: Span | None) -> Opened:
        sentences = open_sentences(path, decode(path, data, settings["encoding"], span), settings["columns"], span)
        return Opened(path, sentences.names, sentences.read)

    return open_file


def open_sentences(path: str, text: str, columns: tuple[str, ...], span: Span | None) -> Sentences:
    """The first word tells how a file is written: ten columns between tabs are CoNLL-U."""
    lines = tuple(text.split("\n"))
    filled = [line for line in lines if line and not line.isspace()]
    first = next((line for line in filled if line[0] != "#"), filled[0] if filled else None)
    if first is None:
        raise problem("D14", f"{quoted(path)} is empty", span)
    delimiter = "\t" if "\t" in first else None
    width = len(first.split(delimiter))
    is_conllu = delimiter == "\t" and width == len(CONLLU)
    if columns and len(columns) != width:
        raise problem("D16", f"`columns` names {counted(len(columns), 'column')}, but {quoted(path)} has {width:,}", span)
    if len(set(columns)) < len(columns):
        raise problem("D16", "`columns` repeats a name", span)
    names = columns or (CONLLU if is_conllu else tuple(f"c{k}" for k in range(width)))
    return Sentences(path, lines, names, is_conllu, delimiter, span)
