"""The functions that make sequences of indices from text, as a spec calls them. One entry each in `SEQUENCES`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from archspec.data.parameters import FLAG, POSITIVE, SEQUENCE, TEXT_COLUMN, Parameter
from archspec.data.recipe import Encoded
from archspec.data.values import Selection, Several
from archspec.diagnostics import Span
from archspec.records import record, replace


@record
class SequenceFunction:
    """`make` is given the settings by name and the span of the call; the first setting is what is piped in."""

    make: Callable[[Mapping[str, Any], Span], Encoded | Several]
    settings: tuple[Parameter, ...]
    doc: str


def _tokenizer(name: str) -> Callable[[Mapping[str, Any], Span], Encoded]:
    def make(given: Mapping[str, Any], span: Span) -> Encoded:
        column: Selection = given["text"]
        settings = tuple((key, value) for key, value in given.items() if key != "text")
        return Encoded(span, column.source, column.columns[0], name, settings)

    return make


def _crop(given: Mapping[str, Any], _: Span) -> Encoded:
    sequence: Encoded = given["sequence"]
    return replace(sequence, longest=min(given["longest"], sequence.longest or given["longest"]))


def _shifted(given: Mapping[str, Any], span: Span) -> Several:
    return _both(given["sequence"], "shifted", (), span)


def _windows(given: Mapping[str, Any], span: Span) -> Several:
    return _both(given["sequence"], "windows", (given["length"], given["stride"] or given["length"]), span)


def _skipgrams(given: Mapping[str, Any], span: Span) -> Several:
    return _both(given["sequence"], "skipgrams", (given["window"],), span)


def _both(sequence: Encoded, arrangement: str, sizes: tuple[int, ...], span: Span) -> Several:
    made = [replace(sequence, arrangement=arrangement, sizes=sizes, output=output, span=span) for output in (0, 1)]
    return Several(tuple(made))


_TEXT = Parameter("text", TEXT_COLUMN)
_SEQUENCE = Parameter("sequence", SEQUENCE)
_VOCABULARY = (Parameter("min", POSITIVE, 1), Parameter("most", POSITIVE, None), Parameter("lower", FLAG, False))

SEQUENCES: Mapping[str, SequenceFunction] = {
    "chars": SequenceFunction(_tokenizer("chars"), (_TEXT, *_VOCABULARY), "the characters of each text"),
    "words": SequenceFunction(
        _tokenizer("words"),
        (_TEXT, *_VOCABULARY, Parameter("punctuation", FLAG, False)),
        "the words of each text, which stand between blanks; with `punctuation` marks are words of their own",
    ),
    "crop": SequenceFunction(_crop, (_SEQUENCE, Parameter("longest", POSITIVE)), "at most the first `longest` entries"),
    "shifted": SequenceFunction(_shifted, (_SEQUENCE,), "two fields: `<start>` and the entries; the entries and `<end>`"),
    "windows": SequenceFunction(
        _windows,
        (_SEQUENCE, Parameter("length", POSITIVE), Parameter("stride", POSITIVE, None)),
        "two fields: runs of `length` entries; the same runs one entry later",
    ),
    "skipgrams": SequenceFunction(
        _skipgrams,
        (_SEQUENCE, Parameter("window", POSITIVE, 2)),
        "two fields: each entry; each of its neighbours, up to `window` away",
    ),
}
