"""Sources other than tables: text, arrays and generators. One entry each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from archspec.data import generators, texts
from archspec.data.arrays import npz_reader, open_idx
from archspec.data.conll import conll_reader
from archspec.data.generators import opener
from archspec.data.parameters import (
    ENCODING,
    FLAG,
    NUMBER,
    PAIR,
    POSITIVE,
    SEPARATOR,
    SIDES,
    TEXT,
    TEXTS,
    Parameter,
    one_of,
    whole,
)
from archspec.data.sources import SourceKind

_PATH = Parameter("path", TEXT)
_PARTS = (Parameter("validation", TEXT, None), Parameter("test", TEXT, None))
_PAIRS = (Parameter("validation", PAIR, None), Parameter("test", PAIR, None))
_SIDES = (Parameter("validation", SIDES, None), Parameter("test", SIDES, None))
_ENCODING = Parameter("encoding", ENCODING, "utf-8")
_ROWS = Parameter("rows", POSITIVE, 1000)
_SHORTEST = Parameter("shortest", POSITIVE, None)


def _files(reader: Callable[[Mapping[str, Any]], texts.OpenFile], settings: tuple[Parameter, ...], doc: str) -> SourceKind:
    """A source with one file for each part."""
    return SourceKind(texts.one_file_each(reader), settings, doc, reader)


TEXT_SOURCES: Mapping[str, SourceKind] = {
    "text": _files(
        texts.text_reader,
        (_PATH, *_PARTS, _ENCODING),
        "one long text, to be cut with `windows`; a split cuts the text itself",
    ),
    "lines": _files(texts.lines_reader, (_PATH, *_PARTS, _ENCODING), 'a row for each line: `source["text"]`'),
    "labelled": _files(
        texts.labelled_reader,
        (_PATH, Parameter("separator", SEPARATOR, " "), Parameter("coarse", SEPARATOR, None), *_PARTS, _ENCODING),
        'a row for each line: `source["label"]`, then `source["text"]`; `coarse=":"` cuts labels there',
    ),
    "folder": SourceKind(
        texts.open_folder,
        (_PATH, Parameter("label", one_of(*texts.LABELS), "file"), Parameter("whole", FLAG, False), *_PARTS, _ENCODING),
        'a row for each line of many files: `source["text"]`, `source["label"]` from their names; `whole`: for each file',
    ),
    "conll": _files(
        conll_reader,
        (_PATH, Parameter("columns", TEXTS, ()), *_PARTS, _ENCODING),
        'a row for each sentence, columns by the names of CoNLL-U, `source["form"]`, or `source["c0"]`',
    ),
    "pairs": SourceKind(
        texts.open_pairs,
        (Parameter("source", TEXT), Parameter("target", TEXT, None), *_SIDES, _ENCODING),
        'a row for each line of two files, or of one with TABs: `source["source"]`, `source["target"]`',
    ),
}

ARRAY_SOURCES: Mapping[str, SourceKind] = {
    "idx": SourceKind(
        open_idx,
        (Parameter("images", TEXT), Parameter("labels", TEXT), *_PAIRS),
        'images and labels as in MNIST: `source["image"]`, `source["label"]`',
    ),
    "npz": _files(npz_reader, (_PATH, *_PARTS), "the arrays of a NumPy archive by their names, their first axis the rows"),
}

GENERATORS: Mapping[str, SourceKind] = {
    "copying": SourceKind(
        opener("copying", generators.copying),
        (
            _ROWS,
            Parameter("length", POSITIVE, 10),
            Parameter("symbols", whole(1, 10_000), 8),
            Parameter("delay", POSITIVE, 10),
        ),
        "symbols to be said again after `delay` steps",
    ),
    "reversing": SourceKind(
        opener("reversing", generators.reversing),
        (_ROWS, Parameter("length", POSITIVE, 10), Parameter("symbols", whole(1, 10_000), 8), _SHORTEST),
        "symbols, and the same backwards",
    ),
    "adding": SourceKind(
        opener("adding", generators.adding),
        (_ROWS, Parameter("length", whole(2, 1_000_000), 50)),
        "pairs of a number and a mark `[B,T,2]`, and the sum of the two marked numbers",
    ),
    "dyck": SourceKind(
        opener("dyck", generators.dyck),
        (_ROWS, Parameter("length", whole(2, 10_000), 20), Parameter("kinds", whole(1, 4), 2), _SHORTEST),
        "balanced brackets, and the one that must close next",
    ),
    "spirals": SourceKind(
        opener("spirals", generators.spirals),
        (
            _ROWS,
            Parameter("arms", whole(1, 100), 2),
            Parameter("noise", NUMBER, 0.02),
            Parameter("turns", NUMBER, 1.5),
        ),
        "points of the plane, and the arm of each",
    ),
}

OTHER_SOURCES: Mapping[str, SourceKind] = {**TEXT_SOURCES, **ARRAY_SOURCES, **GENERATORS}
